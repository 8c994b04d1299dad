"""Work that waits in line, taken many at a time by one thread."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Line(Generic[T]):
    """Has a thread work on whatever waits, for as long as something does."""

    def __init__(
        self, work_on: Callable[[Sequence[T]], None], run: Callable[[Callable[[], None]], None], *, at_most: int
    ) -> None:
        """Prepare it.

        Args:
            work_on: Gets what waits, in the order in which it came.
            run: Has a thread call what it is given.
            at_most: How many are taken at a time.
        """
        self._work_on, self._run, self._at_most = work_on, run, at_most
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
        self._run(self._work)

    def _work(self) -> None:
        while taken := self._take():
            try:
                self._work_on(taken)
            except Exception:  # those behind must not wait forever
                _log.exception("%d calls failed outside of their handler", len(taken))

    def _take(self) -> list[T]:
        with self._guard:
            taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._at_most))]
            self._has_worker = bool(taken)
            return taken
