"""What people look at in a performance report: tables and pictures for the UI, and one HTML page per window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.columns import lake_columns
from mlops_assets.assets.performance_measurements import metric_values
from mlops_assets.assets.performance_records import judge
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.reports import figures, html
from mlops_assets.spec import ModelSpec
from serving.formats.release import Release

if TYPE_CHECKING:
    from mlops_assets.assets.performance_measurements import WindowPerformance
    from mlops_assets.assets.performance_records import PerformanceReport
    from mlops_assets.core.intervals import Estimate
    from mlops_assets.core.slices import Slice

SHOWN_WINDOWS = 26
SHOWN_METRICS = (
    "accuracy",
    "auc",
    "log_loss",
    "brier",
    "precision",
    "recall",
    "f1",
    "pr_auc",
    "calibration_error",
)
SLICE_COLUMNS = {
    "accuracy": "accuracy",
    "low": "accuracy_low",
    "high": "accuracy_high",
    "constant": "constant_accuracy",
    "auc": "auc",
    "f1": "f1",
    "log_loss": "log_loss",
    "calibration_error": "calibration_error",
}
BLIND = "expected from calibrated scores alone, interval for chance only: blind to concept drift, never a trigger"


def performance_metadata(
    spec: ModelSpec,
    lake: Lake,
    chain: Sequence[Release],
    folder: Path,
    report: "PerformanceReport",
    measured: "WindowPerformance",
) -> dict[str, Any]:
    """Write the window's performance page and return the metadata for the UI."""
    verdict, reason, threshold = performance_verdict(spec, report)
    over_time = accuracy_picture(spec, lake, chain, threshold)
    parts = slice_rows(measured.slices)
    pictures = [html.Picture(png=over_time, alt="Accuracy with its interval over the windows, promotions marked")]
    pictures += _pictures(measured, parts)
    page = html.performance_html(
        model=spec.name,
        start=report.window.start,
        end=report.window.end,
        model_versions=list(measured.versions) or [report.model_version],
        verdict=verdict,
        n_rows=report.n_rows,
        n_labels=measured.arrival.n_labels,
        metrics=metric_rows(measured, report.baseline_accuracy),
        slices=parts,
        reason=reason,
        facts=facts(report, measured),
        pictures=pictures,
    )
    path = html.write_html(folder / f"performance-{report.window.key.replace(':', '')}.html", page)
    return {
        **measured.values,
        "dagster/row_count": report.n_rows,
        **lake_columns(lake, spec.name, "performance_metrics"),
        "labels": measured.arrival.n_labels,
        **{name: value for name, value in _arrival(measured).items() if value is not None},
        "verdict": verdict,
        "reason": reason,
        "model_version": report.model_version,
        **estimate_metadata(measured.estimate),
        "concept_drift": _concept_drift(measured),
        "slices": slice_table(parts),
        "accuracy_over_time": dg.MetadataValue.md(figures.as_markdown_image(over_time, "accuracy by window")),
        "report": dg.MetadataValue.path(path),
    }


def performance_verdict(spec: ModelSpec, report: "PerformanceReport") -> tuple[str, str, float | None]:
    """Return the verdict on the rows of the report's version, a sentence with its numbers, and the threshold."""
    judgment = judge(spec, report)
    if not report.complete:
        return "insufficient_data", "labels of this window are still to come; it is not judged yet", judgment.threshold
    reason = f"version {report.model_version}: {judgment.reason} ({report.n_labels} labels)"
    return judgment.verdict, reason, judgment.threshold


def facts(report: "PerformanceReport", measured: "WindowPerformance") -> dict[str, object]:
    """Return what the page says about the report beside its metrics."""
    told: dict[str, object] = {"generation": report.generation, "version that is judged": report.model_version}
    told |= {name.replace("_", " "): value for name, value in _arrival(measured).items()}
    over = measured.over_constant
    if over is not None:
        told["accuracy over the constant"] = _interval(over.accuracy)
        told["log loss over the constant"] = _interval(over.log_loss)
    if measured.estimate is not None:
        told["estimated accuracy"] = f"{_interval(measured.estimate)}, {BLIND}"
        realized = measured.own.accuracy.value if measured.own else None
        told["accuracy that came true"] = realized
    return told | {"concept drift": _concept_drift(measured)}


def estimate_metadata(estimate: "Estimate | None") -> dict[str, Any]:
    """Return the label-free estimate as metadata of a report; nothing where there is none."""
    if estimate is None:
        return {}
    return {
        "estimated_accuracy": estimate.value,
        "estimated_accuracy_low": estimate.low,
        "estimated_accuracy_high": estimate.high,
        "estimated_accuracy_is": BLIND,
    }


def metric_rows(measured: "WindowPerformance", baseline_accuracy: float | None) -> list[html.MetricRow]:
    """Return the metrics as rows of the performance page."""
    overall, values = measured.overall, measured.values
    if overall is None:
        return []
    constant = {name: values.get(f"constant_{name}") for name in SHOWN_METRICS} | {"auc": 0.5}
    return [
        html.MetricRow(
            name=name,
            value=values.get(name),
            low=values.get(f"{name}_low"),
            high=values.get(f"{name}_high"),
            baseline=baseline_accuracy if name == "accuracy" else None,
            constant=constant.get(name),
        )
        for name in SHOWN_METRICS
    ]


def slice_rows(slices: "Sequence[Slice]") -> list[figures.SliceRow]:
    """Return the slices as rows of the page, the picture and the table."""
    return [
        figures.SliceRow(
            feature=part.feature,
            value=part.value,
            n_rows=part.performance.n_rows,
            metrics=metric_values(part.performance, part.intervals),
        )
        for part in slices
    ]


def slice_table(rows: Sequence[figures.SliceRow]) -> dg.MetadataValue:
    """Return the slices as a table for the UI; -1 stands for what one class alone leaves undefined."""
    if not rows:
        return dg.MetadataValue.text("the spec declares none, or none has enough labels")
    records = [
        dg.TableRecord(
            {
                "feature": row["feature"],
                "value": row["value"],
                "rows": row["n_rows"],
                **{column: _rounded(row["metrics"].get(name)) for column, name in SLICE_COLUMNS.items()},
            }
        )
        for row in rows
    ]
    return dg.MetadataValue.table(records=records)


def accuracy_picture(spec: ModelSpec, lake: Lake, chain: Sequence[Release], threshold: float | None) -> bytes:
    """Draw accuracy and its estimate over the reported windows, with the promotions marked."""
    reported = {row["window_start"]: row for row in latest_summaries(lake, spec.name, "performance_metrics")}
    expected = {row["window_start"]: row for row in latest_summaries(lake, spec.name, "drift_metrics")}
    starts = sorted(reported.keys() | expected.keys())[-SHOWN_WINDOWS:]
    points = [_accuracy_point(start, reported.get(start, {}), expected.get(start, {})) for start in starts]
    promotions = [release.data_until for release in chain if release.action == "promote" and release.data_until]
    shown = [moment for moment in promotions if starts and moment >= starts[0]]
    return figures.accuracy_over_time(points, shown, threshold=threshold)


def _accuracy_point(start: Any, reported: dict[str, Any], expected: dict[str, Any]) -> figures.AccuracyPoint:
    metrics = reported.get("metrics", {})
    estimate = expected.get("estimated_accuracy") or reported.get("estimate") or {}
    return figures.AccuracyPoint(
        start=start,
        accuracy=metrics.get("accuracy"),
        low=metrics.get("accuracy_low"),
        high=metrics.get("accuracy_high"),
        version="+".join(reported["versions"]) if reported else None,
        constant=metrics.get("constant_accuracy"),
        estimate=estimate.get("value"),
    )


def _pictures(measured: "WindowPerformance", parts: Sequence[figures.SliceRow]) -> list[html.Picture]:
    pictures = []
    overall = measured.overall
    if overall is not None and parts:
        picture = figures.accuracy_by_slice(parts, overall=overall.accuracy.value)
        pictures.append(html.Picture(png=picture, alt="Accuracy of each slice with its interval"))
    if overall is not None and overall.auc is not None:
        scores = {"served": measured.labelled["score"].to_numpy(dtype=float)}
        curves, calibration = (
            figures.roc_and_pr_curves(measured.truth, scores),
            figures.calibration(measured.truth, scores),
        )
        pictures.append(html.Picture(png=curves, alt="ROC and precision-recall curves"))
        pictures.append(html.Picture(png=calibration, alt="Calibration of the probabilities"))
    return pictures


def _arrival(measured: "WindowPerformance") -> dict[str, float | None]:
    arrival = measured.arrival
    hours = {"median": arrival.delay_median_seconds, "p90": arrival.delay_p90_seconds}
    return {
        "label_coverage": arrival.coverage,
        **{f"label_delay_{name}_hours": None if n is None else n / 3600 for name, n in hours.items()},
    }


def _concept_drift(measured: "WindowPerformance") -> str:
    return str(measured.concept_drift) if measured.concept_drift else "not looked for while labels are still to come"


def _interval(estimate: "Estimate") -> str:
    return f"{estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"


def _rounded(value: float | None) -> float:
    return -1.0 if value is None else round(value, 4)
