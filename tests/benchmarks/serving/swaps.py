"""What a change of the model costs those who call meanwhile."""

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psutil
from numpy.typing import NDArray

from serving.errors import ServingError
from tests.benchmarks.serving.answers import measured
from tests.benchmarks.serving.load import Load, LoadError
from tests.benchmarks.serving.model import CONTRACT, BenchmarkModel, promote
from tests.benchmarks.serving.servers import Endpoint, OurServer
from tests.serving.harness import ROOT, eventually

_N_CONNECTIONS = 16
_SETTLED_SECONDS = 0.3
_BETWEEN_SWAPS_SECONDS = 1.0
_CALLS_A_SAMPLE = 500
_TOLERANCE = 1e-4
_MIB = 1024 * 1024


@dataclass
class Callers:
    """Threads that ask for one row again and again, each over its own connection, and remember every answer.

    Attributes:
        answers: Time of the answer (monotonic seconds), its duration in seconds, and the version that it names.
        failures: Calls that were not answered, or answered with another version's score.
    """

    server: OurServer
    scores: dict[str, float]
    pause_seconds: float
    answers: list[tuple[float, float, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, row: dict[str, float | str]) -> None:
        """Call until `stop`."""
        with self.server.client(retry_seconds=0) as client:
            while not self._stopping.is_set():
                began = time.monotonic()
                try:
                    answer = client.predict(CONTRACT.model, row)
                except ServingError as error:
                    self.failures.append(str(error))
                    continue
                now = time.monotonic()
                self.answers.append((now, now - began, answer.model_version))
                if abs(answer.probability - self.scores[answer.model_version]) > _TOLERANCE:
                    self.failures.append(f"version {answer.model_version} answered {answer.probability}")
                if self.pause_seconds:
                    self._stopping.wait(self.pause_seconds)

    def stop(self) -> None:
        """Let the threads end."""
        self._stopping.set()

    def last_answer_of(self, version: str, *, since: float) -> float:
        """Return when a version answered last after a moment, or that moment if it did not."""
        return max((at for at, _, named in self.answers if named == version and at >= since), default=since)


@contextmanager
def calling(
    server: OurServer, versions: dict[str, BenchmarkModel], *, threads: int = _N_CONNECTIONS, pause_seconds: float = 0.0
) -> Iterator[Callers]:
    """Call with several threads for the time of the block.

    Raises:
        LoadError: A call failed, or an answer was not that of the version it names.
    """
    row = next(iter(versions.values())).row(0)
    callers = Callers(server, {name: float(model.scores[0]) for name, model in versions.items()}, pause_seconds)
    running = [threading.Thread(target=callers.run, args=(row,)) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield callers
    finally:
        callers.stop()
        for thread in running:
            thread.join()
    if callers.failures:
        raise LoadError(f"{len(callers.failures)} of {len(callers.answers)} calls failed: {callers.failures[0]}")


def seconds_to_last_old_answer(server: OurServer, models: list[BenchmarkModel], promotions: int) -> list[float]:
    """Promote two versions in turn and return how long the old one was still answered, from the start of the commit.

    The connections are so many that every worker has some; a promotion has settled when none of them has named the old
    version for a while.
    """
    versions = {model.deployed.version: model for model in models}
    found = []
    with calling(server, versions, pause_seconds=0.004) as callers:
        for number in range(promotions):
            old, new = models[number % 2], models[(number + 1) % 2]
            time.sleep(_SETTLED_SECONDS)
            began = time.monotonic()
            promote(server.store, new)
            while True:
                time.sleep(_SETTLED_SECONDS)
                last = callers.last_answer_of(old.deployed.version, since=began)
                if last < time.monotonic() - _SETTLED_SECONDS:
                    break
            newer = callers.last_answer_of(new.deployed.version, since=began)
            if newer <= last:
                raise LoadError(f"version {new.deployed.version} does not answer")
            found.append(last - began)
            callers.answers.clear()
    return found


def memory_during_swaps(server: OurServer, models: list[BenchmarkModel], swaps: int) -> dict[int, float]:
    """Swap again and again under a light load; returns MiB of the worker by the number of swaps done."""
    versions = {model.deployed.version: model for model in models}
    (worker,) = server.children("worker")
    found = {}
    with calling(server, versions, threads=1, pause_seconds=0.01), server.client() as client:
        for number in range(1, swaps + 1):
            release = promote(server.store, models[number % 2])
            eventually(lambda g=release.generation: client.model_info(CONTRACT.model).generation == g, what="the swap")
            if number % 10 == 0:
                found[number] = _resident_mib(worker)
    return found


def _resident_mib(worker: psutil.Process) -> float:
    """Return the median of a few looks, because a swap's own buffers come and go."""
    looks = []
    for _ in range(5):
        time.sleep(0.1)
        looks.append(worker.memory_info().rss / _MIB)
    return statistics.median(looks)


def calls_during_swaps(
    ours: Endpoint, server: OurServer, models: list[BenchmarkModel], load: Load, *, swaps: int
) -> NDArray[np.float64]:
    """Send rows one after the other while versions are swapped, and return the milliseconds of all calls.

    A second, light caller proves that every score is that of the version it names.
    """
    versions = {model.deployed.version: model for model in models}

    def swap() -> None:
        for number in range(swaps):
            promote(server.store, models[(number + 1) % 2])
            time.sleep(_BETWEEN_SWAPS_SECONDS)

    swapping = threading.Thread(target=swap)
    found = []
    with calling(server, versions, threads=1, pause_seconds=0.05):
        swapping.start()
        while swapping.is_alive():
            sample = measured(load, ours.single(0), concurrency=1, calls=_CALLS_A_SAMPLE)
            found.append(sample.milliseconds)
    return np.concatenate(found)


@contextmanager
def retraining() -> Iterator[None]:
    """Search and fit in a process of its own, as a retraining does, for the time of the block."""
    command = [sys.executable, "-m", "tests.benchmarks.serving.retraining"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
            if process.poll() is not None:
                raise LoadError("the retraining ended before the load")
        finally:
            process.terminate()
