"""Makes retries safe within one worker: the same request id gets the same answer and one record."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from serving.errors import RequestConflictError

MAXIMUM_AGE_SECONDS = 300.0
MAXIMUM_IDS = 100_000

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    payload: bytes
    since: float
    answer: "Future[T]" = field(default_factory=Future)


class RecentAnswers(Generic[T]):
    """Answers of the last five minutes, at most 100,000, by (model, request id)."""

    def __init__(self, *, seconds: float = MAXIMUM_AGE_SECONDS, ids: int = MAXIMUM_IDS) -> None:
        self._seconds, self._ids = seconds, ids
        self._entries: OrderedDict[tuple[str, str], _Entry[T]] = OrderedDict()
        self._guard = threading.Lock()

    def once(self, key: tuple[str, str], payload: bytes, compute: Callable[[], T]) -> T:
        """Return the answer given to this request id before, or compute and remember it.

        Args:
            key: Model and request id.
            payload: Digest of everything else in the request.
            compute: Scores and journals; also called again after it failed.

        Raises:
            RequestConflictError: The id came before with another payload.
        """
        now = time.monotonic()
        with self._guard:
            self._forget_before(now - self._seconds)
            entry = self._entries.get(key)
            if entry is not None and entry.payload != payload:
                raise RequestConflictError(f"request id {key[1][:80]!r} was used for another payload")
            first = entry is None
            if entry is None:
                entry = self._entries[key] = _Entry(payload, now)
        if not first:
            return entry.answer.result()
        try:
            answer = compute()
        except BaseException as error:
            with self._guard:
                if self._entries.get(key) is entry:
                    del self._entries[key]
            entry.answer.set_exception(error)
            raise
        entry.answer.set_result(answer)
        return answer

    def _forget_before(self, time_limit: float) -> None:
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.since >= time_limit and len(self._entries) < self._ids:
                return
            self._entries.popitem(last=False)
