"""Stage `monitoring`: one drift report and one performance report per window of event time."""

from typing import Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes
from mlops_assets.assets.measurements import (
    DriftReport,
    PerformanceReport,
    measure_drift,
    measure_performance,
    production,
    store_drift,
    store_performance,
    window_predictions,
)
from mlops_assets.assets.seasons import season_counts
from mlops_assets.core.triggers import accuracy_threshold
from mlops_assets.core.windows import window_of_key
from mlops_assets.errors import DataError
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.resources.report_folder import ReportFolder
from mlops_assets.spec import ModelSpec


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

        A feature has drifted if the spec's rule says so: by default if two of Kolmogorov-Smirnov or chi-square
        (Benjamini-Hochberg), population stability index and Jensen-Shannon distance do. A window with too few rows is
        neither drifted nor clean. The model's score and label are measured beside the features and do not count.
        """
        from mlops_assets.assets.monitoring_overview import write_overview
        from mlops_assets.assets.monitoring_pictures import drift_metadata

        window = window_of_key(context.partition_key, spec.windows)
        try:
            release, bundle = production(releases, spec)
            frame = window_predictions(spec, lake, window)
            season = season_counts(spec, lake.tables, window, bundle)
            profile, counts, drift = measure_drift(spec, bundle, frame, season=season)
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        store_drift(spec, lake, window, release, bundle, drift)
        report = DriftReport(
            window, bundle.manifest.version, release.generation, drift.verdict, drift.n_rows, drift.drifted_features
        )
        metadata = drift_metadata(
            spec, lake.tables, reports.of(spec.name), report, profile, counts, drift, season=season
        )
        write_overview(spec, lake.tables, releases.store, reports.of(spec.name))
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
        from mlops_assets.assets.monitoring_overview import write_overview
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
        write_overview(spec, lake.tables, releases.store, reports.of(spec.name))
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
