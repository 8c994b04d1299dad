"""The two sensors that ask for retraining: drift in a row, and accuracy under its threshold."""

import json
from collections.abc import Callable
from typing import Any

import dagster as dg

from mlops_assets.core.triggers import (
    RetrainingDecision,
    Trigger,
    WindowVerdict,
    decide_accuracy_retraining,
    decide_drift_retraining,
)
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from sensors.run_requests import retraining_request
from serving.formats.release import Deployed, Release


def build_trigger_sensors(spec: ModelSpec, retrain_job: Any) -> list[dg.SensorDefinition]:
    """Return `<model>_drift_sensor` and `<model>_accuracy_sensor`, as far as the spec names their triggers."""

    def decide_drift(verdicts: list[WindowVerdict], release: Release, _: Deployed) -> RetrainingDecision:
        return decide_drift_retraining(verdicts, policy=spec.drift, **_since(spec, release))

    def decide_accuracy(verdicts: list[WindowVerdict], release: Release, deployed: Deployed) -> RetrainingDecision:
        version = deployed.version
        return decide_accuracy_retraining(verdicts, policy=spec.accuracy, version=version, **_since(spec, release))

    drift = _build_trigger_sensor(
        spec,
        retrain_job,
        "drift",
        decide_drift,
        f"Retrains after {spec.drift.consecutive_windows} drifted windows in a row.",
    )
    accuracy = _build_trigger_sensor(
        spec,
        retrain_job,
        "accuracy",
        decide_accuracy,
        "Retrains when the labelled accuracy of a window is under its threshold.",
    )
    by_trigger = {"drift": drift, "accuracy": accuracy}
    return [sensor for trigger, sensor in by_trigger.items() if trigger in spec.retraining.triggers]


def _build_trigger_sensor(
    spec: ModelSpec,
    retrain_job: Any,
    trigger: Trigger,
    decide: Callable[[list[WindowVerdict], Release, Deployed], RetrainingDecision],
    description: str,
) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{spec.name}_{trigger}_sensor",
        job=retrain_job,
        minimum_interval_seconds=2,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def trigger_sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, releases: ReleaseStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        release = releases.production_release(spec.name)
        if release is None or release.routing.production is None:
            return dg.SkipReason(f"{spec.name}: nothing is in production yet")
        verdicts = settled_verdicts(spec, lake.tables)
        decision = decide(verdicts, release, release.routing.production)
        return _result(spec, context, decision, verdicts, release)

    return trigger_sensor


def settled_verdicts(spec: ModelSpec, lake: Lake) -> list[WindowVerdict]:
    """Return the windows both of whose reports are made, oldest first.

    A retraining needs the labels of the newest window for its hold-out, so a window counts for any trigger only once
    its label horizon has passed or all its labels are there. A report that was made by hand before that is passed
    over.
    """
    performance = {row["window_start"]: row for row in latest_summaries(lake, spec.name, "performance_metrics")}
    verdicts = []
    for row in latest_summaries(lake, spec.name, "drift_metrics"):
        own = performance.get(row["window_start"])
        if own is None or not own.get("complete", True):
            continue
        figures = own["production"]
        verdicts.append(
            WindowVerdict(
                start=row["window_start"],
                end=row["window_end"],
                drift=row["verdict"],
                version=own["model_version"],
                n_labels=figures["n_labels"],
                accuracy=figures["accuracy"],
                accuracy_high=figures["accuracy_high"],
                baseline_accuracy=figures["baseline_accuracy"],
            )
        )
    return verdicts


def _since(spec: ModelSpec, release: Release) -> dict[str, Any]:
    return {
        "cool_down_windows": spec.retraining.cool_down_windows,
        "reset_at": release.data_until,
        "generation": release.generation,
    }


def _result(
    spec: ModelSpec,
    context: dg.SensorEvaluationContext,
    decision: RetrainingDecision,
    verdicts: list[WindowVerdict],
    release: Release,
) -> dg.SensorResult:
    """The cursor says what was looked at: the newest window and the generation in production."""
    answer = retraining_request(spec, decision, context.instance)
    cursor = json.dumps(
        {
            "decided_until": verdicts[-1].end.isoformat() if verdicts else None,
            "generation": release.generation,
            "pending": decision.retrain,
        }
    )
    if isinstance(answer, dg.SkipReason):
        return dg.SensorResult(skip_reason=answer, cursor=cursor)
    return dg.SensorResult(run_requests=[answer], cursor=cursor)
