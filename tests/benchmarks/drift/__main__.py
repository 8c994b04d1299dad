"""`python -m tests.benchmarks.drift`: measure the drift report and its peers on this machine."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops_assets.cli import interruption
from mlops_assets.settings import Settings
from tests.benchmarks import page
from tests.benchmarks.drift.data import remove_window, write_reference, write_window
from tests.benchmarks.drift.figures import MILLION, Results, figures_of
from tests.benchmarks.drift.peers.catalog import FOLDER, PEERS, Peer
from tests.benchmarks.drift.processes import MeasurementError, measure
from tests.benchmarks.drift.report import LIBRARIES, NAME, tables
from tests.benchmarks.environments import InstallError
from tests.serving.harness import ROOT

RESULTS = ROOT / ".mlops" / "bench" / "drift.json"
PAGE = ROOT / "docs" / "benchmarks.md"
DATA = RESULTS.parent / "drift"
_OURS_TIMEOUT, _PEER_TIMEOUT = 3600.0, 1800.0
_ROUNDS = 3


def main() -> int:
    """Measure; returns 1 if something could not be measured."""
    options = _parser().parse_args()
    interruption.listen()
    began = time.monotonic()

    def report(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    facts = page.about(NAME, LIBRARIES)
    results: Results = {"figures": {}, "about": facts, "windows": {}, "ks": {}, "peers": []}
    failed = False
    try:
        _measure_ours(results, (1, 10) if options.quick else (1, 10, 100), report)
        if not options.quick:
            _measure_peers(results, report)
    except KeyboardInterrupt:
        report(f"interrupted; what was measured is in {RESULTS.relative_to(ROOT)}")
        failed = True
    except (MeasurementError, OSError) as error:
        report(f"not measured: {error}")
        failed = True
    print(f"\n{tables(results)}\n")
    if options.quick or failed:
        print(f"{PAGE.relative_to(ROOT)} stays as it is: no full measurement")
    else:
        page.write_section(PAGE, NAME, tables(results))
        print(f"written into {PAGE.relative_to(ROOT)}")
    return int(failed)


def _measure_ours(results: Results, millions: tuple[int, ...], report: Callable[[str], None]) -> None:
    reference = write_reference(DATA)
    ours("build", 1, [str(reference)])
    for million in millions:
        n_rows = million * MILLION
        try:
            files = write_window(DATA, n_rows, report)
            tasks = results["windows"].setdefault(str(n_rows), {})
            for task in ("scan", "pass", "report"):
                report(f"{n_rows:,} rows: {task}")
                tasks[task] = ours(task, _ROUNDS if million <= 10 else 1, files)
                _keep(results)
            if million == 1:
                results["ks"] = ours("ks_error", 1, [str(reference), *files])
        finally:
            if million > 10:
                remove_window(DATA, n_rows)


def ours(task: str, rounds: int, files: list[str]) -> dict[str, Any]:
    """Run one of our tasks in a process of its own, with the engine as it comes."""
    url = str(Settings.model_fields["engine"].default)
    command = [sys.executable, "-m", "tests.benchmarks.drift.ours", task, str(DATA / "profile.json"), url, str(rounds)]
    measured = measure([*command, *files], folder=ROOT, timeout=_OURS_TIMEOUT)
    return {**measured.document, "peak_bytes": measured.peak_bytes}


def _measure_peers(results: Results, report: Callable[[str], None]) -> None:
    reference, files = write_reference(DATA), write_window(DATA, MILLION, report)
    for peer in PEERS:
        row = {"peer": peer.name, "version": peer.environment.version_of(peer.package), "is_exact": peer.is_exact}
        report(f"{peer.name} {row['version']}")
        try:
            row |= measure_peer(peer, reference, files)
        except (InstallError, MeasurementError) as error:
            row["reason"] = str(error)
        results["peers"].append(row)
        _keep(results)


def measure_peer(peer: Peer, reference: Path, files: list[str]) -> dict[str, Any]:
    """Run a peer in its environment, which is made first if it is not there.

    Raises:
        InstallError: It can not be made.
        MeasurementError: The peer fails or takes too long.
    """
    if not peer.environment.is_installed():
        peer.environment.install()
    command = [str(peer.environment.python), str(peer.script), str(_ROUNDS), str(reference), *files]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER), "DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}
    measured = measure(command, folder=DATA, timeout=_PEER_TIMEOUT, environment=environment)
    return {**measured.document, "peak_bytes": measured.peak_bytes}


def _keep(results: Results) -> None:
    results["figures"] = figures_of(results)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(results, indent=1))
    temporary.rename(RESULTS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.drift", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without 100M rows and without the peers")
    return parser


if __name__ == "__main__":
    sys.exit(main())
