"""The code location as a whole: every asset key, sensor and schedule, and what each says about itself."""

import subprocess
import sys
import warnings
from dataclasses import replace

import dagster as dg
import pytest

from mlops_assets.jobs import REPORTS, RETRAINING_ASSETS
from mlops_assets.spec import RetrainingPolicy


@pytest.fixture(scope="module")
def repository():
    from mlops_assets.definitions import build_definitions

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        definitions = build_definitions()
        dg.Definitions.validate_loadable(definitions)
        return definitions.get_repository_def()


def test_every_model_has_every_asset(repository):
    keys = {tuple(key.path) for key in repository.asset_graph.get_all_asset_keys()}
    models = ("breast_cancer", "flight_delay")
    names = (*RETRAINING_ASSETS, *REPORTS, "lake_upkeep", "policy_backtest")
    assert keys == {(model, name) for model in models for name in names}


def test_every_asset_tells_the_operator_what_it_is(repository):
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.owners, key
        assert node.kinds, key
        assert node.tags["mlops/model"] == key.path[0]
        assert node.group_name in {"data", "training", "release", "monitoring"}


def test_no_job_makes_a_backtest_by_itself(repository):
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    assert len(jobs) == 2 * 4
    made = {key.path[-1] for job in jobs for key in job.asset_layer.selected_asset_keys}
    assert made == {*RETRAINING_ASSETS, *REPORTS, "lake_upkeep"}


def test_a_model_has_the_sensors_of_the_triggers_that_it_names(repository):
    names = {sensor.name for sensor in repository.sensor_defs}
    of_each = ("monitoring_windows", "drift", "projections")
    expected = {f"{model}_{name}_sensor" for model in ("breast_cancer", "flight_delay") for name in of_each}
    assert names == expected | {"breast_cancer_accuracy_sensor", "abandoned_mlflow_runs_sensor"}


def test_a_model_without_a_trigger_has_neither_its_sensor_nor_its_schedule(repository, tiny_spec):
    from mlops_assets.definitions import build_model_definitions

    definitions = build_model_definitions(replace(tiny_spec, retraining=RetrainingPolicy(triggers=("accuracy",))))
    assert {sensor.name for sensor in definitions.sensors} == {
        "tiny_monitoring_windows_sensor",
        "tiny_accuracy_sensor",
        "tiny_projections_sensor",
    }
    assert [schedule.name for schedule in definitions.schedules] == ["tiny_lake_upkeep_schedule"]


@pytest.mark.parametrize(
    ("triggers", "version", "present"),
    [
        (RetrainingPolicy().triggers, lambda: "tuesday", True),
        (RetrainingPolicy().triggers, None, False),
        (("new_data",), lambda: "tuesday", True),
        ((), lambda: "tuesday", False),
    ],
)
def test_new_data_have_a_sensor_if_they_are_named_and_the_source_has_a_version(tiny_spec, triggers, version, present):
    from mlops_assets.definitions import build_model_definitions

    spec = replace(tiny_spec, retraining=RetrainingPolicy(triggers=triggers), source_version=version)
    sensors = {sensor.name for sensor in build_model_definitions(spec).sensors}
    assert ("tiny_new_data_sensor" in sensors) is present


def test_all_sensors_and_schedules_run_by_default(repository):
    for sensor in repository.sensor_defs:
        assert sensor.default_status is dg.DefaultSensorStatus.RUNNING, sensor.name
    schedules = {schedule.name: schedule for schedule in repository.schedule_defs}
    assert {name: schedule.cron_schedule for name, schedule in schedules.items()} == {
        "breast_cancer_weekly_schedule": "0 2 * * 0",
        "breast_cancer_lake_upkeep_schedule": "0 3 * * *",
        "flight_delay_lake_upkeep_schedule": "0 3 * * *",
    }
    for schedule in schedules.values():
        assert schedule.execution_timezone == "UTC"
        assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING


def test_one_training_per_model_at_a_time(repository):
    graph = repository.asset_graph
    trained = [graph.get(key) for key in graph.get_all_asset_keys() if key.path[-1] == "trained_model"]
    assert {pool for node in trained for pool in node.pools} == {"train_breast_cancer", "train_flight_delay"}


def test_loading_the_code_location_imports_no_heavy_library():
    heavy = "('pandas', 'sklearn', 'mlflow', 'ibis', 'optuna', 'pandera', 'scipy', 'matplotlib', 'skl2onnx')"
    code = f"import sys, mlops_assets.definitions; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "[]"
