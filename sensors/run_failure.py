"""Clears up after runs that ended badly: an MLflow run of a killed process would stay RUNNING for ever."""

import dagster as dg

from mlops_assets.resources.model_registry import ModelRegistry


@dg.run_failure_sensor(
    name="abandoned_mlflow_runs_sensor",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Marks the MLflow runs of failed or killed retrainings as failed.",
)
def abandoned_mlflow_runs_sensor(context: dg.RunFailureSensorContext, registry: ModelRegistry) -> None:
    """Close what a failed run left open."""
    if context.dagster_run.job_name.endswith("_retrain"):
        closed = registry.close_abandoned_runs(context.dagster_run.run_id)
        context.log.info(f"{closed} MLflow runs of {context.dagster_run.run_id} marked as failed")
