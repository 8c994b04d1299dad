"""Asks Dagster, over its GraphQL, to retrain a model."""

import json
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from serving.errors import ContractError, ModelNotFoundError, OrchestratorError, Violation
from serving.formats.release import require_model_name
from serving.settings import ServingSettings

_MAXIMUM_TEXT = 500

_FIND = """
query FindJob($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 1) {
    __typename
    ... on Runs { results { runId } }
    ... on Error { message }
  }
  repositoriesOrError {
    __typename
    ... on RepositoryConnection { nodes { name location { name } jobs { name } } }
    ... on Error { message }
  }
}
"""

_LAUNCH = """
mutation LaunchJob($execution: ExecutionParams!) {
  launchRun(executionParams: $execution) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on Error { message }
  }
}
"""


@dataclass(frozen=True, slots=True)
class Launch:
    """The run that retrains, and whether it was there before."""

    run_id: str
    already_running: bool


class Orchestrator:
    """Dagster's webserver, as seen from the server."""

    def __init__(self, settings: ServingSettings) -> None:
        self._url = settings.dagster_url.rstrip("/")
        self._location, self._job = settings.dagster_location, settings.dagster_job
        self._timeout = settings.dagster_timeout_seconds
        self._one_at_a_time = threading.Lock()

    def retrain(self, model: str, *, reason: str, actor: str) -> Launch:
        """Launch a model's retraining job unless a run of it is queued or running.

        Raises:
            ContractError: A text is too long.
            ModelNotFoundError: Dagster has no such job, or that is no name of a model.
            OrchestratorError: Dagster can not be reached, or refuses.
        """
        _check(model, reason, actor)
        job = self._job.format(model=model)
        with self._one_at_a_time:
            state = self._ask(_FIND, {"filter": {"pipelineName": job, "statuses": _UNFINISHED}})
            if running := _good(state["runsOrError"], "Runs")["results"]:
                return Launch(running[0]["runId"], already_running=True)
            selector = self._selector(job, _good(state["repositoriesOrError"], "RepositoryConnection")["nodes"])
            tags = {"mlops/trigger": "manual", "mlops/reason": reason, "mlops/actor": actor, "mlops/model": model}
            execution = {
                "selector": selector,
                "runConfigData": "{}",
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items() if value]},
            }
            launched = self._ask(_LAUNCH, {"execution": execution})["launchRun"]
            return Launch(_good(launched, "LaunchRunSuccess")["run"]["runId"], already_running=False)

    def _selector(self, job: str, repositories: list[dict[str, Any]]) -> dict[str, str]:
        for repository in repositories:
            location = repository["location"]["name"]
            if self._location in {"", location} and any(entry["name"] == job for entry in repository["jobs"]):
                return {"jobName": job, "repositoryName": repository["name"], "repositoryLocationName": location}
        raise ModelNotFoundError(f"Dagster has no job {job}")

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self._url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:
                document = json.load(response)
        except TimeoutError as error:
            raise OrchestratorError(f"Dagster at {self._url} did not answer in {self._timeout:g} s") from error
        except urllib.error.HTTPError as error:
            raise OrchestratorError(f"Dagster at {self._url} answered {error.code} {error.reason}") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "reason", error)
            raise OrchestratorError(f"Dagster at {self._url} can not be reached: {why}") from error
        if document.get("errors") or not document.get("data"):
            raise OrchestratorError(f"Dagster at {self._url} refused: {_first_error(document)}")
        data: dict[str, Any] = document["data"]
        return data


_UNFINISHED = ["QUEUED", "NOT_STARTED", "STARTING", "STARTED"]


def _check(model: str, reason: str, actor: str) -> None:
    require_model_name(model)
    too_long = f"is longer than {_MAXIMUM_TEXT} characters"
    found = [
        Violation(field, too_long)
        for field, text in (("reason", reason), ("actor", actor))
        if len(text) > _MAXIMUM_TEXT
    ]
    if found:
        raise ContractError(found)


def _good(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    if answer["__typename"] != kind:
        why = answer.get("message") or "; ".join(error["message"] for error in answer.get("errors", []))
        raise OrchestratorError(f"Dagster refused: {answer['__typename']} {why}"[:500])
    return answer


def _first_error(document: dict[str, Any]) -> str:
    errors = document.get("errors") or [{"message": "an empty answer"}]
    return str(errors[0].get("message"))[:300]
