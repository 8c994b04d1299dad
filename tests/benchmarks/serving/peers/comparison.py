"""Every peer in turn beside our server: as documented, and handed our ONNX file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.environments import InstallError
from tests.benchmarks.serving.load import Load, LoadError
from tests.benchmarks.serving.model import BenchmarkModel
from tests.benchmarks.serving.peers.catalog import FORMS, PEERS, FormName, Peer
from tests.benchmarks.serving.peers.environments import (
    PeerError,
    environment_of,
    running_peer,
    write_artifacts,
)
from tests.benchmarks.serving.rounds import SINGLE_ROW, Report, alternate, as_document
from tests.benchmarks.serving.servers import Endpoint

Row = dict[str, Any]
"""`peer`, `version`, `form`, `is_python`, and either `rounds` or `reason`."""


def compare(
    ours: Endpoint,
    model: BenchmarkModel,
    load: Load,
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    may_install: bool,
    report: Report,
) -> Iterator[Row]:
    """Yield a row for every peer and form; what does not install, start or answer has its reason instead of figures.

    Args:
        ours: Our server; it runs already.
        model: What the peers serve.
        load: Sends load.
        folder: For the peers' files and logs.
        rounds: Of every comparison.
        seconds: Length of one measurement.
        may_install: Whether environments that are not there are made.
        report: Told one line per step.
    """
    write_artifacts(model, folder)
    for peer in PEERS:
        reason = _reason_not_installed(peer, may_install=may_install, report=report)
        for form in FORMS:
            row: Row = {
                "peer": peer.name,
                "version": environment_of(peer).version_of(peer.package),
                "form": form,
                "is_python": peer.is_python,
            }
            if reason:
                yield row | {"reason": reason}
                continue
            report(f"{peer.name}, {FORMS[form]}")
            try:
                found = _rounds(peer, form, ours, model, load, folder, rounds=rounds, seconds=seconds, report=report)
            except (PeerError, LoadError) as error:
                report(f"{peer.name}: {error}")
                yield row | {"reason": str(error)}
            else:
                yield row | {"rounds": found}


def _reason_not_installed(peer: Peer, *, may_install: bool, report: Report) -> str:
    if environment_of(peer).is_installed():
        return ""
    if not may_install:
        return "not installed; a run without --quick installs it"
    report(f"installing {peer.name} {environment_of(peer).version_of(peer.package)}")
    try:
        environment_of(peer).install()
    except InstallError as error:
        return str(error)
    return ""


def _rounds(
    peer: Peer,
    form: FormName,
    ours: Endpoint,
    model: BenchmarkModel,
    load: Load,
    folder: Path,
    *,
    rounds: int,
    seconds: float,
    report: Report,
) -> dict[str, Any]:
    with running_peer(peer, form, model, folder) as theirs:
        found = alternate((theirs, ours), SINGLE_ROW, load, rounds=rounds, seconds=seconds, report=report)
        theirs.check(model)
    return as_document({"peer": found[peer.name], "ours": found[ours.name]})
