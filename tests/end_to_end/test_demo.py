"""The product as a user meets it: the demo's command, real Dagster processes, a real server, a model of one's own."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]


def environment(home):
    return {**os.environ, "MLOPS_HOME": str(home), "MLOPS_MODELS": "tests.end_to_end.wine_cultivar", "COLUMNS": "160"}


def demo(home, *options):
    command = [sys.executable, "-m", "mlops_assets.cli", "demo", "--model", "wine_cultivar", *options]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509  (as a terminal starts it)
    )


def output_of(process, *, seconds):
    """Return what a demo says to its end; one that does not end in time is ended with all that it started."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(5)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"still running after {seconds} s: {process.communicate()[0]}")


def processes_of(home):
    """Return the commands of all processes whose environment names this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def retraining_runs(home):
    """Return all runs of the retraining job that Dagster knows, the newest first."""
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        return instance.get_runs(dg.RunsFilter(job_name="wine_cultivar_retrain"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("demo") / "home"
    process = demo(home, "--weeks", "6", "--exit")
    output = output_of(process, seconds=580)
    assert process.returncode == 0, output
    return home, output, json.loads((home / "demo" / "summary.json").read_text())


def test_a_shift_becomes_three_drifted_windows_one_run_and_a_version_that_the_running_server_answers_with(finished):
    home, output, summary = finished
    assert [window["drift_verdict"] for window in summary["windows"]] == ["clean"] * 3 + ["drifted"] * 3
    assert summary["windows"][3]["drifted_features"] == ["alcohol"]
    (retraining,) = summary["retrainings"]
    assert (retraining["trigger"], retraining["verdict"]) == ("drift", "promote"), output
    assert summary["windows"][5]["trigger"] == "drift"
    assert retraining["candidate_version"] == "2"
    assert retraining["seconds_from_trigger_to_first_answer"] > 0
    assert [run.tags["mlops/trigger"] for run in retraining_runs(home)] == ["drift", "manual"], "and no run twice"


def test_stable_windows_through_the_daemon_trigger_nothing(finished):
    _, _, summary = finished
    assert [window["trigger"] for window in summary["windows"][:3]] == [None] * 3


def test_no_call_fails_and_every_acknowledged_prediction_is_in_the_lake_once(finished):
    _, _, summary = finished
    assert summary["failed_calls"] == 0
    assert summary["acknowledged_predictions"] == summary["logged_predictions"] >= 6 * 300
    assert summary["duplicate_predictions"] == 0


def test_the_summary_and_the_report_are_complete(finished):
    home, output, summary = finished
    assert {"loop", "frozen", "constant"} == set(summary["totals"])
    for window in summary["windows"]:
        assert {"start", "end", "rows", "labels", "accuracy", "auc", "log_loss", "model_version"} <= set(window)
        assert window["rows"] == window["labels"] == 300
    report = (home / "demo" / "report.html").read_text()
    assert "wine_cultivar" in report
    assert "http" + "://" not in report.replace("http://www.w3.org", "")
    assert "the loop beside the frozen first version" in output


def test_nothing_is_left_running(finished):
    home, _, _ = finished
    assert processes_of(home) == []


def test_a_demo_that_was_stopped_goes_on_where_it_was(tmp_path):
    home = tmp_path / "home"
    process = demo(home, "--weeks", "3", "--exit")
    seen = next(line for line in process.stdout if line.startswith("2024-03-02"))
    process.send_signal(signal.SIGINT)
    output = output_of(process, seconds=60)
    assert process.returncode == 130, seen + output
    resumed = demo(home, "--weeks", "3", "--exit", "--resume")
    output = output_of(resumed, seconds=300)
    assert resumed.returncode == 0, output
    assert "A version is in production already" in output
    summary = json.loads((home / "demo" / "summary.json").read_text())
    assert [(window["rows"], window["labels"]) for window in summary["windows"]] == [(300, 300)] * 3
    assert summary["acknowledged_predictions"] == summary["logged_predictions"] == 900
    assert summary["duplicate_predictions"] == summary["failed_calls"] == 0
    assert len(retraining_runs(home)) == 1


def test_ctrl_c_at_any_moment_leaves_no_process(tmp_path):
    for seconds in (1.0, 12.0):
        home = tmp_path / f"after-{seconds:.0f}"
        process = demo(home, "--exit")
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        output = output_of(process, seconds=60)
        assert process.returncode == 130, output
        assert "Traceback" not in output
        assert processes_of(home) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_a_quarter_of_real_flights_the_loop_beats_the_frozen_model_and_the_constant(tmp_path):
    home = tmp_path / "home"
    process = demo(home, "--model", "flight_delay", "--exit")
    output = output_of(process, seconds=1700)
    assert process.returncode == 0, output
    summary = json.loads((home / "demo" / "summary.json").read_text())
    loss = {name: totals["log_loss"] for name, totals in summary["totals"].items()}
    assert loss["loop"] < loss["frozen"] < loss["constant"]
    assert {retraining["trigger"] for retraining in summary["retrainings"]} == {"drift"}
    assert "promote" in {retraining["verdict"] for retraining in summary["retrainings"]}
    assert summary["failed_calls"] == summary["duplicate_predictions"] == 0
    assert summary["acknowledged_predictions"] == summary["logged_predictions"] > 60_000
    assert processes_of(home) == []
