"""Asks a running Dagster, over its GraphQL, what the loop is doing."""

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import OperationError

_REPOSITORY = {"repositoryLocationName": "mlops_assets", "repositoryName": "__repository__"}
_RUNS = """query($filter: RunsFilter!) { runsOrError(filter: $filter, limit: 50) { __typename ... on Runs { results {
  runId status creationTime endTime tags { key value } } } ... on Error { message } } }"""
_SENSOR = """query($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) { __typename ... on Sensor {
  sensorState { id status typeSpecificData { ... on SensorData { lastCursor } } } } ... on Error { message } } }"""
_SENSOR_START = """mutation($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename
  ... on Error { message } } }"""
_SENSOR_STOP = "mutation($id: String!) { stopSensor(id: $id) { __typename ... on Error { message } } }"
_SCHEDULE = """query($selector: ScheduleSelector!) { scheduleOrError(scheduleSelector: $selector) { __typename
  ... on Schedule { scheduleState { id } } ... on Error { message } } }"""
_SCHEDULE_START = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename
  ... on Error { message } } }"""
_SCHEDULE_STOP = "mutation($id: String!) { stopRunningSchedule(id: $id) { __typename ... on Error { message } } }"
_CODE = """query { workspaceOrError { __typename ... on Error { message } ... on Workspace { locationEntries {
  locationOrLoadError { __typename ... on Error { message } ... on RepositoryLocation {
  repositories { jobs { name } } } } } } } }"""
_DAEMONS = """query { instance { daemonHealth { allDaemonStatuses { daemonType required lastHeartbeatTime
  lastHeartbeatErrors { message } } } } }"""
_FAILURE = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on ExecutionStepFailureEvent { stepKey error { message } } ... on RunFailureEvent { message } } } } }"""

ACTIVE = ("QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING")
_UNREADABLE = (urllib.error.HTTPError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError)
HEARTBEAT_SECONDS = 120.0  # the daemon's parts give a sign of life every 30 s, later on a busy machine


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

    def jobs(self) -> frozenset[str]:
        """Return the names of all jobs that it has loaded; none while it still loads.

        Raises:
            OperationError: The code could not be loaded.
        """
        names: set[str] = set()
        for entry in self._ask(_CODE, {}, "Workspace")["locationEntries"]:
            if entry["locationOrLoadError"]:
                loaded = self._good(entry["locationOrLoadError"], "RepositoryLocation")
                names |= {job["name"] for repository in loaded["repositories"] for job in repository["jobs"]}
        return frozenset(names)

    def failing_daemons(self) -> list[str]:
        """Return the parts of the daemon that have stopped or failed, each with why."""
        statuses = self._ask(_DAEMONS, {})["daemonHealth"]["allDaemonStatuses"]
        return [
            f"{status['daemonType']} {why}" for status in statuses if status["required"] and (why := _failure(status))
        ]

    def runs(self, job: str) -> list[Run]:
        """Return a job's runs, newest first, at most 50."""
        return [
            Run(
                run["runId"],
                run["status"],
                run["creationTime"],
                run["endTime"],
                {tag["key"]: tag["value"] for tag in run["tags"]},
            )
            for run in self._ask(_RUNS, {"filter": {"pipelineName": job}}, "Runs")["results"]
        ]

    def sensor_cursor(self, sensor: str) -> dict[str, Any]:
        """Return what a sensor left in its cursor; empty before its first tick."""
        data = self._sensor(sensor)["typeSpecificData"] or {}
        return dict(json.loads(data["lastCursor"])) if data.get("lastCursor") else {}

    def sensor_status(self, sensor: str) -> str:
        """Return RUNNING or STOPPED."""
        return str(self._sensor(sensor)["status"])

    def set_sensor(self, sensor: str, *, running: bool) -> None:
        """Start or stop a sensor.

        Raises:
            OperationError: Dagster does not have it, or refuses.
        """
        if running:
            self._ask(_SENSOR_START, {"selector": {**_REPOSITORY, "sensorName": sensor}}, "Sensor")
        else:
            self._ask(_SENSOR_STOP, {"id": self._sensor(sensor)["id"]}, "StopSensorMutationResult")

    def set_schedule(self, schedule: str, *, running: bool) -> None:
        """Start or stop a schedule.

        Raises:
            OperationError: Dagster does not have it, or refuses.
        """
        selector = {"selector": {**_REPOSITORY, "scheduleName": schedule}}
        if running:
            self._ask(_SCHEDULE_START, selector, "ScheduleStateResult")
        else:
            found = self._ask(_SCHEDULE, selector, "Schedule")
            self._ask(_SCHEDULE_STOP, {"id": found["scheduleState"]["id"]}, "ScheduleStateResult")

    def failure_of(self, run_id: str) -> str:
        """Return the first error message of a failed run."""
        events = self._ask(_FAILURE, {"id": run_id}).get("events", [])
        for event in events:
            text = (event.get("error") or {}).get("message") or event.get("message")
            if text:
                return " ".join(str(text).split())[:400]
        return "no message"

    def _sensor(self, sensor: str) -> dict[str, Any]:
        found = self._ask(_SENSOR, {"selector": {**_REPOSITORY, "sensorName": sensor}}, "Sensor")
        return dict(found["sensorState"])

    def _ask(self, query: str, variables: dict[str, Any], kind: str = "") -> dict[str, Any]:
        """Return the answer to a query of one field; `kind` is the type that it has unless it is an error."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self._url}/graphql", body, {"Content-Type": "application/json", "Accept": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                document = json.load(response)
            refusal = document["errors"][0]["message"] if "errors" in document else ""
            (answer,) = [{}] if refusal else document["data"].values()
        except _UNREADABLE as error:
            raise OperationError(
                f"what answers at {self._url} is not Dagster ({type(error).__name__}: {error}); "
                "let MLOPS_DAGSTER_URL name Dagster's webserver"
            ) from None
        except OSError as error:
            raise OperationError(
                f"Dagster does not answer at {self._url} ({getattr(error, 'reason', error)}); "
                "start it with `mlops up`, or let MLOPS_DAGSTER_URL name where it runs"
            ) from None
        if refusal:
            raise OperationError(f"Dagster at {self._url} refused: {refusal}")
        return self._good(answer, kind) if kind else dict(answer)

    def _good(self, answer: dict[str, Any], kind: str) -> dict[str, Any]:
        if answer["__typename"] != kind:
            mend = "; start it with the MLOPS_MODELS that names the model" if "NotFound" in answer["__typename"] else ""
            raise OperationError(f"Dagster at {self._url}: {answer['__typename']}: {answer['message']}{mend}")
        return answer


def _failure(daemon: dict[str, Any]) -> str:
    """Return why a part of the daemon counts as failing; empty if it does not."""
    if daemon["lastHeartbeatErrors"]:
        return "failed: " + " ".join(daemon["lastHeartbeatErrors"][0]["message"].split())[:300]
    silent = time.time() - (daemon["lastHeartbeatTime"] or 0)
    if silent <= HEARTBEAT_SECONDS:
        return ""
    return f"has been silent for {silent:.0f} s" if daemon["lastHeartbeatTime"] else "has never run"
