"""Load by `h2load`, a native generator, so that the load is not what is measured."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.serving.cores import LOAD_CORE, pinned

MISSING = (
    "h2load is needed: install Debian's nghttp2-client (apt-get install -y nghttp2-client), see make system-packages"
)
_PATIENCE_SECONDS = 120.0


class LoadError(Exception):
    """The load could not be sent, or an answer was not what it must be."""


@dataclass(frozen=True)
class Request:
    """What is posted again and again.

    Attributes:
        url: Of the server and the method.
        body: The bytes as they travel; of gRPC one length-prefixed frame.
        headers: Lines `name: value`.
        http1: Whether it goes over HTTP/1.1.
    """

    url: str
    body: bytes
    headers: tuple[str, ...]
    http1: bool = False


@dataclass(frozen=True)
class Sample:
    """What one run of load saw.

    Attributes:
        calls_per_second: All calls over the time from the first start to the last end.
        milliseconds: Of every call, shape (n_calls,), sorted.
        ends: Seconds since the epoch at which they ended, in that order, shape (n_calls,).
        body_bytes: Of all answers.
    """

    calls_per_second: float
    milliseconds: NDArray[np.float64]
    body_bytes: int

    def percentile(self, percent: float) -> float:
        """Return a percentile of the calls' durations in milliseconds."""
        return float(np.percentile(self.milliseconds, percent))


Load = Callable[[Request, int, int], Sample]
"""Sends `calls` copies of a request over `concurrency` connections."""


def grpc_request(address: str, method: str, message: bytes, *, headers: tuple[str, ...] = ()) -> Request:
    """Return a gRPC call as HTTP/2 carries it."""
    frame = b"\0" + len(message).to_bytes(4, "big") + message
    return Request(f"http://{address}{method}", frame, ("content-type: application/grpc", "te: trailers", *headers))


def h2load(request: Request, concurrency: int, calls: int) -> Sample:
    """Send load from the load's core and wait for all answers.

    Raises:
        LoadError: There is no h2load, or a call failed.
    """
    program = shutil.which("h2load")
    if program is None:
        raise LoadError(MISSING)
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(request.body)
        command = [program, "-t1", "-m1", f"-n{calls}", f"-c{concurrency}", f"-d{body}", f"--log-file={log}"]
        command += ["--h1"] if request.http1 else []
        command += [f"-H{header}" for header in request.headers]
        with pinned(LOAD_CORE):
            done = subprocess.run(
                [*command, request.url], capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
            )
        if done.returncode:
            raise LoadError(f"h2load failed: {done.stderr[-500:]}")
        return _sample_of(done.stdout, np.loadtxt(log, dtype=np.int64, ndmin=2), calls)


def _sample_of(report: str, log: NDArray[np.int64], calls: int) -> Sample:
    succeeded = re.search(r"status codes: (\d+) 2xx", report)
    traffic = re.search(r"\((\d+)\) data$", report, re.MULTILINE)
    if succeeded is None or traffic is None or int(succeeded[1]) != calls or len(log) != calls:
        raise LoadError(f"not every call was answered:\n{report}")
    starts, durations = log[:, 0], log[:, 2]
    seconds = ((starts + durations).max() - starts.min()) / 1e6
    return Sample(calls / seconds, np.sort(durations / 1e3), int(traffic[1]))
