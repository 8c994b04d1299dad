"""Requests the reports of every monitoring window that has closed, and again when labels came late."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.core.windows import Window, labels_are_complete, last_boundary, windows_closed
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.lake.queries import label_counts
from mlops_assets.lake.tables import TableName
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from sensors.run_requests import ACTIVE

TABLES: tuple[TableName, ...] = ("predictions", "feedback", "drift_metrics", "performance_metrics")
"""What decides which reports are due; while no version of them changes and no window closes, nothing can be due."""


@dataclass(frozen=True)
class DueReports:
    """A window and which of its reports are to be made."""

    window: Window
    drift: bool
    performance: bool
    label_digest: str


def build_monitoring_windows_sensor(spec: ModelSpec, monitor_job: dg.JobDefinition | object) -> dg.SensorDefinition:
    """Return the sensor `<model>_monitoring_windows_sensor`."""

    @dg.sensor(
        name=f"{spec.name}_monitoring_windows_sensor",
        job=monitor_job,  # type: ignore[arg-type]
        minimum_interval_seconds=2,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Closes monitoring windows: drift at a window's end, performance a label horizon later.",
    )
    def monitoring_windows_sensor(
        context: dg.SensorEvaluationContext, lake: LakeResource, releases: ReleaseStoreResource
    ) -> dg.SensorResult | dg.SkipReason:
        release = releases.production_release(spec.name)
        watermark = lake.watermark(spec)
        if release is None or watermark is None:
            missing = "no version is in production" if release is None else "no prediction has been logged"
            return dg.SkipReason(f"{spec.name}: {missing} yet")
        under_way = dg.RunsFilter(job_name=f"{spec.name}_monitor", statuses=ACTIVE)
        if active := context.instance.get_runs(under_way, limit=1):
            return dg.SkipReason(f"{spec.name}: run {active[0].run_id} is making reports")
        before: dict[str, Any] = json.loads(context.cursor) if context.cursor else {}
        state: dict[str, Any] = {
            "versions": [lake.tables.version(spec.name, table) for table in TABLES],
            "closed": closed_key(spec, watermark),
            "idle": True,
        }
        nothing = f"{spec.name}: no window to report; the log is complete until {watermark:%Y-%m-%d %H:%M}"
        if before == state:
            return dg.SkipReason(nothing)
        moving = lake.clock == "event" and before.get("versions", [])[:2] != state["versions"][:2]
        due = due_reports(spec, lake, watermark, moving=moving)
        cursor = json.dumps(state | {"idle": not due and not moving})
        if not due:
            return dg.SensorResult(skip_reason=nothing, cursor=cursor)
        partitions = dg.DynamicPartitionsDefinition(name=f"{spec.name}_windows")
        requests = [request for reports in due if (request := _run_request(spec, reports, context.instance))]
        return dg.SensorResult(
            dynamic_partitions_requests=[partitions.build_add_request([reports.window.key for reports in due])],
            run_requests=requests,
            skip_reason=None if requests else f"{spec.name}: reports of {due[0].window.key} have failed too often",
            cursor=cursor,
        )

    return monitoring_windows_sensor


def closed_key(spec: ModelSpec, watermark: datetime) -> list[str]:
    """Return until when windows have ended, and until when their labels have had their horizon."""
    times = (watermark, watermark - spec.windows.label_horizon)
    return [last_boundary(time, spec.windows).isoformat() for time in times]


def due_reports(spec: ModelSpec, lake: LakeResource, watermark: datetime, *, moving: bool = False) -> list[DueReports]:
    """Return the closed windows with predictions whose reports are missing or whose labels have changed since.

    Windows older than the training history are settled and are not looked at again. While a replay is `moving` the
    log, weeks pass in seconds: the drift report then waits for the labels' horizon, and one run makes both reports.
    """
    oldest = lake.tables.oldest(spec.name, "predictions", "event_time")
    if oldest is None:
        return []
    drift = {row["window_start"] for row in latest_summaries(lake.tables, spec.name, "drift_metrics")}
    performance = {
        row["window_start"]: row["label_digest"]
        for row in latest_summaries(lake.tables, spec.name, "performance_metrics")
        if row.get("complete", True)
    }
    # A window is counted whole: the rest of one would look like labels that have changed.
    start = last_boundary(max(oldest, watermark - spec.training.history), spec.windows)
    counts = label_counts(lake.tables, spec, start=start)
    due = []
    for window in windows_closed(start, watermark, spec.windows):
        count = counts.get(window.start)
        if count is None:
            continue
        settled = labels_are_complete(window, watermark, spec.windows, n_rows=count.n_rows, n_labels=count.n_labels)
        reports = DueReports(
            window,
            drift=window.start not in drift and (settled or not moving),
            performance=settled and performance.get(window.start) != count.digest,
            label_digest=count.digest,
        )
        if reports.drift or reports.performance:
            due.append(reports)
    return due


def _run_request(spec: ModelSpec, reports: DueReports, instance: dg.DagsterInstance) -> dg.RunRequest | None:
    """Return the run for one window, None after too many failed attempts."""
    due = (("drift_report", reports.drift), ("performance_report", reports.performance))
    names = [name for name, wanted in due if wanted]
    key = f"{'+'.join(names)}:{reports.window.key}:{reports.label_digest}"
    failed = instance.get_runs_count(
        dg.RunsFilter(tags={"mlops/report_key": key}, statuses=[dg.DagsterRunStatus.FAILURE])
    )
    if failed >= spec.retraining.attempts:
        return None
    return dg.RunRequest(
        run_key=f"{key}:attempt-{failed + 1}",
        partition_key=reports.window.key,
        asset_selection=[dg.AssetKey([spec.name, name]) for name in names],
        tags={"mlops/model": spec.name, "mlops/report_key": key},
    )
