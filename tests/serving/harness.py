"""Runs a real server as a process group of its own, and reads the lake that it fills."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from deltalake import DeltaTable
from prometheus_client.parser import text_string_to_metric_families
from pyarrow import fs

from serving.client import Client
from tests.signing import signing_store

ROOT = Path(__file__).parents[2]


def eventually(condition: Callable[[], Any], *, seconds: float = 15.0, what: str = "it") -> Any:
    """Wait until a condition holds and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds} s"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """Return a port that nobody listens on, for a server that is to come back on it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def read_table(path: Path) -> pa.Table | None:
    """Read a Delta table with Arrow's own file system (see serving/feedback.py), or None if it is not there."""
    if not DeltaTable.is_deltatable(str(path)):
        return None
    files = fs.SubTreeFileSystem(str(path), fs.LocalFileSystem())
    return DeltaTable(str(path)).to_pyarrow_dataset(filesystem=files).to_table()


class RunningServer:
    """One `python -m serving` in a home of its own."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = home
        self.store = signing_store(home)
        self._settings = {"port": 0, "metrics_port": 0, "workers": 1, "grace_seconds": 5} | settings
        self._log = home / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> "RunningServer":
        self.home.mkdir(parents=True, exist_ok=True)
        settings = {f"SERVING_{name.upper()}": str(value) for name, value in self._settings.items()}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving"],
                cwd=ROOT,
                env={**os.environ, "MLOPS_HOME": str(self.home), **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            eventually(lambda: self.address_file.exists() or self.process.poll() is not None, seconds=30)
            assert self.process.poll() is None, self.log
        return self

    @property
    def address_file(self) -> Path:
        return self.home / "serving" / "address.json"

    @property
    def addresses(self) -> dict[str, Any]:
        return json.loads(self.address_file.read_text())

    @property
    def address(self) -> str:
        return self.addresses["address"]

    @property
    def log(self) -> str:
        return self._log.read_text()

    def client(self, **options: Any) -> Client:
        return Client(self.address, **options)

    def http(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.addresses["metrics"] + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Sum the samples of one name with these labels."""
        families = text_string_to_metric_families(self.http("/metrics")[1])
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    def children(self, module: str) -> list[psutil.Process]:
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it ends while it is looked at
                if f"serving.{module}" in child.cmdline():
                    found.append(child)
        return found

    def table(self, name: str, model: str = "toy") -> pa.Table | None:
        return read_table(self.home / "lake" / model / name)

    def shipped(self, name: str = "predictions", model: str = "toy") -> list[str]:
        table = self.table(name, model)
        return [] if table is None else table["prediction_id"].to_pylist()

    def terminate(self, *, seconds: float = 40.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def destroy(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
