"""The roof: composes every model's assets, checks, jobs, sensors and schedules into one code location."""

from typing import Any

import dagster as dg

from mlops_assets.assets.backtest import build_backtest_assets
from mlops_assets.assets.data import build_data_assets
from mlops_assets.assets.monitoring import build_monitoring_assets
from mlops_assets.assets.release import build_release_assets
from mlops_assets.assets.training import build_training_assets
from mlops_assets.assets.upkeep import build_upkeep_assets
from mlops_assets.catalog import specs
from mlops_assets.checks.data import build_data_checks
from mlops_assets.checks.release import build_release_checks
from mlops_assets.jobs import build_jobs
from mlops_assets.resources.backtest_store import BacktestStore
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.model_registry import ModelRegistry
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.resources.report_folder import ReportFolder
from mlops_assets.settings import Settings, settings
from mlops_assets.spec import ModelSpec
from sensors.monitoring_windows import build_monitoring_windows_sensor
from sensors.new_data import build_new_data_sensors
from sensors.projections import build_projections_sensor
from sensors.run_failure import abandoned_mlflow_runs_sensor
from sensors.schedules import build_upkeep_schedule, build_weekly_schedules
from sensors.triggers import build_trigger_sensors


def build_model_definitions(spec: ModelSpec) -> dg.Definitions:
    """Return everything that one model spec declares."""
    jobs = build_jobs(spec)
    return dg.Definitions(
        assets=[
            *build_data_assets(spec),
            *build_training_assets(spec),
            *build_release_assets(spec),
            *build_monitoring_assets(spec),
            *build_backtest_assets(spec),
            *build_upkeep_assets(spec),
        ],
        asset_checks=[*build_data_checks(spec), *build_release_checks(spec)],
        jobs=[jobs.retrain, jobs.monitor, jobs.project_releases, jobs.lake_upkeep],
        sensors=[
            build_monitoring_windows_sensor(spec, jobs.monitor),
            *build_trigger_sensors(spec, jobs.retrain),
            *build_new_data_sensors(spec, jobs.retrain),
            build_projections_sensor(spec, jobs.project_releases),
        ],
        schedules=[*build_weekly_schedules(spec, jobs.retrain), build_upkeep_schedule(spec, jobs.lake_upkeep)],
    )


def build_resources(where: Settings) -> dict[str, Any]:
    """Return the only contact of assets and sensors with the outside."""
    return {
        "lake": LakeResource(
            root=str(where.lake),
            clock=where.clock,
            shipping_lag_seconds=where.shipping_lag_seconds,
            engine=where.engine,
        ),
        "releases": ReleaseStoreResource(
            root=str(where.release_store),
            home_keys=str(where.home_keys),
            signing_key=str(where.signing_key) if where.signing_key else None,
        ),
        "backtests": BacktestStore(root=str(where.backtests)),
        "reports": ReportFolder(root=str(where.reports)),
        "registry": ModelRegistry(
            tracking_uri=where.tracking_uri,
            artifacts=str(where.artifacts),
            pages=where.mlflow_pages,
            dagster_url=where.dagster_url.rstrip("/"),
        ),
        "io_manager": dg.FilesystemIOManager(base_dir=str(where.root / "assets")),
    }


def build_definitions() -> dg.Definitions:
    """Return the code location of all models in the catalog."""
    return dg.Definitions.merge(
        *(build_model_definitions(spec) for spec in specs().values()),
        dg.Definitions(
            sensors=[abandoned_mlflow_runs_sensor],
            resources=build_resources(settings()),
            executor=dg.in_process_executor,
        ),
    )


defs = build_definitions()
