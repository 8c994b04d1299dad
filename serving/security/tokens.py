"""Bearer tokens in a file that holds their sha256 only.

A token carries 256 random bits, so nobody finds it by trying words: a slow, salted hash would protect it no better and
would cost every call milliseconds. The digest is also the key of the look-up, which therefore compares no secrets.
"""

import fcntl
import hashlib
import json
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from serving.errors import SettingsError
from serving.security.identity import GRANTED_SCOPES, IDENTITY_NAME, Identity, Scope, granted
from serving.security.watched_files import stamp_of

_PREFIX = "mlops_"
_ID_LENGTH = 12

_log = logging.getLogger(__name__)


class Token(BaseModel):
    """One accepted token as the file holds it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=rf"^{IDENTITY_NAME.pattern}$")
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None

    @property
    def id(self) -> str:
        """What `revoke` asks for; says nothing about the token."""
        return self.sha256[:_ID_LENGTH]

    @property
    def identity(self) -> Identity:
        """Who presents it."""
        expires_at = self.expires_at.timestamp() if self.expires_at else float("inf")
        return Identity(self.name, granted(self.scopes), expires_at, bytes.fromhex(self.sha256))


_TOKENS = TypeAdapter(list[Token])


class AcceptedTokens:
    """The tokens of a file, followed while it changes; a file that can not be read leaves what was read before."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            SettingsError: It is not there or is no token file.
        """
        self._path, self._stamp = path, stamp_of(path)
        self._identities = _identities_of(path)

    def find(self, digest: bytes) -> Identity | None:
        """Return who owns the token with this sha256."""
        return self._identities.get(digest)

    def refresh(self) -> bool:
        """Read the file again if it has changed; returns whether other tokens are accepted now."""
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._identities = _identities_of(self._path)
        except SettingsError as error:
            _log.error("%s; the tokens read before stay", error)
            return False
        _log.info("%d tokens are accepted", len(self._identities))
        return True


def digest_of(token: str) -> bytes:
    """Return the sha256 of a token."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def read_tokens(path: Path) -> list[Token]:
    """Return the tokens of a file.

    Raises:
        SettingsError: It is not there or is no token file.
    """
    try:
        return _TOKENS.validate_json(path.read_bytes())
    except OSError as error:
        mend = "make it with `python -m serving tokens create`"
        raise SettingsError(f"SERVING_TOKENS: {path} can not be read: {error.strerror}; {mend}") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise SettingsError(f"SERVING_TOKENS: {path} is no token file: {where}: {first['msg']}") from None


def create_token(path: Path, *, name: str, scopes: list[str], lifetime: timedelta | None) -> tuple[str, Token]:
    """Add a token to the file, which is made if it is not there, and return its text, which nothing keeps.

    Raises:
        SettingsError: A name or scope is not possible, or the file can not be read or written.
    """
    if not IDENTITY_NAME.fullmatch(name):
        raise SettingsError(f"{name[:80]!r} is no name for a token: letters, digits, '.', '_', '@' and '-'")
    if foreign := sorted(set(scopes) - set(GRANTED_SCOPES)):
        raise SettingsError(f"there is no scope {foreign[0][:40]!r}; there are {', '.join(GRANTED_SCOPES)}")
    text, now = _PREFIX + secrets.token_urlsafe(32), datetime.now(UTC).replace(microsecond=0)
    token = Token(
        name=name,
        scopes=tuple(scope for scope in GRANTED_SCOPES if scope in scopes),
        sha256=digest_of(text).hex(),
        created_at=now,
        expires_at=now + lifetime if lifetime else None,
    )
    with _changing(path) as tokens:
        tokens.append(token)
    return text, token


def revoke_token(path: Path, token_id: str) -> Token:
    """Remove a token from the file and return what it was; running servers refuse it within two seconds.

    Raises:
        SettingsError: There is none with this id, or the file can not be read or written.
    """
    with _changing(path) as tokens:
        for place, token in enumerate(tokens):
            if token.id == token_id:
                return tokens.pop(place)
        raise SettingsError(f"{path} has no token {token_id[:80]!r}; `python -m serving tokens list` names all")


def _identities_of(path: Path) -> dict[bytes, Identity]:
    return {bytes.fromhex(token.sha256): token.identity for token in read_tokens(path)}


@contextmanager
def _changing(path: Path) -> Iterator[list[Token]]:
    """Give the tokens to a block, and put what it leaves in the place of the file; two at once wait for each other."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock").open("a") as claim:
            fcntl.flock(claim, fcntl.LOCK_EX)
            tokens = read_tokens(path) if path.exists() else []
            yield tokens
            _replace(path, json.dumps([token.model_dump(mode="json") for token in tokens], indent=1).encode())
    except OSError as error:
        raise SettingsError(f"SERVING_TOKENS: {path} can not be written: {error.strerror}") from None


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # readable by its owner alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
