"""The one table of what a worker answers: every call comes in, parses, counts and fails in the same way."""

import logging
import random
from dataclasses import dataclass
from functools import partial

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from serving.api.call_pools import CallPool
from serving.api.gate import Gate, count_refusal
from serving.api.grpc_status import rich_status_of, status_name_of
from serving.api.method_handlers import MethodHandlers, audited
from serving.api.methods import METHODS, MethodPolicy, PoolName
from serving.api.refusal import Handler, refusal
from serving.errors import AuditError, OverloadError, ServingError
from serving.security.audit import AuditLog
from serving.security.identity import CALLER, UNKNOWN

# Spread, so that clients which were sent away together do not come back together.
_PUSHBACKS_SECONDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Served:
    name: str
    policy: MethodPolicy
    pool: CallPool
    handler: Handler


class Services(grpc.GenericRpcHandler):
    """Finds the handler of a call, and lets the call in or has it refused, on the thread that takes all calls in."""

    def __init__(
        self, gate: Gate, handlers: MethodHandlers, pools: dict[PoolName, CallPool], audit_log: AuditLog
    ) -> None:
        self._gate, self._handlers, self._pools, self._audit_log = gate, handlers, pools, audit_log
        self._served: dict[str, _Served] = {}
        self._busy = [(error, refusal(rich_status_of(error))) for error in map(_busy_for, _PUSHBACKS_SECONDS)]

    def add(self, service: ServiceDescriptor, servicer: object) -> None:
        """Answer all methods of a service; the servicer has a method of the same name for each.

        Raises:
            KeyError: A method has no row in `METHODS`.
        """
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            policy = METHODS[name]
            pool = self._pools[policy.pool]
            self._served[name] = _Served(name, policy, pool, self._handler(name, method, servicer, policy, pool))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler | None:
        """Return what answers a call; None, which clients see as UNIMPLEMENTED, for what is not in the table."""
        served = self._served.get(handler_call_details.method)
        if served is None:
            return None
        if served.pool.full:
            error, at_once = random.choice(self._busy)
            self._note(served, error, handler_call_details)
            return self._refused(served, error) if served.policy.audited else at_once
        try:
            self._gate.admit(served.policy, handler_call_details.invocation_metadata)
        except ServingError as error:
            self._note(served, error, handler_call_details)
            return self._refused(served, error)
        return served.handler

    def _handler(
        self, name: str, method: MethodDescriptor, servicer: object, policy: MethodPolicy, pool: CallPool
    ) -> Handler:
        answer = getattr(servicer, method.name)
        if method.server_streaming:
            return self._handlers.streaming(method, answer, policy, pool)
        if policy.audited:
            answer = audited(answer, name, self._audit_log)
        return self._handlers.unary(method, answer, policy, pool)

    def _note(self, served: _Served, error: ServingError, call: grpc.HandlerCallDetails) -> None:
        count_refusal(error)
        self._handlers.refusals.note(error, method=served.name, metadata=call.invocation_metadata)

    def _refused(self, served: _Served, error: ServingError) -> Handler:
        record = partial(self._record, served.name, status_name_of(error)) if served.policy.audited else None
        return refusal(rich_status_of(error), record)

    def _record(self, name: str, outcome: str, context: grpc.ServicerContext) -> None:
        try:
            who = CALLER.get(UNKNOWN).name
            self._audit_log.refuse(who=who, what=name, peer=context.peer(), outcome=outcome)
        except AuditError as error:
            _log.error("%s", error)


def _busy_for(seconds: float) -> OverloadError:
    return OverloadError("the server is busy", retry_after_seconds=seconds)
