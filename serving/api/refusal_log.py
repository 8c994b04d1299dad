"""Logs calls that were refused or have failed: seldom enough that a flood of them costs nothing."""

import logging
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from serving.api.grpc_status import status_name_of
from serving.errors import ServingError
from serving.logs import fields, stack_of
from serving.security.identity import CALLER, UNKNOWN

_SECONDS = 1.0
_INTERNAL = "INTERNAL"
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_REQUEST_ID = 256

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Kind:
    next_at: float = 0.0
    unlogged: int = 0


class RefusalLog:
    """At most one line a second for each method and status, with the number of calls that had none."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._guard = threading.Lock()

    def note(
        self, error: BaseException, *, method: str, metadata: Iterable[tuple[str, str | bytes]], request: object = None
    ) -> None:
        """Log one call.

        Args:
            error: Why it was not answered.
            method: Its name.
            metadata: What came with it, for the trace that it belongs to.
            request: Its message, if it was read, for the request id.
        """
        status = status_name_of(error)
        unlogged = self._turn_of(method, status)
        if unlogged is None:
            return
        shown = fields(
            method=method,
            status=status,
            reason=type(error).__name__,
            caller=CALLER.get(UNKNOWN).name,
            request_id=str(getattr(request, "request_id", ""))[:_LONGEST_REQUEST_ID],
            trace_id=_trace_id_of(metadata),
            unlogged=unlogged,
            stack="" if isinstance(error, ServingError) else stack_of(error),
        )
        if status == _INTERNAL:
            _log.error("a call failed", extra=shown)
        else:
            _log.info("a call was refused", extra=shown)

    def _turn_of(self, method: str, status: str) -> int | None:
        now = time.monotonic()
        with self._guard:
            kind = self._kinds.setdefault((method, status), _Kind())
            if now < kind.next_at:
                kind.unlogged += 1
                return None
            unlogged, kind.unlogged, kind.next_at = kind.unlogged, 0, now + _SECONDS
            return unlogged


def _trace_id_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == "traceparent" and isinstance(value, str) and (match := _TRACE_PARENT.fullmatch(value)):
            return match[1]
    return ""
