"""Has every control call in the audit log, whatever becomes of it."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from serving.api.call import Call
from serving.api.call_pools import CallPool
from serving.api.grpc_status import status_name_of
from serving.complaints import Complaints
from serving.errors import AuditError
from serving.security.audit import AuditLog
from serving.security.identity import CALLER

_STRANGERS_PER_SECOND = 10
_MOST_WAITING = 1000
_CLOCKS_SECONDS = 0.1
"""By which the deadline of a call may pass for its client before it passes here."""

_log = logging.getLogger(__name__)


class AuditTrail:
    """Knows the control calls that were let in and are not decided yet, and writes of each once.

    Attributes:
        pool: One thread that writes of the calls that are not carried out: the serving thread does not wait for a disk.
    """

    def __init__(self, path: Path) -> None:
        """Prepare it, with the path of the audit log."""
        self.pool = CallPool("audit", threads=1, queue=_MOST_WAITING)
        self._audit_log = AuditLog(path)
        self._undecided: dict[Call, str] = {}
        self._second, self._strangers = 0, 0
        self._complaints = Complaints(_log)

    def watched(self, begin: Callable[[Call], None]) -> Callable[[Call], None]:
        """Return how the calls of a method begin of which each is to be in the log."""

        def watch(call: Call) -> None:
            self._undecided[call] = call.peer()
            begin(call)

        return watch

    def audited(self, answer: Callable[[Any, Any], Any], name: str) -> Callable[[Any, Any], Any]:
        """Return the method with what it carries out in the log, before and after."""

        def recorded(request: Message, call: Call) -> Message:
            arguments = MessageToDict(request, preserving_proto_field_name=True)
            peer = self._undecided.get(call, "")
            entry = self._audit_log.accept(who=call.caller.name, what=name, peer=peer, arguments=arguments)
            self._undecided.pop(call, None)
            outcome = "OK"
            try:
                return answer(request, call)  # type: ignore[no-any-return]
            except BaseException as error:
                outcome = status_name_of(error)
                raise
            finally:
                try:
                    self._audit_log.close(entry, outcome)
                except AuditError as error:  # it was carried out, and the log says that it was about to be
                    _log.error("call %s ended with %s: %s", entry["call"], outcome, error)

        return recorded

    def turn_away(self, call: Call, error: BaseException, end: Callable[[], None]) -> None:
        """Write of a call that the gate did not let in, then end it.

        Strangers have ten lines a second, so that nobody fills the disk from outside; for the serving thread.
        """
        who = CALLER.get().name
        if who or self._may_stranger():
            self._write(call, who, call.peer(), status_name_of(error), end)
        else:
            end()

    def refuse(self, call: Call, error: BaseException, end: Callable[[], None]) -> None:
        """End a call that was let in; if it is a control call of which nothing is written yet, after its line."""
        peer = self._undecided.pop(call, None)
        if peer is None:
            end()
        else:
            self._write(call, call.caller.name, peer, status_name_of(error), end)

    def abandon(self, call: Call) -> None:
        """Write of a call that has ended before it was its turn, if it is a control call."""
        peer = self._undecided.pop(call, None)
        if peer is not None:
            outcome = "DEADLINE_EXCEEDED" if call.time_remaining() < _CLOCKS_SECONDS else "CANCELLED"
            self._write(call, call.caller.name, peer, outcome, lambda: None)

    def _may_stranger(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._strangers = second, 0
        self._strangers += 1
        return self._strangers <= _STRANGERS_PER_SECOND

    def _write(self, call: Call, who: str, peer: str, outcome: str, end: Callable[[], None]) -> None:
        def work() -> None:
            try:
                self._audit_log.refuse(who=who, what=call.method, peer=peer, outcome=outcome)
                self._complaints.mended("control calls")
            except AuditError as error:
                self._complaints.say("control calls", str(error))
            finally:
                self.pool.leave(call)
                if not self.pool.calls:
                    self._complaints.mended("refused control calls")
                end()

        if self.pool.full:
            self._complaints.say("refused control calls", f"more than {_MOST_WAITING} wait for the audit log")
            end()
            return
        self.pool.enter(call)
        try:
            self.pool.run(work)
        except RuntimeError:  # there is no thread to be had
            work()
