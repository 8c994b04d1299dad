"""A retraining is asked of Dagster once, and a Dagster that is not there is named."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.errors import ContractError, ModelNotFoundError, OrchestratorError
from serving.orchestrator import _FIND, _LAUNCH, Launch, Orchestrator
from serving.settings import load_settings
from tests.stub_dagster import StubDagster

JOBS = {"name": "__repository__", "location": {"name": "house"}, "jobs": [{"name": "toy_retrain"}]}


class LaunchingDagster(StubDagster):
    """Launches retrainings, and may keep a caller waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[dict[str, str]] = []
        self.launch: dict[str, Any] = {"__typename": "LaunchRunSuccess", "run": {"runId": "run-1"}}
        self.wait = threading.Event()
        self.wait.set()

    def answer(self, query: str) -> dict[str, Any]:
        self.wait.wait(10)
        if "launchRun" in query:
            return {"launchRun": self.launch}
        return {
            "runsOrError": {"__typename": "Runs", "results": self.running},
            "repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [JOBS]},
        }


@pytest.fixture
def dagster() -> Iterator[LaunchingDagster]:
    stub = LaunchingDagster()
    yield stub
    stub.wait.set()
    stub.stop()


@pytest.fixture
def orchestrator_of(tmp_path: Path) -> Callable[..., Orchestrator]:
    def make(url: str, **given: Any) -> Orchestrator:
        return Orchestrator(load_settings(home=tmp_path, dagster_url=url, **given))

    return make


def test_a_retraining_is_launched_with_its_reason_and_actor(dagster: LaunchingDagster, orchestrator_of):
    launch = orchestrator_of(dagster.url).retrain("toy", reason="new airport", actor="ada")
    assert launch == Launch("run-1", already_running=False)
    assert dagster.asked[0]["variables"]["filter"]["pipelineName"] == "toy_retrain"
    execution = dagster.asked[1]["variables"]["execution"]
    assert execution["selector"] == {
        "jobName": "toy_retrain",
        "repositoryName": "__repository__",
        "repositoryLocationName": "house",
    }
    assert {tag["key"]: tag["value"] for tag in execution["executionMetadata"]["tags"]} == {
        "mlops/trigger": "manual",
        "mlops/reason": "new airport",
        "mlops/actor": "ada",
        "mlops/model": "toy",
    }


def test_a_retraining_that_is_under_way_is_named_and_none_is_launched(dagster: LaunchingDagster, orchestrator_of):
    dagster.running = [{"runId": "run-0"}]
    assert orchestrator_of(dagster.url).retrain("toy", reason="", actor="") == Launch("run-0", already_running=True)
    assert len(dagster.asked) == 1


def test_a_model_without_a_job_is_not_found(dagster: LaunchingDagster, orchestrator_of):
    with pytest.raises(ModelNotFoundError, match="no job other_retrain"):
        orchestrator_of(dagster.url).retrain("other", reason="", actor="")
    with pytest.raises(ModelNotFoundError, match="no job toy_retrain"):
        orchestrator_of(dagster.url, dagster_location="elsewhere").retrain("toy", reason="", actor="")
    with pytest.raises(ModelNotFoundError, match="not a model name"):
        orchestrator_of(dagster.url).retrain("../toy", reason="", actor="")


def test_a_reason_that_is_too_long_is_refused(dagster: LaunchingDagster, orchestrator_of):
    with pytest.raises(ContractError, match="reason"):
        orchestrator_of(dagster.url).retrain("toy", reason="x" * 501, actor="")
    assert not dagster.asked


def test_a_refused_launch_says_why(dagster: LaunchingDagster, orchestrator_of):
    dagster.launch = {"__typename": "PythonError", "message": "no disk"}
    with pytest.raises(OrchestratorError, match="PythonError no disk"):
        orchestrator_of(dagster.url).retrain("toy", reason="", actor="")


def test_a_dagster_that_is_away_or_broken_is_named(dagster: LaunchingDagster, orchestrator_of):
    dagster.status = 500
    with pytest.raises(OrchestratorError, match=rf"{dagster.url} answered 500"):
        orchestrator_of(dagster.url).retrain("toy", reason="", actor="")
    with pytest.raises(OrchestratorError, match=r"127\.0\.0\.1:9 can not be reached: .*refused"):
        orchestrator_of("http://127.0.0.1:9").retrain("toy", reason="", actor="")


def test_a_dagster_that_does_not_answer_is_named_after_the_timeout(dagster: LaunchingDagster, orchestrator_of):
    dagster.wait.clear()
    with pytest.raises(OrchestratorError, match=rf"{dagster.url} did not answer in 0.2 s"):
        orchestrator_of(dagster.url, dagster_timeout_seconds=0.2).retrain("toy", reason="", actor="")


@pytest.mark.filterwarnings("ignore")  # of the libraries that dagster_graphql imports
def test_the_queries_fit_dagsters_schema():
    graphql = pytest.importorskip("graphql")
    schema = pytest.importorskip("dagster_graphql.schema").create_schema().graphql_schema
    assert graphql.validate(schema, graphql.parse(_FIND)) == []
    assert graphql.validate(schema, graphql.parse(_LAUNCH)) == []
