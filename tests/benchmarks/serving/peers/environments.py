"""A virtual environment for each peer, made by uv from its pinned list, and its server in it."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import joblib
import psutil

from mlops_assets.core.pipelines import one_thread
from tests.benchmarks.serving.answers import check
from tests.benchmarks.serving.cores import SERVER_CORE, pinned
from tests.benchmarks.serving.load import LoadError, Request
from tests.benchmarks.serving.model import BenchmarkModel
from tests.benchmarks.serving.peers.catalog import NUMBERS, TEXTS, FormName, Peer
from tests.benchmarks.serving.servers import Endpoint
from tests.serving.harness import ROOT

ENVIRONMENTS = ROOT / ".mlops" / "bench" / "peers"
_SOURCES = Path(__file__).parent
_INSTALL_SECONDS = 900
_START_SECONDS = 240.0
_END_SECONDS = 10.0
_QUIET = {"BENTOML_DO_NOT_TRACK": "True", "RAY_USAGE_STATS_ENABLED": "0", "MLFLOW_DISABLE_TELEMETRY": "true"}


class PeerError(Exception):
    """A peer can not be installed or started; the message is the reason that the table shows."""


def is_installed(peer: Peer) -> bool:
    """Return whether the environment stands as the pinned list says."""
    mark = _home(peer) / "installed"
    return mark.exists() and mark.read_text() == _pins_digest(peer)


def install(peer: Peer) -> None:
    """Make the environment anew.

    Raises:
        PeerError: uv says no.
    """
    home = _home(peer)
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    uv = str(Path(sys.executable).with_name("uv"))
    pins = _SOURCES / peer.folder / "requirements.txt"
    python = str(_python(peer))
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(home / "venv")],
        [uv, "pip", "install", "--quiet", "--python", python, "--requirement", str(pins)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
        if done.returncode:
            raise PeerError(f"does not install: {_last_line(done.stderr)}")
    (home / "installed").write_text(_pins_digest(peer))


def version_of(peer: Peer) -> str:
    """Return the pinned version of the product."""
    pins = (_SOURCES / peer.folder / "requirements.txt").read_text().splitlines()
    return next(pin.split("==")[1].split()[0] for pin in pins if pin.startswith(f"{peer.package}=="))


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
    environment["PATH"] = os.pathsep.join([str(_python(peer).parent), environment["PATH"]])
    with log.open("wb") as output, pinned(SERVER_CORE):
        process = subprocess.Popen(
            [str(_python(peer)), str(_SOURCES / peer.folder / "server.py")],
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
                raise PeerError(f"ended at its start: {_last_line(log.read_text(errors='replace'))}") from None
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


def _home(peer: Peer) -> Path:
    return ENVIRONMENTS / peer.folder


def _python(peer: Peer) -> Path:
    return _home(peer) / "venv" / "bin" / "python"


def _pins_digest(peer: Peer) -> str:
    return hashlib.sha256((_SOURCES / peer.folder / "requirements.txt").read_bytes()).hexdigest()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "without a word"
