"""Clients that keep a server busy and remember what was acknowledged."""

import random
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from serving.client import Client, Prediction, Row
from serving.errors import ServingError
from tests.serving.toy import MODEL


class Load:
    """A few threads that predict until they are stopped."""

    def __init__(self, address: str, *, retry_seconds: float, stream: bool) -> None:
        self._address, self._patience, self._stream = address, retry_seconds, stream
        self._stopping = threading.Event()
        self.answers: list[tuple[float, Prediction]] = []
        self.failures: list[ServingError] = []

    def run(self) -> None:
        with Client(self._address, retry_seconds=self._patience) as client:
            try:
                (self._predict_in_a_stream if self._stream else self._predict_one_by_one)(client)
            except ServingError as error:
                self.failures.append(error)

    def _predict_one_by_one(self, client: Client) -> None:
        for distance in self._distances():
            try:
                self.answers.append((distance, client.predict(MODEL, _row(distance))))
            except ServingError as error:
                self.failures.append(error)

    def _predict_in_a_stream(self, client: Client) -> None:
        sent: deque[float] = deque()

        def rows() -> Iterator[Row]:
            for distance in self._distances():
                sent.append(distance)
                yield Row(_row(distance))

        for answer in client.predict_stream(MODEL, rows()):
            distance = sent.popleft()
            if isinstance(answer, ServingError):
                self.failures.append(answer)
            else:
                self.answers.append((distance, answer))

    def _distances(self) -> Iterator[float]:
        chooser = random.Random(threading.get_ident())
        while not self._stopping.wait(0.002):
            yield float(chooser.randrange(1000))

    def stop(self) -> None:
        self._stopping.set()

    @property
    def acknowledged(self) -> list[str]:
        return [answer.prediction_id for _, answer in self.answers]


def _row(distance: float) -> dict[str, float | str | None]:
    return {"distance": distance, "hour": None, "carrier": "aa", "origin": None}


@contextmanager
def load_on(address: str, *, threads: int = 3, retry_seconds: float = 30.0, stream: bool = False) -> Iterator[Load]:
    """Keep `threads` clients busy for the time of the block, with a stream each or with single calls."""
    load = Load(address, retry_seconds=retry_seconds, stream=stream)
    workers = [threading.Thread(target=load.run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        load.stop()
        for worker in workers:
            worker.join()
