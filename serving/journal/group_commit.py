"""Makes records durable in groups: one sync to the disk serves everybody who waits for one."""

import threading
from collections.abc import Callable


class GroupCommit:
    """Lets the first who waits sync for all; those who come meanwhile share the next sync."""

    def __init__(self, sync: Callable[[], int]) -> None:
        """Take what syncs.

        Args:
            sync: Makes everything that is written durable; returns the place of the last record that it covers.
        """
        self._sync = sync
        self._changed = threading.Condition()
        self._durable = 0
        self._leading = False

    def wait(self, place: int) -> None:
        """Return when the record at `place` is durable.

        Raises:
            JournalError: The disk did not take it.
        """
        while True:
            with self._changed:
                while self._leading and self._durable < place:
                    self._changed.wait()
                if self._durable >= place:
                    return
                self._leading = True
            self._lead()

    def _lead(self) -> None:
        durable = 0
        try:
            durable = self._sync()
        finally:
            with self._changed:
                self._leading = False
                self._durable = max(self._durable, durable)
                self._changed.notify_all()
