"""The page of all windows of a model: drift and performance together, made again with every report."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.assets.monitoring_pictures import page_name, psi_over_time
from mlops_assets.assets.performance_pictures import accuracy_picture, performance_verdict
from mlops_assets.assets.performance_records import PerformanceReport
from mlops_assets.core.triggers import accuracy_threshold
from mlops_assets.core.windows import Window
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.reports import html
from mlops_assets.spec import ModelSpec
from serving.formats.release import ReleaseStore

Summary = Mapping[str, Any]


def write_overview(spec: ModelSpec, lake: Lake, store: ReleaseStore, folder: Path) -> Path:
    """Write the page of all windows that have a report, and return its path."""
    drift = {row["window_start"]: row for row in latest_summaries(lake, spec.name, "drift_metrics")}
    performance = {row["window_start"]: row for row in latest_summaries(lake, spec.name, "performance_metrics")}
    lines = [
        _window_line(spec, folder, start, drift.get(start), performance.get(start))
        for start in sorted(drift.keys() | performance.keys())
    ]
    newest = performance[max(performance)]["production"]["baseline_accuracy"] if performance else None
    accuracy = accuracy_picture(spec, lake, store.history(spec.name), accuracy_threshold(spec.accuracy, newest))
    page = html.overview_html(
        model=spec.name,
        windows=lines,
        pictures=[
            html.Picture(png=psi_over_time(spec, lake), alt="Population stability index of every feature by window"),
            html.Picture(png=accuracy, alt="Accuracy with its interval by window, promotions marked"),
        ],
    )
    return html.write_html(folder / html.OVERVIEW, page)


def _window_line(
    spec: ModelSpec, folder: Path, start: datetime, drift: Summary | None, performance: Summary | None
) -> html.WindowLine:
    window = Window(start, start + spec.windows.length)
    return html.WindowLine(
        start=window.start,
        end=window.end,
        drift=None if drift is None else _drift_line(drift, _page(folder, "drift", window)),
        performance=None
        if performance is None
        else _performance_line(spec, window, performance, _page(folder, "performance", window)),
    )


def _drift_line(row: Summary, page: str) -> html.DriftLine:
    return html.DriftLine(
        verdict=row["verdict"],
        n_rows=row["n_rows"],
        model_version=row["model_version"],
        drifted=() if row["verdict"] == "insufficient_data" else row["drifted_features"],
        page=page,
    )


def _performance_line(spec: ModelSpec, window: Window, row: Summary, page: str) -> html.PerformanceLine:
    report = PerformanceReport(
        window,
        row["model_version"],
        row["generation"],
        row["n_rows"],
        **row["production"],
        complete=row.get("complete", True),
    )
    verdict, reason, _ = performance_verdict(spec, report)
    return html.PerformanceLine(
        verdict=verdict,
        reason=reason,
        n_labels=row["n_labels"],
        versions=row["versions"],
        accuracy=row["metrics"].get("accuracy"),
        constant=row["metrics"].get("constant_accuracy"),
        page=page,
    )


def _page(folder: Path, report: str, window: Window) -> str:
    """Return the name of a window's page, or nothing where it was made on another machine or removed."""
    name = page_name(report, window)
    return name if (folder / name).exists() else ""
