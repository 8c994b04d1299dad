"""What a single row costs inside the worker: its own handler in this process, with a clock at each boundary.

No socket and no gRPC: what `echo` costs comes on top. Run as a program on a home with a promoted model.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from serving.security.identity import UNKNOWN
from serving.security.tokens import create_token
from tests.benchmarks.serving.cores import SERVER_CORE, pinned
from tests.benchmarks.serving.load import LoadError
from tests.benchmarks.serving.model import BenchmarkModel, promote
from tests.benchmarks.serving.servers import single_message
from tests.benchmarks.serving.yardsticks import PREDICT
from tests.serving.harness import ROOT
from tests.signing import signing_store

N_CALLS = 20_000


class _Clock:
    """Keeps the time spent in every call of wrapped functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a clock around it."""
        durations = self.seconds[stage] = []

        def timed(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                durations.append(time.perf_counter() - began)

        return timed


class _Call:
    """As much of a call as one that is answered asks for, with its message there at once."""

    method, canceled, running, caller, arrived_at = PREDICT, False, False, UNKNOWN, 0.0

    def __init__(self, metadata: tuple[tuple[str, str], ...], content: bytes) -> None:
        self.metadata, self._content = metadata, content
        self.answered = b""

    def open(self, on_cancel: object) -> None:
        pass

    def on_message(self, arrived: Callable[["_Call", bytes], None]) -> None:
        arrived(self, self._content)

    def time_remaining(self) -> None:
        return None

    def answer(self, message: bytes) -> None:
        self.answered = message


def measure(model: BenchmarkModel, folder: Path) -> dict[str, float]:
    """Return microseconds of each stage of one row, their total last, from a process on the server's core."""
    promote(signing_store(folder), model)
    (folder / "request").write_bytes(single_message(model, 0))
    with tempfile.TemporaryDirectory() as metrics, pinned(SERVER_CORE):
        token, _ = create_token(folder / "tokens.json", name="benchmark", scopes=["predict"], lifetime=None)
        settings = {"MLOPS_HOME": str(folder), "SERVING_TOKENS": str(folder / "tokens.json")}
        environment = {**os.environ, **settings, "PROMETHEUS_MULTIPROC_DIR": metrics}
        command = [sys.executable, "-m", "tests.benchmarks.serving.stages", str(folder / "request"), token]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"the stages can not be measured: {done.stderr[-500:]}")
    stages: dict[str, float] = json.loads(done.stdout)
    return stages


def main() -> None:
    """Call the worker's handler again and again and print microseconds a call by stage."""
    from protos.mlops.v1 import prediction_pb2

    request = Path(sys.argv[1]).read_bytes()
    clock = _Clock()
    with _handler() as (worker, answer):
        total = _seconds_a_call(lambda: answer(request))
        counting = _seconds(worker._meter.flush) / N_CALLS
    with ExitStack() as patched:
        for stage, owner, name in _boundaries():
            patched.enter_context(patch.object(owner, name, clock.wrap(stage, getattr(owner, name))))
        with _handler() as (_, answer):
            _seconds_a_call(lambda: answer(request))
    parse = _seconds_a_call(lambda: prediction_pb2.PredictRequest.FromString(request))
    stages = {"parse the request": parse, **{name: statistics.median(spent) for name, spent in clock.seconds.items()}}
    stages["everything else: dispatch, ids, record"] = total - sum(stages.values())
    stages["add to the metrics, in bulk on another thread"] = counting
    stages["total in the worker"] = total + counting
    print(json.dumps({name: seconds * 1e6 for name, seconds in stages.items()}))


def _seconds_a_call(call: Callable[[], Any]) -> float:
    """Return the median, so that what disturbs the machine for a moment is left out."""
    return statistics.median(_seconds(call) for _ in range(N_CALLS))


def _seconds(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


@contextmanager
def _handler() -> Iterator[tuple[Any, Callable[[bytes], bytes]]]:
    from serving.settings import load_settings
    from serving.worker import Worker

    with patch("serving.api.transport.Transport.soon", lambda _transport, work: work()):
        worker = Worker(load_settings())
    worker._server._authenticator.refresh()
    worker._host.poll()
    arrived = worker._server._services.arrived
    metadata = (("authorization", f"Bearer {sys.argv[2]}"),)

    def answer(content: bytes) -> bytes:
        call = _Call(metadata, content)
        arrived(call)
        return call.answered

    try:
        yield worker, answer
    finally:
        worker._journal.close()


def _boundaries() -> list[tuple[str, Any, str]]:
    from serving.api import codec
    from serving.api.gate import Gate
    from serving.journal.append import Journal
    from serving.scoring.predictor import Predictor

    return [
        ("let the call in: token, scope, limits", Gate, "admit"),
        ("decode into matrices and check the contract", codec, "rows_of_features"),
        ("score (ONNX Runtime)", Predictor, "scores_of"),
        ("serialize and write the record", Journal, "append"),
        ("build the answer", codec, "response_of_one"),
    ]


if __name__ == "__main__":
    main()
