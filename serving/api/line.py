"""Work that waits in line, taken many at a time by one thread."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from serving.api.call_pools import CallPool

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Line(Generic[T]):
    """Has a thread work on whatever waits, for as long as something does."""

    def __init__(self, work_on: Callable[[Sequence[T]], None], pool: CallPool, *, at_most: int) -> None:
        """Prepare it.

        Args:
            work_on: Gets what waits, in the order in which it came.
            pool: Whose threads call it, one at a time.
            at_most: How many are taken at a time.
        """
        self._work_on, self._pool, self._at_most = work_on, pool, at_most
        self._waiting: deque[T] = deque()
        self._has_worker = False
        self._guard = threading.Lock()

    def join(self, one: T) -> None:
        """Add to the line."""
        with self._guard:
            self._waiting.append(one)
            if self._has_worker:
                return
            self._has_worker = True
        self._pool.run(self._work)

    def _work(self) -> None:
        while taken := self._take():
            try:
                self._work_on(taken)
            except BaseException:  # libraries in Rust panic with one; those behind must not wait forever
                _log.exception("the work of %d calls failed", len(taken))
            if self._pool.has_work:  # which must not wait until nobody stands in line
                self._pool.run(self._work)
                return

    def _take(self) -> list[T]:
        with self._guard:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._at_most))]
            self._has_worker = bool(taken)
            return taken
