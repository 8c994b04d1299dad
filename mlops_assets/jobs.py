"""The jobs of one model: the retraining that every trigger ends in, the reports, the projections, the upkeep."""

from dataclasses import dataclass
from typing import Any

import dagster as dg

from mlops_assets.spec import ModelSpec

RETRAINING_ASSETS = (
    "source_data",
    "labelled_predictions",
    "reference_data",
    "trained_model",
    "model_evaluation",
    "production_model",
    "release_projections",
)
REPORTS = ("drift_report", "performance_report")


@dataclass(frozen=True)
class ModelJobs:
    """A model's jobs."""

    retrain: Any
    monitor: Any
    project_releases: Any
    lake_upkeep: Any


def build_jobs(spec: ModelSpec) -> ModelJobs:
    """Return the jobs `<model>_retrain`, `<model>_monitor`, `<model>_project_releases` and `<model>_lake_upkeep`."""

    def job(name: str, assets: tuple[str, ...], description: str) -> Any:
        selection = dg.AssetSelection.assets(*(dg.AssetKey([spec.name, asset]) for asset in assets))
        return dg.define_asset_job(
            f"{spec.name}_{name}", selection=selection, description=description, tags={"mlops/model": spec.name}
        )

    return ModelJobs(
        retrain=job("retrain", RETRAINING_ASSETS, "Takes a snapshot, trains, evaluates, and promotes or refuses."),
        monitor=job("monitor", REPORTS, "Makes the reports of one monitoring window."),
        project_releases=job("project_releases", ("release_projections",), "Repairs the copies of the release chain."),
        lake_upkeep=job("lake_upkeep", ("lake_upkeep",), "Compacts the lake's tables and removes expired files."),
    )
