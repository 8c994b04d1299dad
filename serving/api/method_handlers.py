"""Turns the methods of servicers into handlers of calls: bytes are checked and parsed, errors become statuses."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from serving.api.arrivals import Arrivals
from serving.api.audit_trail import AuditTrail
from serving.api.call import Call, CallCanceledError
from serving.api.call_pools import CallPool
from serving.api.gate import GATE_ERRORS, Gate, count_refusal
from serving.api.grpc_status import end_of
from serving.api.line import Line
from serving.api.message_limits import SMALL_BYTES, LargeMessages, parser_of
from serving.api.methods import MethodPolicy
from serving.api.refusal_log import RefusalLog
from serving.errors import (
    ContractError,
    DeadlineExceededError,
    DrainingError,
    MessageLimitError,
    Violation,
    forget_frames,
)
from serving.security.identity import CALLER
from serving.settings import ServingSettings

_DRAINING_SECONDS = 0.25
_MOST_TOGETHER = 32
_LONGEST_TOGETHER_BYTES = SMALL_BYTES
"""Of a message that the serving thread itself looks at: to refuse one takes 0.4 ms a KiB at worst."""


Answer = Callable[[Any, Any], Any]
"""A servicer's method: of a message, or an iterator of them, and the call as its context."""

AnswerAll = Callable[[Sequence[Any], Sequence[Call]], Sequence[Message | BaseException]]
"""The same for calls that are answered together."""

Begin = Callable[[Call], None]
"""What is done with a call that was let in, on the serving thread."""

_log = logging.getLogger(__name__)


class MethodHandlers:
    """Makes the handlers of one worker and watches over the calls that wait for a message."""

    def __init__(
        self,
        settings: ServingSettings,
        gate: Gate,
        soon: Callable[[Callable[[], None]], None],
        refusals: RefusalLog,
    ) -> None:
        """Prepare them.

        Args:
            settings: Bound sizes and patience, and name the audit log.
            gate: Lets messages of streams in.
            soon: Has the serving thread do something once it has taken in what waits.
            refusals: Logs calls that are not answered.
        """
        self._gate, self._soon, self.refusals = gate, soon, refusals
        self._may_wait_long = settings.durability == "group"
        self._calls, self._streams = Arrivals(settings.receive_seconds), Arrivals(settings.idle_stream_seconds)
        self._large = LargeMessages(settings.maximum_large_bytes)
        self.audit_trail = AuditTrail(settings.audit_log)
        self._draining = False

    def unary(self, method: MethodDescriptor, answer: Answer, policy: MethodPolicy, pool: CallPool) -> Begin:
        """Return how calls with one request and one response begin: a thread is taken once the message is there."""
        handle = self._handler(method, answer, policy, pool)
        return self._once_arrived(lambda call, content: self._hand_over(handle, call, content, pool), pool)

    def together(
        self, method: MethodDescriptor, answer: Answer, answer_all: AnswerAll, policy: MethodPolicy, pool: CallPool
    ) -> Begin:
        """Return the same for calls that the serving thread answers itself, all at once that wait at the same time.

        No call waits for others to come. All calls wait for the serving thread: a call that names a version, which may
        have to be loaded, and one whose message is long are answered by a thread of the pool, and all are where an
        answer waits for the disk.
        """
        parse, handle_alone = parser_of(method.input_type), self._handler(method, answer, policy, pool)

        def handle(taken: Sequence[tuple[Call, bytes | None]]) -> None:
            requests: dict[Call, Any] = {}
            for call, content in taken:
                try:
                    if not self._start(call):
                        pool.leave(call)
                        continue
                    _check_deadline(call)
                    request: Any = parse(_admissible(content, policy))
                    if request.version:
                        call.running = False
                        pool.run(partial(handle_alone, call, content), call)
                    else:
                        requests[call] = request
                except BaseException as error:
                    self._finish(call, error, pool)
            try:
                outcomes = answer_all([*requests.values()], [*requests])
            except BaseException as error:
                outcomes = [error for _ in requests]
            for (call, request), outcome in zip(requests.items(), outcomes, strict=True):
                self._finish(call, outcome, pool, request)

        def handle_elsewhere(taken: Sequence[tuple[Call, bytes | None]]) -> None:
            for call, _ in taken:
                call.running = True  # it keeps its place until a thread has taken the group and with it the message
            try:
                pool.run(partial(handle, taken))
            except RuntimeError:  # there is no thread to be had
                handle(taken)

        line = Line(handle_elsewhere if self._may_wait_long else handle, self._soon, at_most=_MOST_TOGETHER)

        def take(call: Call, content: bytes | None) -> None:
            if content is not None and len(content) > _LONGEST_TOGETHER_BYTES:
                self._hand_over(handle_alone, call, content, pool)
            else:
                line.join((call, content))

        return self._once_arrived(take, pool)

    def streaming(self, method: MethodDescriptor, answer: Answer, policy: MethodPolicy, pool: CallPool) -> Begin:
        """Return how calls begin that are answered with a stream, of a message or of an iterator of them."""
        parse = parser_of(method.input_type)

        def requests(call: Call) -> Iterator[Message]:
            while (content := _next(call, self._streams)) is not None:
                if self._draining:
                    raise DrainingError("the server is stopping: this message was not answered, send it again")
                self._gate.admit_message()
                yield parse(_admissible(content, policy))

        def request(call: Call) -> Message:
            return parse(_admissible(_next(call, self._calls), policy))

        read = requests if method.client_streaming else request

        def handle(call: Call) -> None:
            try:
                if not self._start(call):
                    return
                for response in answer(read(call), call):
                    call.send(response.SerializeToString())
                call.end()
            except CallCanceledError:  # nobody is there to be told
                pass
            except BaseException as error:
                self._refuse(error, call)
            finally:
                pool.leave(call)

        return lambda call: pool.run(partial(handle, call), call)

    def canceled(self, call: Call, pool: CallPool) -> None:
        """Free what a call holds that still waited for its turn."""
        if not call.running:
            self._abandon(call, pool)

    def drain(self) -> None:
        """End the streams that are open: at their next message, which is not answered, or soon if none comes."""
        self._draining = True
        self._streams.hurry(_DRAINING_SECONDS)

    def tick(self) -> None:
        """End the calls whose messages do not arrive."""
        self._calls.tick()
        self._streams.tick()

    def _handler(
        self, method: MethodDescriptor, answer: Answer, policy: MethodPolicy, pool: CallPool
    ) -> Callable[[Call, bytes | None], None]:
        parse = parser_of(method.input_type)

        def handle(call: Call, content: bytes | None) -> None:
            request: Message | None = None
            try:
                if not self._start(call):
                    self._abandon(call, pool)
                    return
                message = _admissible(content, policy)
                _check_deadline(call)
                request = parse(message)
                outcome: Message | BaseException = answer(request, call)
            except BaseException as error:  # the edge of the process: the table decides what the client is told
                outcome = error
            finally:
                self._large.release(call)
            self._finish(call, outcome, pool, request)

        return handle

    def _once_arrived(self, take: Callable[[Call, bytes | None], None], pool: CallPool) -> Begin:
        def arrived(call: Call, content: bytes | None) -> None:
            self._calls.came(call)
            if call.canceled:
                return
            try:
                take(call, content)
            except Exception as error:  # there is no room, or no thread to be had
                self._large.release(call)
                self._finish(call, error, pool)

        def begin(call: Call) -> None:
            self._calls.expect(call)
            call.on_message(arrived)

        return begin

    def _hand_over(
        self, handle: Callable[[Call, bytes | None], None], call: Call, content: bytes | None, pool: CallPool
    ) -> None:
        self._large.claim(call, content)
        pool.run(partial(handle, call, content), call)

    def _abandon(self, call: Call, pool: CallPool) -> None:
        pool.drop(call)
        self._large.release(call)
        self.audit_trail.abandon(call)

    def _start(self, call: Call) -> bool:
        """Let this thread answer a call, unless nobody waits for it any more."""
        call.running = True
        CALLER.set(call.caller)
        return not call.canceled

    def _finish(
        self, call: Call, outcome: Message | BaseException, pool: CallPool, request: Message | None = None
    ) -> None:
        """Send an answer or a refusal, and leave the pool, whatever happens."""
        try:
            if isinstance(outcome, BaseException):
                self._refuse(outcome, call, request)
            else:
                call.answer(outcome.SerializeToString())
        except BaseException:
            _log.exception("a call could not be answered")
            call.cancel()
        finally:
            pool.leave(call)

    def _refuse(self, error: BaseException, call: Call, request: Message | None = None) -> None:
        CALLER.set(call.caller)
        if isinstance(error, GATE_ERRORS) or (request is None and isinstance(error, ContractError)):
            count_refusal(error)
        self.refusals.note(error, method=call.method, metadata=call.metadata, request=request)
        self.audit_trail.refuse(call, error, partial(call.end, end_of(error)))
        forget_frames(error)


def _next(call: Call, arrivals: Arrivals) -> bytes | None:
    arrivals.expect(call)
    try:
        return call.receive()
    finally:
        arrivals.came(call)


def _admissible(content: bytes | None, policy: MethodPolicy) -> bytes:
    if content is None:
        raise ContractError([Violation("message", "is missing: the call ended without one")])
    if len(content) > policy.maximum_bytes:
        raise MessageLimitError(f"the message has {len(content)} bytes, at most {policy.maximum_bytes} are taken")
    return content


def _check_deadline(call: Call) -> None:
    if call.time_remaining() == 0:
        raise DeadlineExceededError("the deadline passed while the call waited")
