"""The parent process: reserves the port, keeps workers and shipper alive, and drains them at the end."""

import errno
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from serving.child import Child
from serving.errors import SettingsError
from serving.journal.backlog import Quota
from serving.metric_files import PROCESS_VARIABLE, end_gauges, reserve
from serving.observation import Observation
from serving.security.protection import check_protection
from serving.settings import ServingSettings, address_of, variable_of
from serving.ticker import Ticker

_WATCH_SECONDS = 0.05
_QUOTA_SECONDS = 0.5
_SHIPPER_PATIENCE_SECONDS = 20.0
_WORKER_PATIENCE_SECONDS = 5.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs one server from `run` to a signal."""

    def __init__(self, settings: ServingSettings) -> None:
        """Claim the home and the ports.

        Raises:
            SettingsError: Something is taken, not permitted or not protected; names it and the mend.
        """
        check_protection(settings)
        _prepare_folders(settings)
        self._claim = _claim_home(settings)
        self._reserved, port = _reserve_port(settings)
        self._settings = settings.model_copy(update={"port": port})
        self._draining = False
        workers, shipper = [f"worker-{i}" for i in range(settings.workers)], "shipper"
        _prepare_metrics(settings, (*workers, shipper))
        self._observation = self._observe()
        quota = Quota(settings.journals, maximum_bytes=settings.journal_quota_bytes)
        quota.enforce()
        self._quota = Ticker(quota.enforce, seconds=_QUOTA_SECONDS, name="journal-quota")
        self._workers = [self._child(name, "serving.worker") for name in workers]
        self._shipper = self._child(shipper, "serving.shipper")

    @property
    def ready(self) -> bool:
        """Whether a worker answers predictions."""
        return not self._draining and any(worker.state == "ready" for worker in self._workers)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, then drain; a second signal cuts the draining short."""
        stopping, hurry = threading.Event(), threading.Event()

        def on_signal(*_: object) -> None:
            (hurry if stopping.is_set() else stopping).set()

        signal.signal(signal.SIGTERM, on_signal)
        signal.signal(signal.SIGINT, on_signal)
        self._observation.start()
        self._quota.start()
        for child in (*self._workers, self._shipper):
            child.start()
        announced = False
        while not stopping.wait(_WATCH_SECONDS):
            for child in (*self._workers, self._shipper):
                self._keep_alive(child)
            if not announced and all(worker.state in {"listening", "ready"} for worker in self._workers):
                self._announce()
                announced = True
        return self._drain(hurry)

    def _keep_alive(self, child: Child) -> None:
        if child.keep_alive():
            try:
                end_gauges(self._settings.metrics_folder, child.name)
            except OSError as error:  # no file descriptor is to be had; its successor sets them anew
                _log.error("the gauges of %s are shown until it is back: %s", child.name, error.strerror)

    def _drain(self, hurry: threading.Event) -> int:
        self._draining = True
        _log.info("draining")
        grace = self._settings.grace_seconds
        well = _end(self._workers, grace + _WORKER_PATIENCE_SECONDS, hurry)
        well &= _end([self._shipper], grace + _SHIPPER_PATIENCE_SECONDS, hurry)
        self._settings.address_file.unlink(missing_ok=True)
        self._observation.stop()
        self._quota.stop()
        self._reserved.close()
        self._claim.close()
        _log.info("stopped")
        return 0 if well else 1

    def _announce(self) -> None:
        settings = self._settings
        addresses = {
            "address": settings.address,
            "metrics": f"http://{address_of(settings.metrics_host, self._observation.port)}",
            "pid": os.getpid(),
        }
        temporary = settings.address_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(addresses))
        temporary.rename(settings.address_file)
        _log.info("serving at %s, metrics at %s/metrics", addresses["address"], addresses["metrics"])

    def _child(self, name: str, module: str) -> Child:
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(self._settings.metrics_folder), PROCESS_VARIABLE: name}
        return Child(name, module, self._settings.environment() | metrics)

    def _observe(self) -> Observation:
        settings = self._settings
        address = (settings.metrics_host, settings.metrics_port)
        try:
            return Observation(
                address, metrics=settings.metrics_folder, journals=settings.journals, ready=lambda: self.ready
            )
        except OSError as error:
            raise _address_error("metrics_port", address, error) from error


def _end(children: list[Child], seconds: float, hurry: threading.Event) -> bool:
    for child in children:
        child.let_go()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not hurry.is_set() and any(child.running for child in children):
        time.sleep(_WATCH_SECONDS)
    ended_well = [child.wait(time.monotonic()) for child in children]
    return all(ended_well)


def _prepare_folders(settings: ServingSettings) -> None:
    for name in ("runtime", "journals", "cache"):
        folder: Path = getattr(settings, name)
        setting = "home" if name == "runtime" else name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            mend = f"set {variable_of(setting)} to a folder that this user can write"
            raise SettingsError(f"{folder} can not be written: {error.strerror}; {mend}") from error


def _prepare_metrics(settings: ServingSettings, processes: Iterable[str]) -> None:
    folder = settings.metrics_folder
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        for process in processes:
            reserve(folder, process)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        mend = f"make room on its disk, or set {variable_of('home')} to a folder elsewhere"
        raise SettingsError(f"{folder} can not be written: {error.strerror}; {mend}") from error


def _claim_home(settings: ServingSettings) -> IO[str]:
    claim = (settings.runtime / "lock").open("a")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        claim.close()
        mend = f"stop that one, or set {variable_of('home')} to another folder"
        raise SettingsError(f"another server runs in {settings.home}; {mend}") from None
    return claim


def _reserve_port(settings: ServingSettings) -> tuple[socket.socket, int]:
    """Bind the port without listening, so that all workers can share it and nobody else takes it."""
    address = (settings.host, settings.port)
    try:
        family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as probe:
            # Without SO_REUSEPORT: another server of this user, which shares its port, must not be joined by mistake.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            port: int = probe.getsockname()[1]
        reserved = socket.socket(family)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind((settings.host, port))
    except OSError as error:
        raise _address_error("port", address, error) from error
    return reserved, port


def _address_error(setting: str, address: tuple[str, int], error: OSError) -> SettingsError:
    variable = variable_of(setting)
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        mend = f"set {variable_of(setting.replace('port', 'host'))} to an address of this machine"
    elif error.errno == errno.EACCES:
        mend = f"set {variable} to a port above 1023"
    else:
        mend = f"stop what listens there, or set {variable} to another port"
    return SettingsError(f"can not listen on {address_of(*address)}: {error.strerror}; {mend}")
