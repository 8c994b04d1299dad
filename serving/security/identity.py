"""Who calls, and what they may do."""

import re
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["predict", "feedback", "operate", "admin", "health", "reflection"]
"""What a method asks for. Tokens grant the first four; the last two every identity has, and settings may open them."""

GRANTED_SCOPES: tuple[Scope, ...] = ("predict", "feedback", "operate", "admin")
EVERY_SCOPE: frozenset[Scope] = frozenset(get_args(Scope))
IDENTITY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""Names given to tokens. Subjects of JWTs get the prefix `jwt:`, so that neither can pass for the other."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One caller.

    Args:
        name: For logs and limits; "" is nobody.
        scopes: What it may do.
        expires_at: Seconds since 1970, UTC.
        credential: Digest of the token in the token file; empty for a JWT, which is good until it expires.
    """

    name: str
    scopes: frozenset[Scope]
    expires_at: float = float("inf")
    credential: bytes = b""


UNKNOWN = Identity("", frozenset())
"""Nobody: what stands in the audit log when a caller did not prove who it is."""

CALLER: ContextVar[Identity] = ContextVar("caller")
"""The identity behind the call that this thread lets in or answers."""


def granted(scopes: Iterable[str]) -> frozenset[Scope]:
    """Return what a credential with these scopes may do; `admin` includes all, words of other systems are left out."""
    words = frozenset(scopes)
    if "admin" in words:
        return EVERY_SCOPE
    return frozenset({"health", "reflection", *(scope for scope in GRANTED_SCOPES if scope in words)})
