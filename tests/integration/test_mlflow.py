"""What MLflow knows after real trainings: runs and their ends, trials, pictures, versions and aliases."""

import shutil
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from mlops_assets.assets.code_version import code_version
from mlops_assets.assets.training_log import PIP_REQUIREMENTS
from mlops_assets.core import training
from sensors.run_failure import abandoned_mlflow_runs_sensor
from serving.formats.bundle import open_bundle
from tests.integration.harness import InProcessLoop


def trainings(client):
    """Return the runs of trainings, the newest first, without their trials."""
    (experiment,) = (found for found in client.search_experiments() if found.name == "tiny")
    runs = client.search_runs([experiment.experiment_id])
    return [run for run in runs if "mlflow.parentRunId" not in run.data.tags]


@pytest.fixture
def client(promoted_twice):
    return promoted_twice.resources["registry"].client()


@pytest.fixture
def newest(client):
    return trainings(client)[0]


def test_each_training_is_a_run_that_names_the_dagster_run_the_data_and_the_code(promoted_twice, client, newest):
    chain = promoted_twice.store.history("tiny")
    runs = trainings(client)
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]
    assert [run.data.tags["dagster_run_id"] for run in runs] == [entry.dagster_run_id for entry in reversed(chain)]
    manifest = open_bundle(promoted_twice.store.bundles, chain[-1].candidate.bundle).manifest
    tags = newest.data.tags
    assert manifest.mlflow_run_id == newest.info.run_id
    assert tags["bundle"] == chain[-1].candidate.bundle
    assert tags["data_version"] == manifest.data_version == chain[-1].evidence["data_version"]
    assert tags["code_version"] == manifest.code_version == code_version(promoted_twice.spec)
    assert f"(http://127.0.0.1:3000/runs/{tags['dagster_run_id']})" in tags["mlflow.note.content"]
    assert newest.data.metrics["accuracy_low"] < newest.data.metrics["accuracy"] < newest.data.metrics["accuracy_high"]


def test_every_trial_is_a_finished_run_inside_its_training(promoted_twice, client, newest):
    inside = f"tags.`mlflow.parentRunId` = '{newest.info.run_id}'"
    trials = client.search_runs([newest.info.experiment_id], inside)
    assert [trial.info.status for trial in trials] == ["FINISHED"] * promoted_twice.spec.training.trials
    assert {trial.data.tags["state"] for trial in trials} <= {"complete", "pruned"}
    assert all(trial.data.metrics["mean_log_loss"] > 0 for trial in trials)


def test_a_training_has_three_pictures(client, newest, tmp_path):
    folder = client.download_artifacts(newest.info.run_id, "pictures", str(tmp_path))
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    assert folder == str(tmp_path / "pictures")
    assert pictures.keys() == {"confusion_matrix.png", "roc_and_pr_curves.png", "importances.png"}
    assert all(picture.startswith(b"\x89PNG") and len(picture) > 5000 for picture in pictures.values())


def test_aliases_follow_the_two_promotions(client):
    aliases = {name: str(version) for name, version in client.get_registered_model("tiny").aliases.items()}
    assert aliases == {"staging": "2", "production": "2", "previous": "1"}


def test_a_version_names_the_libraries_that_run_it(client):
    import mlflow

    path = mlflow.artifacts.download_artifacts("models:/tiny@production/requirements.txt")
    own, *others = Path(path).read_text().split()
    assert own == f"mlflow=={mlflow.__version__}"
    assert others == PIP_REQUIREMENTS


def test_a_bundle_that_answers_otherwise_than_its_pipeline_fails_the_check_and_ends_there(
    promoted_twice, trained_home, tmp_path, monkeypatch
):
    home = shutil.copytree(trained_home, tmp_path / "home")
    of_other_data = open_bundle(promoted_twice.store.bundles, promoted_twice.store.latest("tiny").candidate.bundle)
    monkeypatch.setattr(training, "to_onnx", lambda *_: of_other_data.model_bytes)
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(promoted_twice.spec, home, instance)
        result = loop.run("retrain")
    assert not result.success
    checks = {found.check_name: found for found in result.get_asset_check_evaluations()}
    failed = checks["bundle_answers_like_the_pipeline"]
    assert (failed.passed, failed.blocking) == (False, True)
    assert "the ONNX graph differs from the pipeline" in failed.metadata["reason"].value
    made = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert made == {"source_data", "labelled_predictions", "reference_data"}
    assert loop.store.latest_generation("tiny") == 1
    client = loop.resources["registry"].client()
    run = trainings(client)[0]
    assert (run.info.status, run.data.tags["dagster_run_id"]) == ("FAILED", result.run_id)
    assert run.data.tags["data_version"]
    assert str(client.get_registered_model("tiny").aliases["staging"]) == "1"


def test_the_run_of_a_killed_training_is_marked_as_failed_and_no_other(promoted_twice, client, newest):
    instance, registry = promoted_twice.instance, promoted_twice.resources["registry"]
    killed = dg.DagsterRun(job_name="tiny_retrain", run_id=str(uuid4()))
    runs = {
        dagster_run_id: client.create_run(newest.info.experiment_id, tags={"dagster_run_id": dagster_run_id})
        for dagster_run_id in (killed.run_id, "of-another")
    }
    event = dg.DagsterEvent(event_type_value="PIPELINE_FAILURE", job_name=killed.job_name)
    context = dg.build_run_status_sensor_context(
        sensor_name="abandoned_mlflow_runs_sensor",
        dagster_instance=instance,
        dagster_run=killed,
        dagster_event=event,
        resources={"registry": registry},
    )
    abandoned_mlflow_runs_sensor(context.for_run_failure())
    ends = {name: client.get_run(run.info.run_id).info.status for name, run in runs.items()}
    for run in runs.values():
        client.delete_run(run.info.run_id)
    assert ends == {killed.run_id: "FAILED", "of-another": "RUNNING"}
