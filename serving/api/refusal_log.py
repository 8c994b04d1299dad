"""Logs calls that were refused or have failed: seldom enough that a flood of them costs nothing."""

import logging
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

from protos.inference.open_inference_pb2 import ModelInferRequest
from serving.api.grpc_status import status_name_of
from serving.api.tensor_calls import REQUEST_ID
from serving.errors import ServingError, version_behind
from serving.formats.release import MODEL_NAME, VERSION_NAME
from serving.logs import fields, stack_of
from serving.security.identity import CALLER, UNKNOWN

_SECONDS = 1.0
_INTERNAL = "INTERNAL"
_TRACE_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_LONGEST_REQUEST_ID = 256
_LONGEST_CAUSE = 1000

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
            request: Its message, if it was read, for the request id and the names of model and version.
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
            request_id=_request_id_of(request)[:_LONGEST_REQUEST_ID],
            model=_name_of(request, MODEL_NAME, "model", "model_name"),
            model_version=version_behind(error) or _name_of(request, VERSION_NAME, "version", "model_version"),
            trace_id=_trace_id_of(metadata),
            unlogged=unlogged,
            cause=str(error)[:_LONGEST_CAUSE] if isinstance(error, ServingError) and error.told else "",
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


def _request_id_of(request: object) -> str:
    if isinstance(request, ModelInferRequest):
        return request.parameters[REQUEST_ID].string_param if REQUEST_ID in request.parameters else ""
    return str(getattr(request, "request_id", ""))


def _name_of(request: object, pattern: re.Pattern[str], *attributes: str) -> str:
    """Return what a client names, unless it can not be a name: it may be anything, of any length."""
    named = (str(getattr(request, attribute, "")) for attribute in attributes)
    return next((name for name in named if pattern.fullmatch(name)), "")


def _trace_id_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    for key, value in metadata:
        if key == "traceparent" and isinstance(value, str) and (match := _TRACE_PARENT.fullmatch(value)):
            return match[1]
    return ""
