"""What a monitoring window is measured by, and how the outcome is kept in the lake."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.core.windows import Window
from mlops_assets.errors import InsufficientDataError
from mlops_assets.lake.metrics import store_report
from mlops_assets.lake.queries import label_counts, labelled_predictions, log_versions
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import ModelSpec
from serving.formats.bundle import Bundle
from serving.formats.release import Release

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.core.drift import WindowDrift
    from mlops_assets.core.performance import Performance
    from mlops_assets.core.profile import Counts, Profile


@dataclass(frozen=True)
class DriftReport:
    """The verdict on one window against the production model's profile."""

    window: Window
    model_version: str
    generation: int
    verdict: str
    n_rows: int
    drifted_features: tuple[str, ...]


@dataclass(frozen=True)
class PerformanceReport:
    """How the production version did on one window's labelled predictions."""

    window: Window
    model_version: str
    generation: int
    n_rows: int
    n_labels: int
    accuracy: float | None
    accuracy_high: float | None
    baseline_accuracy: float | None


def production(releases: ReleaseStoreResource, spec: ModelSpec) -> tuple[Release, Bundle]:
    """Return the newest release and the bundle in production.

    Raises:
        InsufficientDataError: Nothing is in production yet.
    """
    release, bundle = releases.production_release(spec.name), releases.production_bundle(spec.name)
    if release is None or bundle is None:
        raise InsufficientDataError(f"{spec.name}: no version is in production; materialize production_model first")
    return release, bundle


def window_predictions(spec: ModelSpec, lake: LakeResource, window: Window) -> "pd.DataFrame":
    """Return the unique predictions of a window with their latest labels."""
    versions = log_versions(lake.tables, spec.name)
    return labelled_predictions(lake.tables, spec, versions, start=window.start, end=window.end)


def measure_drift(
    spec: ModelSpec, bundle: Bundle, lake: LakeResource, window: Window
) -> "tuple[Profile, Counts, WindowDrift]":
    """Let the engine count a window on the bundle's profile, and score the counts."""
    from mlops_assets.core.drift import score_window
    from mlops_assets.core.profile import Profile
    from mlops_assets.lake.queries import window_counts

    profile = Profile.from_dict(bundle.profile)
    counts = window_counts(lake.tables, spec, profile, start=window.start, end=window.end, engine=lake.engine)
    return (
        profile,
        counts,
        score_window(profile, counts, spec.drift, spec.features, minimum_rows=spec.windows.minimum_rows),
    )


def store_drift(
    spec: ModelSpec, lake: LakeResource, window: Window, release: Release, bundle: Bundle, drift: "WindowDrift"
) -> None:
    """Append the window's statistics to the lake."""
    rows = []
    for feature in drift.features:
        measured = {
            "kolmogorov_smirnov": (feature.ks_statistic, feature.adjusted_p_value),
            "population_stability_index": (feature.population_stability_index, None),
            "jensen_shannon_distance": (feature.jensen_shannon_distance, None),
            "votes": (float(feature.votes), None),
        }
        rows += [
            {"subject": feature.name, "method": method, "value": value, "p_value": p_value, "flag": feature.drifted}
            for method, (value, p_value) in measured.items()
        ]
    store_report(
        lake.tables,
        spec.name,
        "drift_metrics",
        window=window,
        model_version=bundle.manifest.version,
        generation=release.generation,
        rows=rows,
        summary={
            "verdict": drift.verdict,
            "n_rows": drift.n_rows,
            "drifted_features": list(drift.drifted_features),
        },
    )


def measure_performance(spec: ModelSpec, bundle: Bundle, labelled: "pd.DataFrame") -> "Performance | None":
    """Return the metrics of labelled rows, or None without any."""
    from mlops_assets.core.performance import evaluate
    from mlops_assets.core.schema import binary_labels

    if labelled.empty:
        return None
    truth = binary_labels(labelled["observed_label"], spec.label.positive)
    prior = bundle.manifest.metrics.get("prior", 0.5)
    return evaluate(labelled["score"].to_numpy(), truth, threshold=spec.label.threshold, prior=prior)


def store_performance(
    spec: ModelSpec,
    lake: LakeResource,
    window: Window,
    release: Release,
    bundle: Bundle,
    *,
    n_rows: int,
    overall: "Performance | None",
    own: "Performance | None",
    versions: list[str],
) -> PerformanceReport:
    """Append the window's metrics to the lake and return the report."""
    counted = label_counts(lake.tables, spec, start=window.start).get(window.start)
    values = overall.metrics_with_intervals() if overall else {}
    rows = [
        {"subject": name, "method": "window", "value": value, "p_value": None, "flag": None}
        for name, value in values.items()
    ]
    report = PerformanceReport(
        window=window,
        model_version=bundle.manifest.version,
        generation=release.generation,
        n_rows=n_rows,
        n_labels=own.n_rows if own else 0,
        accuracy=own.accuracy.value if own else None,
        accuracy_high=own.accuracy.high if own else None,
        baseline_accuracy=bundle.manifest.metrics.get("accuracy"),
    )
    store_report(
        lake.tables,
        spec.name,
        "performance_metrics",
        window=window,
        model_version=report.model_version,
        generation=release.generation,
        rows=rows,
        summary={
            "label_digest": counted.digest if counted else "",
            "n_rows": n_rows,
            "versions": versions,
            "n_labels": overall.n_rows if overall else 0,
            "metrics": values,
            "production": {
                "n_labels": report.n_labels,
                "accuracy": report.accuracy,
                "accuracy_high": report.accuracy_high,
                "baseline_accuracy": report.baseline_accuracy,
            },
        },
    )
    return report
