"""Turns the methods of servicers into what grpcio calls: bytes come in, are checked and parsed; errors become statuses.

Every handler is registered as one of a stream of requests, whatever its kind. On the wire that is the same, and it is
the only kind that grpcio calls before the message is there, so that waiting for it can be watched.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from serving.api.arrivals import Arrivals
from serving.api.call_pools import CallPool
from serving.api.gate import GATE_ERRORS, Gate, count_refusal
from serving.api.grpc_status import refuse, status_name_of
from serving.api.message_limits import UNCOUNTED_BYTES, LargeMessages, parser_of
from serving.api.methods import MethodPolicy
from serving.api.refusal import Handler
from serving.api.refusal_log import RefusalLog
from serving.errors import (
    AuditError,
    ContractError,
    DeadlineExceededError,
    DrainingError,
    MessageLimitError,
    Violation,
)
from serving.security.audit import AuditLog
from serving.security.identity import CALLER
from serving.settings import ServingSettings

_DRAINING_SECONDS = 0.25

Answer = Callable[[Any, grpc.ServicerContext], Any]

_log = logging.getLogger(__name__)


class MethodHandlers:
    """Makes the handlers of one worker and watches over the calls that wait for a message."""

    def __init__(self, settings: ServingSettings, gate: Gate) -> None:
        self._gate = gate
        self._calls, self._streams = Arrivals(settings.receive_seconds), Arrivals(settings.idle_stream_seconds)
        self._large = LargeMessages(settings.maximum_large_bytes)
        self.refusals = RefusalLog()
        self._draining = False

    def unary(self, method: MethodDescriptor, answer: Answer, policy: MethodPolicy, pool: CallPool) -> Handler:
        """Return the handler of a method with one request and one response."""
        parse = parser_of(method.input_type)
        small = min(policy.maximum_bytes, UNCOUNTED_BYTES)

        def handle(contents: Iterator[bytes], context: grpc.ServicerContext) -> Message:
            request = None
            try:
                content = self._calls.next(contents, context)
                if content is not None and len(content) <= small:
                    _check_deadline(context)
                    request = parse(content)
                    return answer(request, context)  # type: ignore[no-any-return]
                with self._room_for(content, policy):
                    _check_deadline(context)
                    request = parse(content)  # type: ignore[arg-type]
                    return answer(request, context)  # type: ignore[no-any-return]
            except grpc.RpcError:  # the call was canceled: nobody is there to be told
                raise
            except Exception as error:  # the edge of the process: the table decides what the client is told
                self._refuse(error, context, method, request)

        handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
        return grpc.stream_unary_rpc_method_handler(handle, response_serializer=_serialize)

    def streaming(self, method: MethodDescriptor, answer: Answer, policy: MethodPolicy, pool: CallPool) -> Handler:
        """Return the handler of a method that answers with a stream; it gets a message, or an iterator of them."""
        parse = parser_of(method.input_type)

        def requests(contents: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Message]:
            while (content := self._streams.next(contents, context)) is not None:
                if self._draining:
                    raise DrainingError("the server is stopping: this message was not answered, send it again")
                self._gate.admit_message()
                with self._room_for(content, policy):
                    yield parse(content)

        def request(contents: Iterator[bytes], context: grpc.ServicerContext) -> Message:
            content = self._calls.next(contents, context)
            with self._room_for(content, policy):
                return parse(content)  # type: ignore[arg-type]

        read = requests if method.client_streaming else request

        def handle(contents: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Message]:
            try:
                yield from answer(read(contents, context), context)
            except grpc.RpcError:
                raise
            except Exception as error:
                self._refuse(error, context, method)

        handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
        return grpc.stream_stream_rpc_method_handler(handle, response_serializer=_serialize)

    def drain(self) -> None:
        """End the streams that are open: at their next message, which is not answered, or soon if none comes."""
        self._draining = True
        self._streams.hurry(_DRAINING_SECONDS)

    def tick(self) -> None:
        """End the calls whose messages do not arrive."""
        self._calls.tick()
        self._streams.tick()

    def _refuse(
        self, error: Exception, context: grpc.ServicerContext, method: MethodDescriptor, request: Message | None = None
    ) -> NoReturn:
        if isinstance(error, GATE_ERRORS):
            count_refusal(error)
        name = f"/{method.containing_service.full_name}/{method.name}"
        self.refusals.note(error, method=name, metadata=context.invocation_metadata(), request=request)
        refuse(error, context)

    def _room_for(self, content: bytes | None, policy: MethodPolicy) -> AbstractContextManager[None]:
        if content is None:
            raise ContractError([Violation("message", "is missing: the call ended without one")])
        if len(content) > policy.maximum_bytes:
            raise MessageLimitError(f"the message has {len(content)} bytes, at most {policy.maximum_bytes} are taken")
        return self._large.holding(len(content)) if len(content) > UNCOUNTED_BYTES else nullcontext()


def audited(answer: Answer, name: str, log: AuditLog) -> Answer:
    """Return the method with every call of it in the audit log."""

    def recorded(request: Message, context: grpc.ServicerContext) -> Message:
        arguments = MessageToDict(request, preserving_proto_field_name=True)
        entry = log.accept(who=CALLER.get().name, what=name, peer=context.peer(), arguments=arguments)
        outcome = "OK"
        try:
            return answer(request, context)  # type: ignore[no-any-return]
        except Exception as error:
            outcome = status_name_of(error)
            raise
        finally:
            try:
                log.close(entry, outcome)
            except AuditError as error:  # it was carried out, and the log says that it was about to be
                _log.error("call %s ended with %s: %s", entry["call"], outcome, error)

    return recorded


def _check_deadline(context: grpc.ServicerContext) -> None:
    if context.time_remaining() <= 0:
        raise DeadlineExceededError("the deadline passed while the call waited")


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
