"""MLflow through dagster-mlflow, with the life of every run owned here: it always ends FINISHED or FAILED."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

if TYPE_CHECKING:
    from dagster_mlflow.resources import MlFlow

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


class ModelRegistry(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Experiments, runs, registered versions and their aliases `staging`, `production` and `previous`."""

    tracking_uri: str
    artifacts: str
    pages: str = Field(description="Address of MLflow's pages, which the links of materializations lead to.")
    dagster_url: str = Field(description="Address of Dagster's pages, which the links of MLflow's runs lead to.")

    @contextlib.contextmanager
    def run(self, context: dg.AssetExecutionContext, *, model: str, tags: dict[str, str]) -> Iterator["MlFlow"]:
        """Open the MLflow run of this Dagster run and close it whatever happens.

        dagster-mlflow alone leaves runs open, and lets a second run in one process write into the first.

        Args:
            context: Of the training.
            model: Names the experiment.
            tags: What the training is made from; a run that fails has them too.
        """
        mlflow = self._module()
        self._experiment(mlflow, model)
        active = mlflow.active_run()
        if active is not None and active.data.tags.get("dagster_run_id") != context.run.run_id:
            mlflow.end_run()
        run_page = f"{self.dagster_url}/runs/{context.run.run_id}"
        extra_tags = {
            **tags,
            "dagster_asset": context.asset_key.to_user_string(),
            "dagster_retry": str(context.retry_number),
            "model": model,
            "mlflow.note.content": f"Trained by [Dagster run {context.run.run_id[:8]}]({run_page}).",
        }
        config = {"mlflow_tracking_uri": self.tracking_uri, "experiment_name": model, "extra_tags": extra_tags}
        own = SimpleNamespace(
            log=context.log, dagster_run=context.run, run_id=context.run.run_id, resource_config=config
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # dagster-mlflow calls its own resource beta
            from dagster_mlflow.resources import MlFlow

            tracking = MlFlow(own)
        status = "FAILED"
        try:
            yield tracking
            status = "FINISHED"
        finally:
            mlflow.end_run(status=status)

    def client(self) -> Any:
        """Return MLflow's client for this registry."""
        return self._module().tracking.MlflowClient(self.tracking_uri, self.tracking_uri)

    def run_page(self, run_id: str) -> str:
        """Return the address of a run's page."""
        experiment = self.client().get_run(run_id).info.experiment_id
        return f"{self.pages}/#/experiments/{experiment}/runs/{run_id}"

    def model_page(self, model: str) -> str:
        """Return the address of the page with a model's versions and aliases."""
        return f"{self.pages}/#/models/{model}"

    def version_page(self, model: str, version: str) -> str:
        """Return the address of a version's page."""
        return f"{self.model_page(model)}/versions/{version}"

    def set_aliases(self, model: str, aliases: dict[str, str | None]) -> None:
        """Point each alias at a version, or remove it where the version is None; doing so twice is harmless."""
        client = self.client()
        present = dict(client.get_registered_model(model).aliases)
        for alias, version in aliases.items():
            if version is None and alias in present:
                client.delete_registered_model_alias(model, alias)
            elif version is not None and str(present.get(alias)) != version:
                client.set_registered_model_alias(model, alias, version)

    def close_abandoned_runs(self, dagster_run_id: str) -> int:
        """Mark the MLflow runs of a killed Dagster run as failed and return how many there were."""
        client = self.client()
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        abandoned = client.search_runs(
            experiments, f"attributes.status = 'RUNNING' and tags.dagster_run_id = '{dagster_run_id}'"
        )
        for run in abandoned:
            client.set_terminated(run.info.run_id, status="FAILED")
        return len(abandoned)

    def _module(self) -> Any:
        os.environ.update(_ENVIRONMENT)
        if self.tracking_uri.startswith("sqlite:///"):
            Path(self.tracking_uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        import mlflow  # takes seconds: only where it is needed

        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)
        return mlflow

    def _experiment(self, mlflow: Any, name: str) -> None:
        if mlflow.get_experiment_by_name(name) is None:
            mlflow.create_experiment(name, artifact_location=f"{Path(self.artifacts).as_uri()}/{name}")
