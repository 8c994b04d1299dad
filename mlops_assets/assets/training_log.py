"""What a training leaves in MLflow: nested trials, metrics with intervals, pictures, and the registered version."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from mlops_assets.assets.training import FittedCandidate

PIP_REQUIREMENTS = ["onnx", "onnxruntime", "numpy"]


def log_training(mlflow: Any, spec: ModelSpec, candidate: "FittedCandidate") -> str:
    """Log one training to the active MLflow run and return the version it is registered as."""
    mlflow.log_params({"algorithm": candidate.search.algorithm, **candidate.search.params})
    mlflow.set_tag("search_stopped_by", candidate.search.stopped_by)
    mlflow.log_metrics({**candidate.holdout.metrics_with_intervals(), "parity": candidate.parity})
    _log_trials(mlflow, candidate)
    _log_pictures(mlflow, spec, candidate)
    return _register(mlflow, spec, candidate)


def _log_trials(mlflow: Any, candidate: "FittedCandidate") -> None:
    from mlflow.entities import Metric, Param, RunTag

    client, parent = mlflow.tracking.MlflowClient(), mlflow.active_run().info
    now = int(time.time() * 1000)
    for trial in candidate.search.trials:
        tags = {"mlflow.parentRunId": parent.run_id, "mlflow.runName": f"trial {trial.number}", "state": trial.state}
        run = client.create_run(parent.experiment_id, tags=tags)
        values = {"mean_log_loss": trial.mean, "sd_log_loss": trial.sd, "seconds": trial.seconds}
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, now, 0) for name, value in values.items() if value is not None],
            params=[Param("algorithm", trial.algorithm), *(Param(k, str(v)) for k, v in trial.params.items())],
            tags=[RunTag("trial", str(trial.number))],
        )
        client.set_terminated(run.info.run_id)


def _log_pictures(mlflow: Any, spec: ModelSpec, candidate: "FittedCandidate") -> None:
    from mlops_assets.assets.evaluation_pictures import confusion_matrix
    from mlops_assets.core.schema import binary_labels
    from mlops_assets.reports import figures

    truth = binary_labels(candidate.split.holdout[spec.label.name], spec.label.positive)
    names = sorted(candidate.importances, key=lambda name: -candidate.importances[name])
    pictures = {
        "confusion_matrix.png": confusion_matrix(spec, truth, candidate.holdout_scores),
        "roc_and_pr_curves.png": figures.roc_and_pr_curves(truth, {"candidate": candidate.holdout_scores}),
        "importances.png": figures.importances(names, [candidate.importances[name] for name in names]),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in pictures.items():
            Path(folder, name).write_bytes(picture)
        mlflow.log_artifacts(folder, "pictures")


def _register(mlflow: Any, spec: ModelSpec, candidate: "FittedCandidate") -> str:
    import mlflow.onnx as mlflow_onnx
    import onnx

    info = mlflow_onnx.log_model(
        onnx.load_from_string(candidate.model_bytes),
        name="model",
        registered_model_name=spec.name,
        pip_requirements=PIP_REQUIREMENTS,
        metadata={"algorithm": candidate.search.algorithm, **candidate.metrics},
    )
    return str(info.registered_model_version)
