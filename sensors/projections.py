"""Repairs what follows the release chain: MLflow's aliases and the lake's table, after a crash between them."""

from typing import Any

import dagster as dg

from mlops_assets.assets.release import projected_generation
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from sensors.run_requests import ACTIVE


def build_projections_sensor(spec: ModelSpec, projections_job: Any) -> dg.SensorDefinition:
    """Return the sensor `<model>_projections_sensor`."""

    @dg.sensor(
        name=f"{spec.name}_projections_sensor",
        job=projections_job,
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Projects the release chain again where a run was killed before it had done so.",
    )
    def projections_sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, releases: ReleaseStoreResource
    ) -> dg.RunRequest | dg.SkipReason:
        generation = releases.store.latest_generation(spec.name)
        projected = projected_generation(lake.tables, spec.name)
        if projected >= generation:
            return dg.SkipReason(f"{spec.name}: the copies follow the chain up to generation {generation}")
        names = [f"{spec.name}_retrain", f"{spec.name}_project_releases"]
        active = [
            run
            for name in names
            for run in context.instance.get_runs(dg.RunsFilter(job_name=name, statuses=ACTIVE), limit=1)
        ]
        if active:
            return dg.SkipReason(f"{spec.name}: run {active[0].run_id} is under way and projects the chain itself")
        attempts = context.instance.get_runs_count(
            dg.RunsFilter(tags={"mlops/projected_generation": f"{spec.name}:{generation}"})
        )
        if attempts >= spec.retraining.attempts:
            return dg.SkipReason(f"{spec.name}: generation {generation} is not projected after {attempts} attempts")
        return dg.RunRequest(
            run_key=f"{spec.name}:{generation}:attempt-{attempts + 1}",
            tags={"mlops/model": spec.name, "mlops/projected_generation": f"{spec.name}:{generation}"},
        )

    return projections_sensor
