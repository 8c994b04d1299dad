"""Clients that keep a server busy and remember what was acknowledged."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from serving.client import Client, Prediction
from serving.errors import ServingError
from tests.serving.toy import MODEL


class Load:
    """A few threads that predict until they are stopped."""

    def __init__(self, address: str, *, retry_seconds: float) -> None:
        self._address, self._patience = address, retry_seconds
        self._stopping = threading.Event()
        self.answers: list[tuple[float, Prediction]] = []
        self.failures: list[ServingError] = []

    def run(self) -> None:
        chooser = random.Random(threading.get_ident())
        with Client(self._address, retry_seconds=self._patience) as client:
            while not self._stopping.is_set():
                distance = float(chooser.randrange(1000))
                row = {"distance": distance, "hour": None, "carrier": "aa", "origin": None}
                try:
                    self.answers.append((distance, client.predict(MODEL, row)))
                except ServingError as error:
                    self.failures.append(error)
                self._stopping.wait(0.002)

    def stop(self) -> None:
        self._stopping.set()

    @property
    def acknowledged(self) -> list[str]:
        return [answer.prediction_id for _, answer in self.answers]


@contextmanager
def load_on(address: str, *, threads: int = 3, retry_seconds: float = 30.0) -> Iterator[Load]:
    """Keep `threads` clients busy for the time of the block."""
    load = Load(address, retry_seconds=retry_seconds)
    workers = [threading.Thread(target=load.run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield load
    finally:
        load.stop()
        for worker in workers:
            worker.join()
