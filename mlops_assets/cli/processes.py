"""Starts the platform's processes and leaves none behind, whichever way the command ends."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from mlops_assets.cli import interruption
from mlops_assets.errors import OperationError

_PR_SET_PDEATHSIG = 1
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Started:
    """A child process and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]


class Processes:
    """A group of child processes that ends with this one.

    Each child leads its own session, so Ctrl-C in the terminal reaches only the parent, which stops them in order.
    The kernel stops them too if the parent is killed.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: list[Started] = []

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Started:
        """Start one process; its output goes to `<logs>/<name>.log`."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509  (no thread runs here yet)
            )
        started = Started(name, process, log, tuple(command), environment)
        self._started.append(started)
        return started

    def all(self) -> tuple[Started, ...]:
        """Return what was started and not stopped, oldest first."""
        return tuple(self._started)

    def restart(self, ended: Started) -> Started:
        """Start a process that has ended again, with the same command."""
        self._started.remove(ended)
        return self.start(ended.name, ended.command, ended.environment)

    def check(self) -> None:
        """Raise if a process has ended by itself, or this one is to end.

        Raises:
            OperationError: Names the process, its log and its last line.
            KeyboardInterrupt: A signal came and was swallowed.
        """
        interruption.check()
        for started in self._started:
            code = started.process.poll()
            if code is not None:
                raise OperationError(
                    f"{started.name} ended with code {code}: {_last_line(started.log)} (log: {started.log})"
                )

    def wait_for_url(self, url: str, *, seconds: float) -> None:
        """Wait until a URL answers.

        Raises:
            OperationError: A process ended, or nothing answered in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check()
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        raise OperationError(f"{url} did not answer within {seconds:.0f} s; look into {self._logs}")

    def stop(self) -> None:
        """Ask every process to end, newest first; kill what has not after 20 seconds, or at a second Ctrl-C."""
        for started in reversed(self._started):
            _signal_group(started.process, signal.SIGTERM)  # SIGINT may be ignored: background jobs inherit that
        deadline = time.monotonic() + STOP_SECONDS
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            for started in reversed(self._started):
                started.process.wait(max(0.1, deadline - time.monotonic()))
        for started in self._started:
            _signal_group(started.process, signal.SIGKILL)
            started.process.wait()
        self._started.clear()


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int, what: str, setting: str) -> None:
    """Raise if a port is taken.

    Raises:
        OperationError: Names the port, what wanted it, and the option that changes it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise OperationError(
                f"port {port} for {what} can not be used ({error.strerror}); free it or choose another with {setting}"
            ) from None


def python(*arguments: str) -> list[str]:
    """Return a command of this interpreter."""
    return [sys.executable, *arguments]


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "it printed nothing"
