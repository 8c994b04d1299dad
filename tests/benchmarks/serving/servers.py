"""Starts our server and the two yardsticks, and gives the requests that are sent to them."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protos.mlops.v1 import prediction_pb2 as pb
from serving.client import Client
from serving.client_channel import Credentials
from serving.client_values import column_of
from serving.security.tokens import create_token
from tests.benchmarks.serving.answers import ScoresOf, check, post
from tests.benchmarks.serving.cores import SERVER_CORE, pinned
from tests.benchmarks.serving.load import Request, grpc_request
from tests.benchmarks.serving.model import CONTRACT, BenchmarkModel, promote
from tests.benchmarks.serving.yardsticks import PREDICT
from tests.serving.harness import ROOT, RunningServer, eventually

PREDICT_BATCH = "/mlops.v1.PredictionService/PredictBatch"


class OurServer(RunningServer):
    """`python -m serving` that asks every caller for a token."""

    def __init__(self, home: Path, *, workers: int) -> None:
        home.mkdir(parents=True, exist_ok=True)
        tokens = home / "tokens.json"
        self.token, _ = create_token(tokens, name="benchmark", scopes=["predict"], lifetime=None)
        super().__init__(home, workers=workers, tokens=tokens)

    def client(self, **options: Any) -> Client:
        return super().client(credentials=Credentials(token=self.token), **options)


@dataclass(frozen=True)
class Endpoint:
    """A server that answers.

    Attributes:
        name: As the tables show it.
        pid: Of the process that all its others descend from.
        single: The request of one row, by its number.
        batch: The request of all rows, if the server is asked for it.
        scores_of: Reads an answer; None if the server does not score.
    """

    name: str
    pid: int
    single: Callable[[int], Request]
    batch: Request | None
    scores_of: ScoresOf | None

    def check(self, model: BenchmarkModel) -> None:
        """Prove the answers to a few rows and to the batch.

        Raises:
            LoadError: One is wrong.
        """
        if self.scores_of is None:
            return
        for row in range(3):
            check(self.single(row), self.scores_of, model.scores[row : row + 1])
        if self.batch is not None:
            check(self.batch, self.scores_of, model.scores)


@contextmanager
def running_ours(
    home: Path,
    model: BenchmarkModel,
    *,
    workers: int = 1,
    cores: tuple[int, ...] = (SERVER_CORE,),
    name: str = "ours",
) -> Iterator[tuple[Endpoint, OurServer]]:
    """Run `python -m serving` with everything on; all its processes share the cores."""
    server = OurServer(home, workers=workers)
    promote(server.store, model)
    try:
        with pinned(*cores):
            server.start()
        with server.client() as client:
            eventually(lambda: client.health(CONTRACT.model), what="health")
        yield _our_endpoint(name, server, model), server
        server.terminate()
    finally:
        server.destroy()


def _our_endpoint(name: str, server: OurServer, model: BenchmarkModel) -> Endpoint:
    address, headers = server.address, (f"authorization: Bearer {server.token}",)

    def single(row: int) -> Request:
        return grpc_request(address, PREDICT, single_message(model, row), headers=headers)

    assert server.process is not None
    batch = grpc_request(address, PREDICT_BATCH, batch_message(model), headers=headers)
    return Endpoint(name, server.process.pid, single, batch, scores_of)


@contextmanager
def running_bare(model: BenchmarkModel) -> Iterator[Endpoint]:
    """Run the server that decodes and scores, and nothing else."""
    with _yardstick("bare", model.folder, model, scores_of) as endpoint:
        yield endpoint


@contextmanager
def running_echo(model: BenchmarkModel, ours: Endpoint, folder: Path, *, kind: str = "echo") -> Iterator[Endpoint]:
    """Run a server that gives an answer of ours to every request: `echo` on grpcio's own, `transport` on ours."""
    answer = folder / "answer"
    answer.write_bytes(post(ours.single(0)))
    with _yardstick(kind, answer, model, None) as endpoint:
        yield endpoint


def single_message(model: BenchmarkModel, row: int) -> bytes:
    """Return the request of one row, without a request id: the load repeats it, and a repeated id is not scored."""
    numbers = zip((feature.name for feature in CONTRACT.numbers), model.numbers[row].tolist(), strict=True)
    texts = zip((feature.name for feature in CONTRACT.texts), model.texts[row].tolist(), strict=True)
    request = pb.PredictRequest(
        model=CONTRACT.model, numbers=dict(numbers), texts=dict(texts), entity_key=f"entity-{row}"
    )
    return request.SerializeToString(deterministic=True)


def batch_message(model: BenchmarkModel) -> bytes:
    """Return the request of all rows as columns."""
    kinds = {feature.name: "text" for feature in CONTRACT.texts}
    columns = [
        column_of(name, model.request_frame[name].to_numpy(), lambda name: kinds.get(name, "number"))
        for name in CONTRACT.names
    ]
    return pb.PredictBatchRequest(model=CONTRACT.model, columns=columns).SerializeToString()


def scores_of(answer: bytes) -> list[float]:
    """Read the answer to one row or to a batch, which differ in the id's repetition only on the wire."""
    batch = pb.PredictBatchResponse.FromString(answer)
    if len(batch.prediction_ids) > 1:
        return list(batch.probabilities)
    return [pb.PredictResponse.FromString(answer).probability]


@contextmanager
def _yardstick(kind: str, source: Path, model: BenchmarkModel, scores_of: ScoresOf | None) -> Iterator[Endpoint]:
    command = [sys.executable, "-m", "tests.benchmarks.serving.yardsticks", kind, str(source)]
    with pinned(SERVER_CORE):
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout is not None
            address = f"127.0.0.1:{int(process.stdout.readline())}"

            def single(row: int) -> Request:
                return grpc_request(address, PREDICT, single_message(model, row))

            yield Endpoint(kind, process.pid, single, None, scores_of)
        finally:
            process.terminate()
