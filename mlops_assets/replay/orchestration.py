"""Asks a running Dagster, over its GraphQL, what the loop is doing."""

import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import OperationError

_REPOSITORY = {"repositoryLocationName": "mlops_assets", "repositoryName": "__repository__"}
_RUNS = """query($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 50) { ... on Runs { results {
  runId status creationTime endTime tags { key value } } } } }"""
_SENSOR = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
  sensorState { status typeSpecificData { ... on SensorData { lastCursor } } } } } }"""
_START = """mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename
  ... on PythonError { message } } }"""
_STOP = """mutation($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"""
_SENSOR_ID = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { ... on Sensor {
  id sensorState { id } } } }"""
_SCHEDULE_START = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename
  ... on PythonError { message } } }"""
_SCHEDULE_STOP = """mutation($id: String!) { stopRunningSchedule(id: $id) { __typename
  ... on PythonError { message } } }"""
_SCHEDULE_ID = """query($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) { ... on Schedule {
  scheduleState { id } } } }"""
_REPOSITORIES = """query { repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"""
_FAILURE = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on ExecutionStepFailureEvent { stepKey error { message } } ... on RunFailureEvent { message } } } } }"""

ACTIVE = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")


@dataclass(frozen=True)
class Run:
    """One Dagster run; times in seconds since 1970."""

    run_id: str
    status: str
    created: float
    ended: float | None
    tags: dict[str, str]

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.status in ACTIVE


class Orchestration:
    """A running Dagster webserver."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def code_is_loaded(self) -> bool:
        """Return whether the webserver has loaded the code location."""
        return bool(self._ask(_REPOSITORIES, {})["repositoriesOrError"].get("nodes"))

    def runs(self, job: str) -> list[Run]:
        """Return a job's runs, newest first, at most 50."""
        answer = self._ask(_RUNS, {"filter": {"pipelineName": job}})
        return [
            Run(
                run["runId"],
                run["status"],
                run["creationTime"],
                run["endTime"],
                {tag["key"]: tag["value"] for tag in run["tags"]},
            )
            for run in answer["runsOrError"]["results"]
        ]

    def sensor_cursor(self, sensor: str) -> dict[str, Any]:
        """Return what a sensor left in its cursor; empty before its first tick."""
        answer = self._ask(_SENSOR, {"selector": {**_REPOSITORY, "sensorName": sensor}})
        data = (answer["sensorOrError"].get("sensorState") or {}).get("typeSpecificData") or {}
        return dict(json.loads(data["lastCursor"])) if data.get("lastCursor") else {}

    def sensor_status(self, sensor: str) -> str:
        """Return RUNNING or STOPPED."""
        answer = self._ask(_SENSOR, {"selector": {**_REPOSITORY, "sensorName": sensor}})
        return str((answer["sensorOrError"].get("sensorState") or {}).get("status", "UNKNOWN"))

    def set_sensor(self, sensor: str, *, running: bool) -> None:
        """Start or stop a sensor."""
        selector = {**_REPOSITORY, "sensorName": sensor}
        if running:
            self._ask(_START, {"selector": selector})
        else:
            found = self._ask(_SENSOR_ID, {"selector": selector})["sensorOrError"]
            self._ask(_STOP, {"id": found["sensorState"]["id"]})

    def set_schedule(self, schedule: str, *, running: bool) -> None:
        """Start or stop a schedule."""
        selector = {**_REPOSITORY, "scheduleName": schedule}
        if running:
            self._ask(_SCHEDULE_START, {"selector": selector})
        else:
            found = self._ask(_SCHEDULE_ID, {"selector": selector})["scheduleOrError"]
            self._ask(_SCHEDULE_STOP, {"id": found["scheduleState"]["id"]})

    def failure_of(self, run_id: str) -> str:
        """Return the first error message of a failed run."""
        events = self._ask(_FAILURE, {"id": run_id})["logsForRun"].get("events", [])
        for event in events:
            text = (event.get("error") or {}).get("message") or event.get("message")
            if text:
                return " ".join(str(text).split())[:400]
        return "no message"

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self._url}/graphql", body, {"Content-Type": "application/json", "Accept": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                answer = json.load(response)
        except OSError as error:
            raise OperationError(
                f"Dagster does not answer at {self._url} ({error}); start it with `make dev`"
            ) from None
        if answer.get("errors"):
            raise OperationError(f"Dagster at {self._url} refused: {answer['errors'][0]['message']}")
        return dict(answer["data"])
