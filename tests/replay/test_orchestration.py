"""What Dagster answers is read: an error is raised, and every question is one that Dagster understands."""

import time
from typing import Any

import pytest

from mlops_assets.errors import OperationError
from mlops_assets.replay import orchestration
from mlops_assets.replay.orchestration import Orchestration
from tests.stub_dagster import StubDagster

NO_SENSOR = {"__typename": "SensorNotFoundError", "message": "Could not find `toy_drift_sensor`"}
NO_SCHEDULE = {"__typename": "ScheduleNotFoundError", "message": "Could not find `toy_weekly_schedule`"}
FAILED = {"__typename": "PythonError", "message": "database is locked"}
QUERIES = [text for name, text in vars(orchestration).items() if str(text).startswith(("query", "mutation"))]


@pytest.mark.parametrize("query", QUERIES)
def test_dagster_understands_every_question(query: str):
    from dagster_graphql.schema import create_schema
    from graphql import parse, validate

    assert validate(create_schema().graphql_schema, parse(query)) == []


@pytest.mark.parametrize("running", [True, False])
def test_a_sensor_that_dagster_does_not_have_is_not_switched(dagster: StubDagster, running: bool):
    dagster.answers = {"startSensor": NO_SENSOR, "sensorOrError": NO_SENSOR}
    with pytest.raises(OperationError, match="toy_drift_sensor.*MLOPS_MODELS"):
        Orchestration(dagster.url).set_sensor("toy_drift_sensor", running=running)


@pytest.mark.parametrize("running", [True, False])
def test_a_schedule_that_dagster_does_not_have_is_not_switched(dagster: StubDagster, running: bool):
    dagster.answers = {"startSchedule": NO_SCHEDULE, "scheduleOrError": NO_SCHEDULE}
    with pytest.raises(OperationError, match="toy_weekly_schedule.*MLOPS_MODELS"):
        Orchestration(dagster.url).set_schedule("toy_weekly_schedule", running=running)


def test_a_sensor_that_dagster_fails_to_stop_is_told(dagster: StubDagster):
    sensor = {"__typename": "Sensor", "sensorState": {"id": "1", "status": "RUNNING", "typeSpecificData": None}}
    dagster.answers = {"sensorOrError": sensor, "stopSensor": FAILED}
    with pytest.raises(OperationError, match="database is locked"):
        Orchestration(dagster.url).set_sensor("toy_drift_sensor", running=False)


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (404, b"<html>"), (200, b"[]"), (200, b'{"data": null}')]
)
def test_another_service_at_its_address_is_named_with_the_setting(dagster: StubDagster, status: int, body: bytes):
    dagster.status, dagster.body = status, body
    with pytest.raises(OperationError, match=f"{dagster.url} is not Dagster.*MLOPS_DAGSTER_URL"):
        Orchestration(dagster.url).runs("toy_retrain")


def test_a_refused_question_is_told(dagster: StubDagster):
    dagster.body = b'{"data": null, "errors": [{"message": "too deep"}]}'
    with pytest.raises(OperationError, match="refused: too deep"):
        Orchestration(dagster.url).runs("toy_retrain")


def test_code_that_could_not_be_loaded_is_told(dagster: StubDagster):
    entry = {"name": "mlops_assets", "locationOrLoadError": {"__typename": "PythonError", "message": "SpecError: x"}}
    dagster.answers = {"workspaceOrError": {"__typename": "Workspace", "locationEntries": [entry]}}
    with pytest.raises(OperationError, match="SpecError: x"):
        Orchestration(dagster.url).jobs()


def test_jobs_are_those_of_all_loaded_code(dagster: StubDagster):
    loaded = {"__typename": "RepositoryLocation", "repositories": [{"jobs": [{"name": "a"}, {"name": "b"}]}]}
    entries = [{"name": "one", "locationOrLoadError": loaded}, {"name": "two", "locationOrLoadError": None}]
    dagster.answers = {"workspaceOrError": {"__typename": "Workspace", "locationEntries": entries}}
    assert Orchestration(dagster.url).jobs() == {"a", "b"}


def test_parts_of_the_daemon_that_are_silent_or_fail_are_named(dagster: StubDagster):
    def part(
        name: str, *, seconds: float | None, errors: tuple[str, ...] = (), required: bool = True
    ) -> dict[str, Any]:
        beat = None if seconds is None else time.time() - seconds
        told = [{"message": error} for error in errors]
        return {"daemonType": name, "required": required, "lastHeartbeatTime": beat, "lastHeartbeatErrors": told}

    parts = [
        part("SCHEDULER", seconds=31),
        part("SENSOR", seconds=500),
        part("BACKFILL", seconds=None),
        part("ASSET", seconds=None, required=False),
        part("MONITORING", seconds=1, errors=("boom",)),
    ]
    dagster.answers = {"instance": {"daemonHealth": {"allDaemonStatuses": parts}}}
    assert Orchestration(dagster.url).failing_daemons() == [
        "SENSOR has been silent for 500 s",
        "BACKFILL has never run",
        "MONITORING failed: boom",
    ]
