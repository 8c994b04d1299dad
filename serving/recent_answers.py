"""Makes retries safe within one worker: the same request id gets the same answer and one record."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from serving.errors import RequestConflictError

MAXIMUM_AGE_SECONDS = 300.0
MAXIMUM_IDS = 100_000
MAXIMUM_ROWS = 500_000

T = TypeVar("T")


@dataclass(slots=True)
class _Entry(Generic[T]):
    payload: bytes
    since: float
    rows: int
    answer: T | None = None
    error: BaseException | None = None
    awaited: bool = False


class RecentAnswers(Generic[T]):
    """Answers of the last five minutes by (identity, model, request id), bounded in ids and in rows."""

    def __init__(
        self, *, seconds: float = MAXIMUM_AGE_SECONDS, ids: int = MAXIMUM_IDS, rows: int = MAXIMUM_ROWS
    ) -> None:
        self._seconds, self._ids, self._rows = seconds, ids, rows
        self._entries: OrderedDict[tuple[str, str, str], _Entry[T]] = OrderedDict()
        self._n_rows = 0
        self._settled = threading.Condition()

    def once(self, key: tuple[str, str, str], payload: bytes, compute: Callable[[], T], *, rows: int = 1) -> T:
        """Return the answer given to this request id before, or compute and remember it.

        Args:
            key: Identity, model and request id.
            payload: Digest of everything else in the request.
            compute: Scores and journals; called again by the next retry if it fails.
            rows: Size of the answer.

        Raises:
            RequestConflictError: The id came before with another payload.
        """
        now = time.monotonic()
        with self._settled:
            entry = self._entries.get(key)
            if entry is not None and entry.since > now - self._seconds:
                return self._answer_of(entry, key, payload)
            self._make_room(now, rows)
            entry = self._entries[key] = _Entry(payload, now, rows)
            self._n_rows += rows
        try:
            answer = compute()
        except BaseException as error:
            with self._settled:
                entry.error = error
                if self._entries.get(key) is entry:
                    self._forget(key)
                self._settled.notify_all()
            raise
        entry.answer = answer
        if entry.awaited:
            with self._settled:
                self._settled.notify_all()
        return answer

    def _answer_of(self, entry: _Entry[T], key: tuple[str, str, str], payload: bytes) -> T:
        if entry.payload != payload:
            raise RequestConflictError(f"request id {key[-1][:80]!r} was used for another payload")
        entry.awaited = True
        self._settled.wait_for(lambda: entry.answer is not None or entry.error is not None)
        if entry.error is not None:
            raise entry.error
        assert entry.answer is not None
        return entry.answer

    def _make_room(self, now: float, rows: int) -> None:
        while self._entries:
            key, oldest = next(iter(self._entries.items()))
            room = len(self._entries) < self._ids and self._n_rows + rows <= self._rows
            if room and oldest.since > now - self._seconds:
                return
            self._forget(key)

    def _forget(self, key: tuple[str, str, str]) -> None:
        self._n_rows -= self._entries.pop(key).rows
