"""Ctrl-C, SIGTERM and SIGHUP end a command; one that a library has swallowed is remembered for the next `check`."""

import signal
import threading
from types import FrameType

_requested = threading.Event()


def listen() -> None:
    """Raise KeyboardInterrupt at each of the three signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def check() -> None:
    """Raise KeyboardInterrupt if a signal has come: the one raised at that moment may have been lost in a callback."""
    if _requested.is_set():
        raise KeyboardInterrupt


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _requested.set()
    raise KeyboardInterrupt
