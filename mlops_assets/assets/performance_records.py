"""How the performance of a monitoring window is kept in the lake."""

from dataclasses import asdict, dataclass
from typing import Any

from mlops_assets.assets.performance_measurements import WindowPerformance, metric_values
from mlops_assets.core.triggers import AccuracyJudgment, judge_accuracy
from mlops_assets.core.windows import Window
from mlops_assets.lake.metrics import store_report
from mlops_assets.resources.lake import LakeResource
from mlops_assets.spec import ModelSpec
from serving.formats.bundle import Bundle
from serving.formats.release import Release


@dataclass(frozen=True)
class PerformanceReport:
    """How one version did on one window's labelled predictions.

    Attributes:
        model_version: The version that the report is about.
        generation: The newest of the release chain when the report was made.
        complete: Whether the labels have had their horizon or are all there; only then is the window judged.
    """

    window: Window
    model_version: str
    generation: int
    n_rows: int
    n_labels: int
    accuracy: float | None
    accuracy_high: float | None
    baseline_accuracy: float | None
    complete: bool = True


def judge(spec: ModelSpec, report: PerformanceReport) -> AccuracyJudgment:
    """Return whether the accuracy of a report holds, as the trigger sees it."""
    return judge_accuracy(
        spec.accuracy,
        n_labels=report.n_labels,
        accuracy=report.accuracy,
        accuracy_high=report.accuracy_high,
        baseline=report.baseline_accuracy,
    )


def store_performance(
    spec: ModelSpec, lake: LakeResource, window: Window, release: Release, bundle: Bundle, measured: WindowPerformance
) -> PerformanceReport:
    """Append the window's metrics to the lake and return the report."""
    own, arrival = measured.own, measured.arrival
    report = PerformanceReport(
        window=window,
        model_version=bundle.manifest.version,
        generation=release.generation,
        n_rows=arrival.n_rows,
        n_labels=own.n_rows if own else 0,
        accuracy=own.accuracy.value if own else None,
        accuracy_high=own.accuracy.high if own else None,
        baseline_accuracy=bundle.manifest.metrics.get("accuracy"),
        complete=measured.complete,
    )
    store_report(
        lake.tables,
        spec.name,
        "performance_metrics",
        window=window,
        model_version=report.model_version,
        generation=release.generation,
        rows=metric_records(measured),
        summary={
            "label_digest": measured.label_digest,
            "complete": measured.complete,
            "versions": list(measured.versions),
            **asdict(arrival),
            "metrics": measured.values,
            "over_constant": asdict(measured.over_constant) if measured.over_constant else None,
            "estimate": estimate_beside_truth(measured),
            "concept_drift": measured.concept_drift.to_dict() if measured.concept_drift else None,
            "production": {
                "n_labels": report.n_labels,
                "accuracy": report.accuracy,
                "accuracy_high": report.accuracy_high,
                "baseline_accuracy": report.baseline_accuracy,
            },
        },
    )
    return report


def metric_records(measured: WindowPerformance) -> list[dict[str, Any]]:
    """Return every metric as a record of the lake: of the window, and of each slice."""
    told = {"window": measured.values}
    told |= {f"slice:{part.name}": metric_values(part.performance, part.intervals) for part in measured.slices}
    return [
        {"subject": name, "method": method, "value": value, "p_value": None, "flag": None}
        for method, values in told.items()
        for name, value in values.items()
    ]


def estimate_beside_truth(measured: WindowPerformance) -> dict[str, float | None] | None:
    """Return the estimate, the accuracy that came true on the same version's rows, and how far off it was."""
    if measured.estimate is None:
        return None
    realized = measured.own.accuracy.value if measured.own else None
    error = None if realized is None else measured.estimate.value - realized
    return {**asdict(measured.estimate), "realized": realized, "error": error}
