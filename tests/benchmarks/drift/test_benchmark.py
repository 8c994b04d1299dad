"""The benchmark measures what it says: on a few rows, and on hand-made results."""

import re
import sys

import pytest

from tests.benchmarks.drift.data import rows
from tests.benchmarks.drift.figures import FIGURES, figures_of
from tests.benchmarks.drift.ours import TASKS
from tests.benchmarks.drift.peers.catalog import PEERS
from tests.benchmarks.drift.processes import MeasurementError, measure
from tests.benchmarks.drift.report import NAME, tables
from tests.benchmarks.page import about


def timed(seconds: float, peak_gb: float = 0.3) -> dict:
    return {"seconds": [9 * seconds, seconds, 0.5 * seconds], "peak_bytes": peak_gb * 1e9}


RESULTS = {
    "about": about(NAME, ()),
    "windows": {
        "1000000": {"scan": timed(0.2), "pass": timed(1.0), "report": timed(1.2)},
        "10000000": {"scan": timed(2.0), "pass": timed(4.0), "report": timed(4.2)},
        "100000000": {"scan": timed(20.0), "pass": timed(37.0, peak_gb=0.55)},
    },
    "ks": {"ks_error": 1e-4},
    "peers": [
        {"peer": "exact", "version": "1", "is_exact": True, "load_seconds": 1.0, **timed(3.0)},
        {"peer": "samples", "version": "2", "is_exact": False, "load_seconds": 1.0, **timed(0.1)},
        {"peer": "broken", "version": "3", "is_exact": True, "reason": "does not install: no wheel"},
    ],
}


def test_figures_are_of_medians_and_only_exact_peers_are_compared_with():
    assert figures_of(RESULTS) == {
        "pass_10m_over_scan": 2.0,
        "report_1m_over_fastest_peer": 0.4,
        "peak_gb_100m": 0.55,
        "growth_1m_to_100m": 1.1,
        "ks_error": 1e-4,
    }
    assert [figure.name for figure in FIGURES if not figure.is_met(figures_of(RESULTS)[figure.name])] == []


def test_what_was_not_measured_has_no_figure_and_shows_its_reason():
    assert figures_of({"windows": {}, "ks": {}, "peers": []}) == {}
    assert "not measured: does not install: no wheel" in tables(RESULTS)
    assert "| `growth_1m_to_100m` |" in tables({**RESULTS, "windows": {}})


def test_scan_pass_and_report_run_and_the_counts_are_those_of_numpy(tmp_path):
    import pyarrow.parquet as pq

    files = [str(tmp_path / name) for name in ("reference.parquet", "window.parquet")]
    for seed, file in enumerate(files):
        pq.write_table(rows(5000, seed), file)
    profile = tmp_path / "profile.json"
    TASKS["build"](profile, "duckdb://", 1, files[:1])
    for task in ("scan", "pass", "report"):
        assert len(TASKS[task](profile, "duckdb://", 2, files[1:])["seconds"]) == 2
    assert TASKS["ks_error"](profile, "duckdb://", 1, files)["ks_error"] < 0.01


@pytest.mark.processes
def test_memory_is_that_of_the_whole_tree_and_a_failure_has_its_last_line(tmp_path):
    child = "import time; held = b'x' * 150_000_000; time.sleep(0.5)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('[1]')"
    measured = measure([sys.executable, "-c", parent], folder=tmp_path, timeout=60)
    assert measured.document == [1]
    assert measured.peak_bytes > 150_000_000
    with pytest.raises(MeasurementError, match="ValueError: no such thing"):
        measure([sys.executable, "-c", "raise ValueError('no such thing')"], folder=tmp_path, timeout=60)
    with pytest.raises(MeasurementError, match="took more than 0 s"):
        measure([sys.executable, "-c", "import time; time.sleep(60)"], folder=tmp_path, timeout=0.2)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.folder)
def test_every_peer_is_pinned_and_names_no_index(peer):
    pins = peer.environment.pins.read_text().splitlines()
    assert all(re.match(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?==\S+", pin) for pin in pins)
    assert peer.environment.version_of(peer.package)
    assert peer.script.exists()


def test_the_page_has_a_section_to_write_into():
    from tests.benchmarks.drift.__main__ import PAGE
    from tests.benchmarks.page import markers

    assert all(marker in PAGE.read_text() for marker in markers(NAME))
