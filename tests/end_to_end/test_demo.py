"""The product as a user meets it: the demo's command, real Dagster processes, a real server, a model of one's own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    home = tmp_path_factory.mktemp("demo") / "home"
    process = demo(home, "--weeks", "6", "--exit")
    output, _ = process.communicate(timeout=580)
    assert process.returncode == 0, output
    return home, output, json.loads((home / "demo" / "summary.json").read_text())


def test_a_shift_becomes_three_drifted_windows_one_run_and_a_version_that_the_running_server_answers_with(finished):
    _, output, summary = finished
    assert [window["drift_verdict"] for window in summary["windows"]] == ["clean"] * 3 + ["drifted"] * 3
    assert summary["windows"][3]["drifted_features"] == ["alcohol"]
    (retraining,) = summary["retrainings"]
    assert (retraining["trigger"], retraining["verdict"]) == ("drift", "promote"), output
    assert summary["windows"][5]["trigger"] == "drift"
    assert retraining["candidate_version"] == "2"
    assert retraining["seconds_from_trigger_to_first_answer"] > 0


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


def test_ctrl_c_at_any_moment_leaves_no_process(tmp_path):
    for seconds in (1.0, 12.0):
        home = tmp_path / f"after-{seconds:.0f}"
        process = demo(home, "--exit")
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130, output
        assert "Traceback" not in output
        assert processes_of(home) == []
