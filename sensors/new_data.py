"""Asks for retraining when the source has rows that the last training has not read."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from mlops_assets.assets.snapshots import trained_source_version
from mlops_assets.core.triggers import decide_new_data_retraining
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from sensors.run_requests import retraining_request


def build_new_data_sensors(spec: ModelSpec, retrain_job: Any) -> list[dg.SensorDefinition]:
    """Return `<model>_new_data_sensor` if the spec names its trigger and tells the version of its source, else none."""
    if spec.source_version is None or "new_data" not in spec.retraining.triggers:
        return []
    ask = spec.source_version

    @dg.sensor(
        name=f"{spec.name}_new_data_sensor",
        job=retrain_job,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Retrains once for every version of the source that no training has read yet.",
    )
    def new_data_sensor(
        context: dg.SensorEvaluationContext, releases: ReleaseStoreResource
    ) -> dg.RunRequest | dg.SkipReason:
        release = releases.production_release(spec.name)
        if release is None:
            return dg.SkipReason(f"{spec.name}: nothing is in production yet")
        decision = decide_new_data_retraining(
            ask(),
            trained_on=trained_source_version(releases.store.history(spec.name)),
            last_decision=release.at,
            cool_down=spec.retraining.cool_down_windows * spec.windows.length,
            now=datetime.now(UTC),
            generation=release.generation,
        )
        return retraining_request(spec, decision, context.instance)

    return [new_data_sensor]
