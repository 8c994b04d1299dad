"""What `mlops doctor` finds wrong, each with its mend."""

import time
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.catalog import specs
from mlops_assets.cli.doctor import Finding, findings
from mlops_assets.settings import Settings
from tests.stub_dagster import StubDagster

CODE = "it has loaded the code of every model"
DAEMON = "its daemon is alive"


def found(where: Settings) -> dict[str, Finding]:
    return {finding.what: finding for finding in findings(where)}


def daemon(*, seconds: float) -> dict[str, Any]:
    beat = {"lastHeartbeatTime": time.time() - seconds, "lastHeartbeatErrors": []}
    return {"daemonHealth": {"allDaemonStatuses": [{"daemonType": "SENSOR", "required": True, **beat}]}}


def code(*models: str) -> dict[str, Any]:
    jobs = [{"name": f"{model}_retrain"} for model in models]
    loaded = {"__typename": "RepositoryLocation", "repositories": [{"jobs": jobs}]}
    return {"__typename": "Workspace", "locationEntries": [{"locationOrLoadError": loaded}]}


@pytest.fixture
def where(tmp_path: Path, dagster: StubDagster) -> Settings:
    """Settings of a Dagster without a fault."""
    dagster.answers = {"instance": daemon(seconds=20), "workspaceOrError": code(*specs())}
    return Settings(home=tmp_path, server="127.0.0.1:9", dagster_url=dagster.url)


def test_a_dagster_without_a_fault_is_good(where: Settings):
    assert [found(where)[what].good for what in (f"Dagster answers at {where.dagster_url}", DAEMON, CODE)] == 3 * [True]


def test_a_dead_daemon_is_found(where: Settings, dagster: StubDagster):
    dagster.answers["instance"] = daemon(seconds=600)
    finding = found(where)[DAEMON]
    assert not finding.good
    assert finding.mend.startswith("SENSOR has been silent for 600 s: see ")


def test_code_that_could_not_be_loaded_is_found(where: Settings, dagster: StubDagster):
    error = {"__typename": "PythonError", "message": "SpecError: nope.nope can not be imported"}
    dagster.answers["workspaceOrError"]["locationEntries"][0]["locationOrLoadError"] = error
    finding = found(where)[CODE]
    assert not finding.good
    assert "nope.nope can not be imported" in finding.mend


def test_a_model_that_dagster_does_not_know_is_found(where: Settings, dagster: StubDagster):
    dagster.answers["workspaceOrError"] = code("flight_delay")
    finding = found(where)[CODE]
    assert not finding.good
    assert finding.mend == "breast_cancer is not there: start it with the same MLOPS_MODELS"


def test_another_service_in_dagsters_place_is_found(where: Settings, dagster: StubDagster):
    dagster.body = b"<html>"
    finding = found(where)[f"Dagster answers at {where.dagster_url}"]
    assert not finding.good
    assert "is not Dagster" in finding.mend


@pytest.mark.parametrize("below", [".", "further/down"])
def test_a_home_that_is_a_file_is_found(where: Settings, tmp_path: Path, below: str):
    (tmp_path / "file").write_text("")
    home = tmp_path / "file" / below
    finding = found(where.model_copy(update={"home": home}))[f"home {home} can be written"]
    assert not finding.good
    assert finding.mend.startswith(f"{tmp_path / 'file'}: Not a directory")


def test_a_home_that_is_not_there_yet_is_good(where: Settings, tmp_path: Path):
    home = tmp_path / "not" / "yet"
    assert found(where.model_copy(update={"home": home}))[f"home {home} can be written"].good
    assert list(tmp_path.iterdir()) == []
