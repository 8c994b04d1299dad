"""Something that is done again and again on a thread of its own."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Ticker:
    """Calls an action every few seconds until it is stopped; an action that fails is logged and called again."""

    def __init__(self, action: Callable[[], None], *, seconds: float, name: str) -> None:
        self._action, self._seconds = action, seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the last call has."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._action()
            except Exception:  # the edge of the thread: it must outlive one failure
                _log.exception("%s failed", self._thread.name)
