"""Something that is done again and again on a thread of its own.

All tickers of a process tick at the same moments: what disturbs the calls then disturbs few of them.
"""

import logging
import threading
import time
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
        while not self._stopping.wait(seconds_to_tick(self._seconds)):
            try:
                self._action()
            except Exception:  # the edge of the thread: it must outlive one failure
                _log.exception("%s failed", self._thread.name)


def seconds_to_tick(seconds: float) -> float:
    """Return how long it is to the next tick of all that tick every so many seconds."""
    return seconds - time.monotonic() % seconds
