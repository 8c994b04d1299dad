"""The one table of what a worker answers: every call comes in, parses, counts and fails in the same way."""

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from serving.api.call import Call
from serving.api.call_pools import CallPool
from serving.api.gate import Gate, count_refusal
from serving.api.grpc_status import UNIMPLEMENTED, CallStatus, end_of, rich_status_of
from serving.api.method_handlers import Begin, MethodHandlers
from serving.api.methods import METHODS, MethodPolicy, PoolName
from serving.errors import OverloadError, ServingError
from serving.security.identity import CALLER, UNKNOWN

# Spread, so that clients which were sent away together do not come back together.
_PUSHBACKS_SECONDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


@dataclass(frozen=True, slots=True)
class _Served:
    name: str
    policy: MethodPolicy
    pool: CallPool
    begin: Begin
    canceled: Callable[[Call], None]


class Services:
    """Finds what answers a call, and lets the call in or refuses it, on the serving thread."""

    def __init__(self, gate: Gate, handlers: MethodHandlers, pools: dict[PoolName, CallPool]) -> None:
        self._gate, self._handlers, self._pools = gate, handlers, pools
        self._served: dict[str, _Served] = {}
        self._busy = [(error, rich_status_of(error)) for error in map(_busy_for, _PUSHBACKS_SECONDS)]

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Answer all methods of a service; the servicer has a method of the same name for each.

        Raises:
            KeyError: A method has no row in `METHODS`.
        """
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            policy = METHODS[name]
            pool = self._pools[policy.pool]
            begin = self._begin(name, method, servicer, policy, pool)
            canceled = partial(self._handlers.canceled, pool=pool)
            self._served[name] = _Served(name, policy, pool, begin, canceled)

    def arrived(self, call: Call) -> None:
        """Begin a call, or end it; what is not in the table is UNIMPLEMENTED."""
        CALLER.set(UNKNOWN)
        served = self._served.get(call.method)
        if served is None:
            call.end(UNIMPLEMENTED)
            return
        if served.pool.full:
            if served.policy.audited:
                with suppress(ServingError):
                    self._gate.admit(served.policy, call.metadata)  # the audit log says who it was
            self._refuse(served, call, *random.choice(self._busy))
            return
        try:
            call.caller = self._gate.admit(served.policy, call.metadata)
        except Exception as error:  # what is not foreseen must not leave the client waiting either
            self._refuse(served, call, error, end_of(error))
            return
        try:
            served.pool.enter(call)
            call.open(served.canceled)
            served.begin(call)
        except Exception:
            served.pool.leave(call)
            raise

    def _begin(
        self, name: str, method: MethodDescriptor, servicer: object, policy: MethodPolicy, pool: CallPool
    ) -> Begin:
        answer = getattr(servicer, method.name)
        if method.server_streaming:
            return self._handlers.streaming(method, answer, policy, pool)
        if policy.together:
            return self._handlers.together(method, answer, getattr(servicer, policy.together), policy, pool)
        if policy.audited:
            trail = self._handlers.audit_trail
            return trail.watched(self._handlers.unary(method, trail.audited(answer, name), policy, pool))
        return self._handlers.unary(method, answer, policy, pool)

    def _refuse(self, served: _Served, call: Call, error: Exception, status: CallStatus) -> None:
        if isinstance(error, ServingError):
            count_refusal(error)
        self._handlers.refusals.note(error, method=served.name, metadata=call.metadata)
        if served.policy.audited:
            self._handlers.audit_trail.turn_away(call, error, partial(call.end, status))
        else:
            call.end(status)


def _busy_for(seconds: float) -> OverloadError:
    return OverloadError("the server is busy", retry_after_seconds=seconds)
