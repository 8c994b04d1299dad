"""Stage `monitoring`: one drift report and one performance report per window of event time."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes
from mlops_assets.core.triggers import accuracy_threshold
from mlops_assets.core.windows import Window, window_of_key
from mlops_assets.errors import DataError, InsufficientDataError
from mlops_assets.lake.metrics import store_report
from mlops_assets.lake.queries import label_counts, labelled_predictions, log_versions
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.resources.report_folder import ReportFolder
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


def windows_partitions(spec: ModelSpec) -> dg.DynamicPartitionsDefinition:
    """Return the partitions that the monitoring sensor adds to, one per window with predictions."""
    return dg.DynamicPartitionsDefinition(name=f"{spec.name}_windows")


def build_monitoring_assets(spec: ModelSpec) -> list[dg.AssetsDefinition]:
    """Return `drift_report` and `performance_report` of one model."""
    deps = [dg.AssetKey([spec.name, "production_model"])]
    shared: dict[str, Any] = {
        "partitions_def": windows_partitions(spec),
        "deps": deps,
    }

    @dg.asset(
        **asset_attributes(spec, "monitoring", kinds={"scipy", "deltalake"}),
        **shared,
        check_specs=[
            dg.AssetCheckSpec(
                "no_feature_has_drifted",
                asset=dg.AssetKey([spec.name, "drift_report"]),
                description="Warns, never blocks: drift asks for retraining, it does not make the report wrong.",
            )
        ],
    )
    def drift_report(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        releases: ReleaseStoreResource,
        reports: ReportFolder,
    ) -> Any:
        """One monitoring window's features against the profile inside the *production* bundle.

        A feature has drifted if enough of Kolmogorov-Smirnov (Benjamini-Hochberg), population stability index and
        Jensen-Shannon distance say so. A window with too few rows is neither drifted nor clean.
        """
        from mlops_assets.assets.monitoring_pictures import drift_metadata

        window = window_of_key(context.partition_key, spec.windows)
        try:
            release, bundle = production(releases, spec)
            frame = window_predictions(spec, lake, window)
            profile, counts, drift = measure_drift(spec, bundle, frame)
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        store_drift(spec, lake, window, release, bundle, drift)
        report = DriftReport(
            window, bundle.manifest.version, release.generation, drift.verdict, drift.n_rows, drift.drifted_features
        )
        metadata = drift_metadata(spec, lake.tables, reports.of(spec.name), report, profile, counts, drift)
        yield drift_check(report)
        yield dg.MaterializeResult(value=report, metadata=metadata)

    @dg.asset(
        **asset_attributes(spec, "monitoring", kinds={"scikitlearn", "deltalake"}),
        **shared,
        check_specs=[
            dg.AssetCheckSpec(
                "accuracy_holds",
                asset=dg.AssetKey([spec.name, "performance_report"]),
                description="Warns when the accuracy trigger would fire on this window.",
            )
        ],
    )
    def performance_report(
        context: dg.AssetExecutionContext,
        lake: LakeResource,
        releases: ReleaseStoreResource,
        reports: ReportFolder,
    ) -> Any:
        """One window's predictions against their labels, with the constant predictor beside them.

        Made when the window's labels have had their horizon, and again when labels come late or are corrected. The
        accuracy trigger counts only rows that the version now in production has answered.
        """
        from mlops_assets.assets.monitoring_pictures import performance_metadata

        window = window_of_key(context.partition_key, spec.windows)
        try:
            release, bundle = production(releases, spec)
            frame = window_predictions(spec, lake, window)
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        labelled = frame[frame["observed_label"].notna()]
        own = labelled[labelled["model_version"] == bundle.manifest.version]
        overall = measure_performance(spec, bundle, labelled)
        report = store_performance(
            spec,
            lake,
            window,
            release,
            bundle,
            n_rows=len(frame),
            overall=overall,
            own=measure_performance(spec, bundle, own),
            versions=sorted(frame["model_version"].unique()),
        )
        metadata = performance_metadata(
            spec, lake.tables, releases.store, reports.of(spec.name), report, labelled, overall
        )
        yield accuracy_check(spec, report)
        yield dg.MaterializeResult(value=report, metadata=metadata)

    return [drift_report, performance_report]


def drift_check(report: DriftReport) -> dg.AssetCheckResult:
    """Return the outcome of `no_feature_has_drifted`."""
    return dg.AssetCheckResult(
        check_name="no_feature_has_drifted",
        passed=not report.drifted_features,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"verdict": report.verdict, "drifted_features": list(report.drifted_features)},
    )


def accuracy_check(spec: ModelSpec, report: PerformanceReport) -> dg.AssetCheckResult:
    """Return the outcome of `accuracy_holds`."""
    threshold = accuracy_threshold(spec.accuracy, report.baseline_accuracy)
    judged = report.accuracy_high if spec.accuracy.confirm == "bound" else report.accuracy
    enough = report.n_labels >= spec.accuracy.minimum_labels
    return dg.AssetCheckResult(
        check_name="accuracy_holds",
        passed=not enough or judged is None or threshold is None or judged >= threshold,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "accuracy": report.accuracy,
            "accuracy_upper_bound": report.accuracy_high,
            "threshold": threshold,
            "labels": report.n_labels,
        },
    )


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


def measure_drift(spec: ModelSpec, bundle: Bundle, frame: "pd.DataFrame") -> "tuple[Profile, Counts, WindowDrift]":
    """Count a window on the bundle's profile and score the counts."""
    from mlops_assets.core.drift import score_window
    from mlops_assets.core.profile import Profile, count

    profile = Profile.from_dict(bundle.profile)
    counts = count(profile, frame)
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
