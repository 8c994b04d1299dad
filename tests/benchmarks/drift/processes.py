"""Runs a measurement in a process of its own and watches the memory of all that it starts."""

import json
import subprocess
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.environments import last_line

_SECONDS_BETWEEN_LOOKS = 0.02


class MeasurementError(Exception):
    """The process failed or took too long; the message is the reason that the table shows."""


@dataclass(frozen=True)
class Measured:
    """What a process printed, and the greatest memory of its tree in bytes (proportional set size)."""

    document: dict[str, Any]
    peak_bytes: int


def measure(command: list[str], *, folder: Path, timeout: float, environment: dict[str, str] | None = None) -> Measured:
    """Run a command whose last line of output is a JSON document.

    Raises:
        MeasurementError: It ended otherwise.
    """
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    peak, over = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, over))
    watcher.start()
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise MeasurementError(f"took more than {timeout:.0f} s") from None
    finally:
        over.set()
        watcher.join()
        _end(process)
    if process.returncode:
        raise MeasurementError(last_line(errors))
    return Measured(json.loads(output.strip().splitlines()[-1]), peak[0])


def _watch(pid: int, peak: list[int], over: threading.Event) -> None:
    while not over.wait(_SECONDS_BETWEEN_LOOKS):
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            peak[0] = max(peak[0], sum(map(_bytes, [root, *root.children(recursive=True)])))


def _bytes(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_full_info().pss)
    return 0


def _end(process: "subprocess.Popen[str]") -> None:
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    process.kill()
    process.communicate()
