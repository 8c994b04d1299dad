"""The threads that answer calls, each pool with a bounded number of calls that run or wait in it."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue

from serving.api.call import Call
from serving.api.methods import PoolName
from serving.settings import ServingSettings

MAXIMUM_WATCHES = 64
"""Watches of health that a worker keeps open."""

_log = logging.getLogger(__name__)


class CallPool:
    """Threads, and places for the calls that run in them or wait for one.

    An executor of the standard library takes 12 µs a call for futures that nobody asks.
    """

    def __init__(self, name: str, *, threads: int, queue: int) -> None:
        self._name, self._most_threads, self._places = name, threads, threads + queue
        self._calls: set[Call] = set()
        self._threads: list[threading.Thread] = []
        self._waiting: OrderedDict[object, Callable[[], None]] = OrderedDict()
        self._turns: SimpleQueue[bool] = SimpleQueue()
        self._guard = threading.Lock()

    @property
    def calls(self) -> int:
        """Calls that have a place."""
        return len(self._calls)

    @property
    def full(self) -> bool:
        """Whether the next call must be refused; asked by the one thread that also lets calls in."""
        return len(self._calls) >= self._places

    def enter(self, call: Call) -> None:
        """Give a call a place."""
        self._calls.add(call)

    def leave(self, call: Call) -> None:
        """Take its place back, if it still has one."""
        self._calls.discard(call)

    def drop(self, call: Call) -> None:
        """Take its place back, and forget its work if no thread has taken it."""
        self.leave(call)
        with self._guard:
            work = self._waiting.pop(call, None)
        del work  # outside of the guard: with it goes the call's message

    def run(self, work: Callable[[], None], call: Call | None = None) -> None:
        """Have a thread do the work of calls that have places.

        Args:
            work: What is to be done.
            call: The call whose work it is, if it is one call's.

        Raises:
            RuntimeError: There is no thread, and none can be started.
        """
        if len(self._threads) < self._most_threads:
            self._start_thread()
        with self._guard:
            self._waiting[call or work] = work
        self._turns.put(True)

    def close(self, seconds: float) -> bool:
        """Let the threads go; returns whether all did so in time."""
        for _ in self._threads:
            self._turns.put(False)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _start_thread(self) -> None:
        """Start one more if there are more calls than threads."""
        with self._guard:
            if len(self._threads) >= min(self._most_threads, len(self._calls)):
                return
            thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                if not self._threads:
                    raise
                _log.warning("no further thread for %s calls can be started", self._name)
            else:
                self._threads.append(thread)

    def _serve(self) -> None:
        while self._turns.get():
            with self._guard:
                work = self._waiting.popitem(last=False)[1] if self._waiting else None
            if work is None:  # it was dropped
                continue
            try:
                work()
            except BaseException:  # libraries in Rust panic with one; further calls depend on this thread
                _log.exception("a call's work failed")
            del work  # it holds its call
        self._turns.put(False)  # for a thread that was started meanwhile


def call_pools(settings: ServingSettings) -> dict[PoolName, CallPool]:
    """Return the pools of one worker; their threads start when they are needed.

    A stream keeps its thread, so nothing waits behind streams: one more than there are threads is refused at once.
    """
    return {
        "scoring": CallPool("scoring", threads=settings.threads, queue=settings.queue),
        "waiting": CallPool("waiting", threads=4, queue=16),
        "streams": CallPool("streams", threads=settings.streams, queue=0),
        "watches": CallPool("watches", threads=MAXIMUM_WATCHES, queue=0),
        "probes": CallPool("probes", threads=2, queue=64),
    }
