"""A virtual environment for each peer, made by uv from its pinned list, and its server in it."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import joblib
import psutil

from mlops_assets.core.pipelines import one_thread
from tests.benchmarks.environments import Environment, last_line
from tests.benchmarks.serving.answers import check
from tests.benchmarks.serving.cores import SERVER_CORE, pinned
from tests.benchmarks.serving.load import LoadError, Request
from tests.benchmarks.serving.model import BenchmarkModel
from tests.benchmarks.serving.peers.catalog import NUMBERS, TEXTS, FormName, Peer
from tests.benchmarks.serving.servers import Endpoint
from tests.serving.harness import ROOT

ENVIRONMENTS = ROOT / ".mlops" / "bench" / "peers"
_SOURCES = Path(__file__).parent
_START_SECONDS = 240.0
_END_SECONDS = 10.0
_QUIET = {"BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}


class PeerError(Exception):
    """A peer can not be started; the message is the reason that the table shows."""


def environment_of(peer: Peer) -> Environment:
    """Return the peer's environment, installed or not."""
    return Environment(ENVIRONMENTS / peer.folder, _SOURCES / peer.folder / "requirements.txt")


def write_artifacts(model: BenchmarkModel, folder: Path) -> None:
    """Write what the peers load: the pipeline, fitted under the features' names, and the graph."""
    folder.mkdir(parents=True, exist_ok=True)
    with one_thread():
        joblib.dump(model.named_pipeline(), folder / "model.joblib")
    (folder / "model.onnx").write_bytes(model.onnx)
    (folder / "features.json").write_text(json.dumps([NUMBERS, TEXTS]))


@contextmanager
def running_peer(peer: Peer, form: FormName, model: BenchmarkModel, artifacts: Path) -> Iterator[Endpoint]:
    """Run a peer on the server's core until the end of the block.

    Raises:
        PeerError: It does not answer, or answers something else.
    """
    try:
        process, endpoint = _start(peer, form, model, artifacts)
    except PeerError:  # some start a dozen processes and give each only seconds: once more, before that is the result
        process, endpoint = _start(peer, form, model, artifacts)
    try:
        yield endpoint
    finally:
        _end(process)


def _start(
    peer: Peer, form: FormName, model: BenchmarkModel, artifacts: Path
) -> tuple["subprocess.Popen[bytes]", Endpoint]:
    port = _free_port()
    log = artifacts / f"{peer.folder}-{form}.log"
    variables = {"BENCH_PORT": str(port), "BENCH_MODEL": str(artifacts), "BENCH_FORM": form}
    environment = {**os.environ, **_QUIET, **variables, "PYTHONPATH": str(_SOURCES / "inside")}
    environment["PATH"] = os.pathsep.join([str(environment_of(peer).python.parent), environment["PATH"]])
    with log.open("wb") as output, pinned(SERVER_CORE):
        process = subprocess.Popen(
            [str(environment_of(peer).python), str(_SOURCES / peer.folder / "server.py")],
            cwd=artifacts,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    asked = peer.forms[form]

    def single(row: int) -> Request:
        return asked.request_of(f"127.0.0.1:{port}", model, row)

    endpoint = Endpoint(peer.name, process.pid, single, None, asked.scores_of)
    try:
        _wait(process, endpoint, model, log)
    except BaseException:
        _end(process)
        raise
    return process, endpoint


def _wait(process: "subprocess.Popen[bytes]", endpoint: Endpoint, model: BenchmarkModel, log: Path) -> None:
    assert endpoint.scores_of is not None
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            check(endpoint.single(0), endpoint.scores_of, model.scores[:1])
            endpoint.check(model)
            return
        except (LoadError, KeyError, ValueError) as error:
            if process.poll() is not None:
                raise PeerError(f"ended at its start: {last_line(log.read_text(errors='replace'))}") from None
            if time.monotonic() > deadline:
                raise PeerError(f"gave no right answer in {_START_SECONDS:.0f} s: {error}") from None
        time.sleep(0.5)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a server and all that it started, also what left its process group."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    with process:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_SECONDS)
        process.kill()
    for one in psutil.wait_procs(family, timeout=2)[1]:
        with suppress(psutil.NoSuchProcess):
            one.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
