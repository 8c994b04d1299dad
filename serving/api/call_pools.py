"""The threads that answer calls, each pool with a bounded number of calls that run or wait in it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from serving.api.methods import PoolName
from serving.settings import ServingSettings

MAXIMUM_WATCHES = 64
"""Watches of health that a worker keeps open."""


class CallPool(ThreadPoolExecutor):
    """Threads that know how many calls are theirs.

    grpcio takes an executor of its standard kind only, and hands it every call that is let in. A call leaves when its
    thread has sent the answer; one that was canceled while it waited leaves as soon as a thread sees that.
    """

    def __init__(self, name: str, *, threads: int, queue: int) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._places = threads + queue
        self._calls = 0
        self._lock = threading.Lock()

    @property
    def calls(self) -> int:
        """Calls that run or wait."""
        return self._calls

    @property
    def full(self) -> bool:
        """Whether the next call must be refused; asked by the one thread that also submits."""
        return self._calls >= self._places

    def submit(self, run: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Take a call in."""
        with self._lock:
            self._calls += 1
        return super().submit(self._run, run, *arguments, **options)

    def _run(self, run: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        try:
            run(*arguments, **options)
        finally:
            with self._lock:
                self._calls -= 1


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
