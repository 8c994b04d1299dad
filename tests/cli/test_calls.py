"""What a user types to a running server: `predict`, `feedback`, and `release` on what it serves."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlops_assets.cli.commands import commands
from mlops_assets.errors import DataError, OperationError
from mlops_assets.settings import settings
from serving.formats.release import Release
from tests.cli.toy_spec import spec
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import CONTRACT, append_release, promote, score_of

pytestmark = pytest.mark.processes
CSV = "distance,hour,carrier,origin,entity_key\n400,7,aa,jfk,flight-1\n100,,bb,,\n"
JSON_LINES = """{"distance": 400, "hour": 7, "carrier": "aa", "origin": "jfk", "entity_key": 1}

{"distance": 1e2, "hour": null, "carrier": "bb", "origin": null}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    server = RunningServer(tmp_path_factory.mktemp("calls") / "home")
    promoted = promote(server.store, 1)
    append_release(server.store, promoted.routing.production, action="refuse")
    try:
        server.start()
        with server.client() as client:
            assert client.wait_until_healthy("toy")
        yield server
    finally:
        server.destroy()


@pytest.fixture
def mlops(server: RunningServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLOPS_HOME", str(server.home))
    monkeypatch.setenv("MLOPS_SERVER", server.address)
    monkeypatch.setenv("MLOPS_MODELS", "tests.cli.toy_spec")
    settings.cache_clear()

    def run(*arguments: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(commands, list(arguments), input=stdin)

    yield run
    settings.cache_clear()


def test_the_spec_is_that_of_the_model_that_is_served():
    assert spec.contract == CONTRACT


@pytest.mark.parametrize("rows", [CSV, "\ufeff" + CSV, JSON_LINES], ids=["csv", "csv of excel", "json"])
def test_rows_are_scored_one_answer_a_line(mlops, rows: str):
    result = mlops("predict", "toy", "-", "--version-info", stdin=rows)
    assert result.exit_code == 0, result.output
    assert result.stderr == "toy version 1, generation 2\n"
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["probability"] == pytest.approx(score_of(1, 400, 7, "aa"), abs=1e-6)
    assert second["probability"] == pytest.approx(score_of(1, 100, None, "bb"), abs=1e-6)
    assert (first["model_version"], first["label"]) == ("1", "late")


def test_rows_come_from_a_file_and_their_key_is_passed_on(mlops, server: RunningServer, tmp_path: Path):
    (tmp_path / "rows.csv").write_text(CSV)
    result = mlops("predict", "toy", str(tmp_path / "rows.csv"))
    ids = [json.loads(line)["prediction_id"] for line in result.stdout.splitlines()]
    eventually(lambda: set(ids) <= set(server.shipped()), what="the shipping of both rows")
    logged = {row["prediction_id"]: row["entity_key"] for row in server.table("predictions").to_pylist()}
    assert [logged[prediction_id] for prediction_id in ids] == ["flight-1", None]


def test_labels_are_accepted_and_reach_the_lake(mlops, server: RunningServer):
    answer = json.loads(mlops("predict", "toy", "-", stdin=JSON_LINES.splitlines()[0]).stdout)
    result = mlops("feedback", "toy", f"{answer['prediction_id']}=late", "--source", "the tower")
    assert (result.exit_code, result.output) == (0, "1 label accepted\n")
    eventually(lambda: answer["prediction_id"] in server.shipped("feedback"), what="the shipping of the label")
    (row,) = [r for r in server.table("feedback").to_pylist() if r["prediction_id"] == answer["prediction_id"]]
    assert (row["label"], row["source"]) == ("late", "the tower")


def test_a_row_that_the_server_refuses_is_named_with_its_line(mlops):
    result = mlops("predict", "toy", "-", stdin=CSV.replace("100", "-5"))
    assert isinstance(result.exception, DataError)
    assert "line 3: distance" in str(result.exception)
    assert len(result.stdout.splitlines()) == 1


def test_a_model_that_is_not_served_is_named_with_the_mend(mlops):
    result = mlops("feedback", "breast_cancer", "x=benign")
    assert isinstance(result.exception, OperationError)
    assert "`mlops retrain breast_cancer`" in str(result.exception)


def test_a_retraining_without_dagster_is_named_with_the_mend(mlops):
    result = mlops("retrain", "toy")
    assert isinstance(result.exception, OperationError)
    assert "`mlops up`" in str(result.exception)


def test_the_chain_is_listed_newest_first_and_each_entry_can_be_shown(mlops):
    listed = mlops("release", "list", "toy").output.splitlines()
    assert [line.split()[:2] for line in listed] == [["generation", "2"], ["generation", "1"]]
    assert "refuse 1  production 1" in listed[0]
    shown = Release.from_json(mlops("release", "show", "toy", "1").output.encode())
    assert (shown.generation, shown.action) == (1, "promote")


def test_what_was_in_production_at_a_time_is_said(mlops):
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    result = mlops("release", "at", "toy", f"{tomorrow:%Y-%m-%dT%H:%M}")
    assert result.output.startswith("generation 2  ")
    assert isinstance(mlops("release", "at", "toy", "2001-01-01").exception, OperationError)


def test_a_model_without_releases_is_told_how_to_get_one(mlops):
    assert "`mlops retrain breast_cancer`" in mlops("release", "list", "breast_cancer").output
