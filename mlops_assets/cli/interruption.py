"""Ctrl-C, SIGTERM and SIGHUP end a command; one that a library has swallowed is remembered for the next `check`."""

import signal
import threading
from types import FrameType

_requested = threading.Event()


class Interruption(KeyboardInterrupt):
    """A signal asks the command to end.

    A class of its own, because CPython ends a process by SIGINT, whatever its exit code, when a plain
    KeyboardInterrupt has once left an `exec` of source text, and importing dataclasses does many of those.
    """


def listen() -> None:
    """Raise Interruption at each of the three signals."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def check() -> None:
    """Raise Interruption if a signal has come: the one raised at that moment may have been lost in a callback."""
    if _requested.is_set():
        raise Interruption


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _requested.set()
    raise Interruption
