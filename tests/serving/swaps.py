"""What a swap costs, measured on a running server: the benchmark and the tests use the same functions."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from serving.client import Client, Value
from serving.formats.release import Release
from tests.serving.harness import RunningServer, eventually


class Watchers:
    """Clients on connections of their own, enough that every worker is asked all the time."""

    def __init__(self, address: str, model: str, row: Mapping[str, Value], *, connections: int) -> None:
        self._address, self._model, self._row = address, model, row
        self._stopping = threading.Event()
        self._last: list[dict[int, float]] = [{} for _ in range(connections)]
        self._threads = [threading.Thread(target=self._ask, args=(last,)) for last in self._last]

    def last_answer_before(self, generation: int) -> float:
        """Return when the last answer of an earlier generation came, on the monotonic clock."""
        return max(at for last in self._last for seen, at in list(last.items()) if seen < generation)

    def all_answered_by(self, generation: int) -> bool:
        """Return whether every connection has had an answer of this generation."""
        return all(generation in last for last in self._last)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, last: dict[int, float]) -> None:
        with Client(self._address) as client:
            while not self._stopping.wait(0.004):
                answer = client.predict(self._model, self._row)
                last[answer.generation] = time.monotonic()


@contextmanager
def watchers_of(address: str, model: str, row: Mapping[str, Value], *, connections: int = 8) -> Iterator[Watchers]:
    """Ask for the time of the block."""
    watchers = Watchers(address, model, row, connections=connections)
    watchers.start()
    try:
        yield watchers
    finally:
        watchers.stop()


def promotion_lags(
    address: str,
    model: str,
    row: Mapping[str, Value],
    promotions: Iterator[Callable[[], Release]],
    *,
    connections: int = 8,
) -> list[float]:
    """Return the seconds from each promotion's commit to the last answer by an earlier version, of all workers.

    Args:
        address: A running server of the model; it answers already.
        model: Its name.
        row: What is asked again and again.
        promotions: Each commits one promotion and returns its entry.
        connections: With two workers, the chance that one of them has none is 2 ** (1 - connections).
    """
    lags = []
    with watchers_of(address, model, row, connections=connections) as watchers:
        for promote in promotions:
            generation = promote().generation
            committed = time.monotonic()
            eventually(lambda g=generation: watchers.all_answered_by(g), what=f"generation {generation}")
            lags.append(max(0.0, watchers.last_answer_before(generation) - committed))
    return lags


def worker_bytes(server: RunningServer) -> int:
    """Return the memory that the workers hold for themselves alone, in bytes."""
    return sum(worker.memory_full_info().uss for worker in server.children("worker"))
