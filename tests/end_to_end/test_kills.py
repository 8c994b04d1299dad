"""Real processes killed at bad moments: the next run goes on by itself. And commands typed to what runs."""

import os
import signal
import time
from pathlib import Path

import pytest

from mlops_assets.assets.release import projected_generation
from mlops_assets.cli.platform import Ports, start_platform
from mlops_assets.cli.processes import Processes
from mlops_assets.definitions import build_resources
from mlops_assets.lake.tables import Lake
from mlops_assets.replay.orchestration import Orchestration
from mlops_assets.settings import Settings
from serving.client import Client
from serving.formats.release import ReleaseStore
from tests.cli.test_commands import assert_one_line, mlops
from tests.end_to_end.wine_cultivar import spec

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
MODEL = spec.name


class Platform:
    """The whole platform over a temporary home, and what tests ask of it."""

    def __init__(self, processes, where, ports):
        self.processes, self.where, self.ports = processes, where, ports
        self.dagster = Orchestration(f"http://127.0.0.1:{ports.dagster}")
        self.client = Client(f"127.0.0.1:{ports.server}")
        self.store, self.lake = ReleaseStore(where.release_store), Lake(where.lake)

    def wait_for(self, what, condition, *, seconds=180.0):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.01)
        pytest.fail(f"{what} did not come within {seconds:.0f} s")

    def mlops(self, *arguments):
        """Type a command, as beside `mlops up`."""
        return mlops(
            *arguments,
            home=self.where.root,
            MLOPS_SERVER=f"127.0.0.1:{self.ports.server}",
            MLOPS_DAGSTER_URL=f"http://127.0.0.1:{self.ports.dagster}",
            MLOPS_CLOCK=self.where.clock,
        )

    def projected(self):
        return projected_generation(self.lake, MODEL)

    def run_workers(self):
        """Return the process ids of the runs that the code server executes."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes()
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue
            if b"spawn_main" in command and str(self.where.root).encode() in environment:
                found.append(int(folder.name))
        return found


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("MLOPS_MODELS", "tests.end_to_end.wine_cultivar")
    patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    home = tmp_path_factory.mktemp("kills") / "home"
    where = Settings(home=home, models="tests.end_to_end.wine_cultivar", clock="event", shipping_lag_seconds=0)
    ports = Ports.free()
    with Processes(home / "logs") as processes:
        start_platform(processes, where, ports)
        platform = Platform(processes, where, ports)
        yield platform
        platform.client.close()
    patch.undo()


def test_a_training_killed_between_release_document_and_alias_is_repaired(platform):
    platform.client.trigger_retraining(MODEL, reason="first version", actor="test")
    platform.wait_for("the release document", lambda: platform.store.latest_generation(MODEL) == 1)
    for process_id in platform.run_workers():
        os.kill(process_id, signal.SIGKILL)
    assert platform.projected() == 0
    platform.wait_for("the promoted version", lambda: platform.client.health(MODEL), seconds=5)
    platform.wait_for("the repaired projection", lambda: platform.projected() == 1)
    aliases = build_resources(platform.where)["registry"].client().get_registered_model(MODEL).aliases
    assert str(aliases["production"]) == "1"


def test_a_daemon_killed_in_the_middle_of_a_tick_goes_on_when_it_is_started_again(platform):
    daemon = next(started for started in platform.processes.all() if started.name == "dagster-daemon")
    os.killpg(daemon.process.pid, signal.SIGKILL)
    daemon.process.wait()
    platform.client.trigger_retraining(MODEL, reason="while the daemon is down", actor="test")
    platform.processes.restart(daemon)
    platform.wait_for("the second entry", lambda: platform.store.latest_generation(MODEL) == 2)
    platform.wait_for("its projection", lambda: platform.projected() == 2)


def test_a_second_retraining_is_answered_with_the_first_ones_id(platform):
    job = f"{MODEL}_retrain"
    platform.wait_for("the end of earlier runs", lambda: not any(run.active for run in platform.dagster.runs(job)))
    first = platform.mlops("retrain", MODEL, "--reason", "one")
    again = platform.client.trigger_retraining(MODEL, reason="two", actor="test")
    assert first.stdout.startswith(f"{MODEL}: retraining {again.dagster_run_id} launched: http://")
    assert again.already_running
    platform.wait_for("the end of the run", lambda: not any(run.active for run in platform.dagster.runs(job)))
    assert {run.tags["mlops/reason"] for run in platform.dagster.runs(job)} >= {"one"}


def test_automation_can_be_paused_and_resumed(platform):
    def statuses():
        sensors = ("monitoring_windows", "drift", "accuracy")
        return {platform.dagster.sensor_status(f"{MODEL}_{sensor}_sensor") for sensor in sensors}

    paused = platform.mlops("pause", MODEL)
    assert (paused.returncode, statuses()) == (0, {"STOPPED"}), paused.stderr
    resumed = platform.mlops("resume", MODEL)
    assert (resumed.returncode, statuses()) == (0, {"RUNNING"}), resumed.stderr
    assert resumed.stdout == f"{MODEL}: automation is running\n"


def test_a_model_that_dagster_was_not_started_with_is_not_switched(platform, monkeypatch):
    monkeypatch.setenv("MLOPS_MODELS", "tests.end_to_end.wine_cultivar,tests.cli.toy_spec")
    for command in ("pause", "resume"):
        assert_one_line(platform.mlops(command, "toy"), "toy_monitoring_windows_sensor", "MLOPS_MODELS")
    assert_one_line(platform.mlops("retrain", "toy"), "toy_retrain", "MLOPS_MODELS")


def test_doctor_finds_dagster_sound(platform):
    found = platform.mlops("doctor").stdout.splitlines()
    assert {"ok   its daemon is alive", "ok   it has loaded the code of every model"} <= set(found)
