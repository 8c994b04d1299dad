"""How a child process of the supervisor learns that it is to stop: its standard input ends, however that came about."""

import json
import signal
import sys
import threading
from contextlib import suppress
from importlib.abc import MetaPathFinder


class _WithoutPandas(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("the server does without pandas", name=fullname)


def keep_pandas_out() -> None:
    """Make pandas seem absent.

    pyarrow loads pandas wherever it is installed, at the first array: seconds at start, for nothing.
    """
    sys.meta_path.insert(0, _WithoutPandas())


def stop_event(*, on_terminate: bool) -> threading.Event:
    """Return an event that is set when the supervisor lets go, also when it was killed.

    Args:
        on_terminate: Whether SIGTERM sets it too, or is left to the supervisor. SIGINT always is: a terminal
            sends it to the whole group.
    """
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, (lambda *_: stopping.set()) if on_terminate else signal.SIG_IGN)

    def watch() -> None:
        with suppress(OSError, ValueError):
            sys.stdin.buffer.read()
        stopping.set()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
    return stopping


def tell(**state: object) -> None:
    """Tell the supervisor something about this process."""
    with suppress(BrokenPipeError):
        print(json.dumps(state), flush=True)
