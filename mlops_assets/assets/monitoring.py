"""Stage `monitoring`: one drift report and one performance report per window of event time."""

from typing import Any

import dagster as dg

from mlops_assets.assets.attributes import asset_attributes
from mlops_assets.assets.measurements import (
    DriftReport,
    measure_drift,
    production,
    store_drift,
)
from mlops_assets.assets.performance_measurements import estimate_window, measure_performance, reported_bundle
from mlops_assets.assets.performance_records import PerformanceReport, judge, store_performance
from mlops_assets.assets.seasons import season_counts
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
        **asset_attributes(spec, "monitoring", kinds={"duckdb", "deltalake"}),
        **shared,
        check_specs=[
            dg.AssetCheckSpec(
                "no_feature_has_drifted",
                asset=dg.AssetKey([spec.name, "drift_report"]),
                description="Warns of a drifted window, never blocks: drift does not make the report wrong.",
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
        (Benjamini-Hochberg), population stability index and Jensen-Shannon distance do. A window with too few rows, or
        in which no feature counts, is neither drifted nor clean. The model's score and label are measured beside the
        features and do not count.
        """
        from mlops_assets.assets.monitoring_overview import write_overview
        from mlops_assets.assets.monitoring_pictures import drift_metadata
        from mlops_assets.assets.performance_pictures import estimate_metadata

        window = window_of_key(context.partition_key, spec.windows)
        try:
            release, bundle = production(releases, spec)
            season = season_counts(spec, lake.tables, window, bundle)
            profile, counts, drift = measure_drift(spec, bundle, lake, window, season=season)
            estimate = estimate_window(spec, lake, window, bundle)
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        # Before the page: its pictures read the window from the lake, and the triggers do not wait for a picture.
        store_drift(spec, lake, window, release, bundle, drift, estimate)
        report = DriftReport(
            window, bundle.manifest.version, release.generation, drift.verdict, drift.n_rows, drift.drifted_features
        )
        metadata = drift_metadata(
            spec, lake.tables, reports.of(spec.name), report, profile, counts, drift, season=season
        )
        write_overview(spec, lake.tables, releases.store, reports.of(spec.name))
        yield drift_check(report)
        yield dg.MaterializeResult(value=report, metadata=metadata | estimate_metadata(estimate))

    @dg.asset(
        **asset_attributes(spec, "monitoring", kinds={"scikitlearn", "deltalake"}),
        **shared,
        check_specs=[
            dg.AssetCheckSpec(
                "accuracy_holds",
                asset=dg.AssetKey([spec.name, "performance_report"]),
                description="Warns when the version's accuracy in this window is under the trigger's threshold.",
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
        verdict is on the version in production or, where that has answered none of the rows, on the one that answered
        most of them, and then it triggers nothing. Beside the truth stands
        what was expected before the labels came, and whether the version's errors have changed since its promotion, as
        far back as the training history goes: both inform and never trigger.
        """
        from mlops_assets.assets.monitoring_overview import write_overview
        from mlops_assets.assets.performance_pictures import performance_metadata

        window = window_of_key(context.partition_key, spec.windows)
        try:
            release, in_production = production(releases, spec)
            chain = releases.store.history(spec.name)
            bundle = reported_bundle(spec, lake, window, in_production, chain, releases.store.bundles)
            measured = measure_performance(spec, lake, window, bundle, chain)
        except DataError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        report = store_performance(spec, lake, window, release, bundle, measured)
        metadata = performance_metadata(spec, lake.tables, chain, reports.of(spec.name), report, measured)
        write_overview(spec, lake.tables, releases.store, reports.of(spec.name))
        yield accuracy_check(spec, report)
        yield dg.MaterializeResult(value=report, metadata=metadata)

    return [drift_report, performance_report]


def drift_check(report: DriftReport) -> dg.AssetCheckResult:
    """Return the outcome of `no_feature_has_drifted`."""
    return dg.AssetCheckResult(
        check_name="no_feature_has_drifted",
        passed=report.verdict != "drifted",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"verdict": report.verdict, "drifted_features": list(report.drifted_features)},
    )


def accuracy_check(spec: ModelSpec, report: PerformanceReport) -> dg.AssetCheckResult:
    """Return the outcome of `accuracy_holds`."""
    judgment = judge(spec, report)
    return dg.AssetCheckResult(
        check_name="accuracy_holds",
        passed=not report.complete or judgment.verdict != "under_threshold",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "accuracy": report.accuracy,
            "accuracy_upper_bound": report.accuracy_high,
            "threshold": judgment.threshold,
            "labels": report.n_labels,
            "labels_are_complete": report.complete,
            "reason": judgment.reason,
        },
    )
