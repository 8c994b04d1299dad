"""Work that waits in line, taken many at a time."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Has the serving thread, which alone may use it, work on whatever waits."""

    def __init__(
        self, work_on: Callable[[Sequence[T]], None], soon: Callable[[Callable[[], None]], None], *, at_most: int
    ) -> None:
        """Prepare it.

        Args:
            work_on: Gets what waits, in the order in which it came.
            soon: Has the serving thread do something once it has taken in what waits.
            at_most: How many are taken at a time.
        """
        self._work_on, self._soon, self._at_most = work_on, soon, at_most
        self._waiting: list[T] = []

    def join(self, one: T) -> None:
        """Add to the line."""
        self._waiting.append(one)
        if len(self._waiting) == 1:
            self._soon(self._work)

    def _work(self) -> None:
        taken, self._waiting = self._waiting[: self._at_most], self._waiting[self._at_most :]
        if self._waiting:
            self._soon(self._work)
        self._work_on(taken)
