"""The one gate of all services: who calls, may they, and how often."""

from collections.abc import Iterable

from prometheus_client import Counter

from serving.api.methods import MethodPolicy
from serving.errors import (
    ContractError,
    DeadlineExceededError,
    DrainingError,
    MessageLimitError,
    OverloadError,
    PermissionDeniedError,
    ServingError,
    UnauthenticatedError,
)
from serving.metrics import CALLS_REFUSED
from serving.security.authentication import Authenticator
from serving.security.identity import CALLER, EVERY_SCOPE, Identity, Scope
from serving.security.rate_limit import RateLimit
from serving.settings import ServingSettings

GATE_ERRORS = (OverloadError, MessageLimitError, DeadlineExceededError, DrainingError)
"""What a call can still be refused for after it was let in, and before its work begins."""

_LONGEST_WAIT_SECONDS = 1.0


class Gate:
    """Lets calls in, on the serving thread, before anything of their message is read."""

    def __init__(self, authenticator: Authenticator | None, limit: RateLimit | None, anyone: frozenset[Scope]) -> None:
        """Build a gate.

        Args:
            authenticator: Knows the callers; None: nobody is asked who they are, and everybody may do everything.
            limit: Of the calls of one identity; None: no limit.
            anyone: Scopes that a caller without a token has.
        """
        self._authenticator, self._limit = authenticator, limit
        self._anonymous = Identity("", anyone if authenticator else EVERY_SCOPE)

    def admit(self, policy: MethodPolicy, metadata: Iterable[tuple[str, str | bytes]]) -> Identity:
        """Let a call in and return its caller, or raise.

        Raises:
            UnauthenticatedError: It has no token, or one that is not good.
            PermissionDeniedError: Its token is good for other methods.
            OverloadError: Its caller has had its share.
        """
        caller = self._anonymous
        if self._authenticator is not None:
            caller = self._authenticator.identify(metadata) or caller
        CALLER.set(caller)
        if policy.scope not in caller.scopes:
            if not caller.name:
                raise UnauthenticatedError("this method needs a token: send it as `authorization: Bearer <token>`")
            raise PermissionDeniedError(f"{caller.name} does not have the scope {policy.scope!r}")
        if self._limit is not None and caller.name:
            self._limit.take(caller.name)
        return caller

    def admit_message(self) -> None:
        """Let a message of a stream in, late if its caller sends too many, or raise.

        Raises:
            UnauthenticatedError: The caller's token is not good any more.
            OverloadError: The caller would have to wait for more than a second.
        """
        caller = CALLER.get()
        if self._authenticator is None or not caller.name:
            return
        self._authenticator.confirm(caller)
        if self._limit is not None:
            self._limit.wait(caller.name, at_most_seconds=_LONGEST_WAIT_SECONDS)


def gate_of(settings: ServingSettings, authenticator: Authenticator | None) -> Gate:
    """Return the gate of one worker, which grants its part of the calls that an identity has in all."""
    share = settings.calls_per_second / settings.workers
    limit = RateLimit(share) if share else None
    return Gate(authenticator, limit, open_scopes(settings))


def open_scopes(settings: ServingSettings) -> frozenset[Scope]:
    """Return what a caller without a token may do where tokens are asked for."""
    access: dict[Scope, str] = {"health": settings.health_access, "reflection": settings.reflection_access}
    return frozenset(scope for scope, who in access.items() if who == "anyone")


def count_refusal(error: ServingError) -> None:
    """Count a call that did not come in."""
    _refusals_for(type(error)).inc()


def _refusals_for(kind: type[ServingError]) -> Counter:
    return CALLS_REFUSED.labels(kind.__name__.removesuffix("Error"))


for _kind in (UnauthenticatedError, PermissionDeniedError, ContractError, *GATE_ERRORS):
    _refusals_for(_kind)  # shown as 0: what appears with its first event has not increased for Prometheus
