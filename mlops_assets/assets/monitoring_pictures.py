"""What people look at in a report: tables and pictures for the UI, and one HTML page per window."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.core.bins import category_bins, number_bins
from mlops_assets.core.drift import VOTES_NEEDED
from mlops_assets.core.profile import CategoryProfile, Counts, Profile
from mlops_assets.core.schema import binary_labels
from mlops_assets.core.triggers import accuracy_threshold
from mlops_assets.lake.metrics import history_of, latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.reports import figures, html
from mlops_assets.spec import DriftPolicy, ModelSpec
from serving.formats.release import ReleaseStore

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.assets.measurements import DriftReport, PerformanceReport
    from mlops_assets.core.drift import WindowDrift
    from mlops_assets.core.feature_drift import FeatureDrift
    from mlops_assets.core.performance import Performance

SHOWN_WINDOWS = 26
SHOWN_FEATURES = 12


def drift_metadata(
    spec: ModelSpec,
    lake: Lake,
    folder: Path,
    report: "DriftReport",
    profile: Profile,
    counts: Counts,
    drift: "WindowDrift",
) -> dict[str, Any]:
    """Write the window's drift page and return the metadata for the UI."""
    bins = [histogram(profile, counts, feature) for feature in drift.features]
    distributions = figures.histograms(bins, limit=SHOWN_FEATURES)
    heat_map = psi_over_time(spec, lake)
    window = report.window
    page = html.drift_html(
        model=spec.name,
        start=window.start,
        end=window.end,
        model_version=report.model_version,
        verdict=report.verdict,
        n_rows=report.n_rows,
        features=[feature_row(feature) for feature in (*drift.features, *drift.predictions)],
        thresholds=thresholds(spec.drift),
        facts={"generation": report.generation, "reference rows": profile.n_rows},
        pictures=[
            html.Picture(png=distributions, alt="Reference and current distributions, the worst first"),
            html.Picture(png=heat_map, alt="Population stability index of every feature over the windows"),
        ],
    )
    path = html.write_html(folder / f"drift-{window.key.replace(':', '')}.html", page)
    html.write_html(folder / "drift-latest.html", page)
    return {
        "verdict": report.verdict,
        "dagster/row_count": report.n_rows,
        "drifted_features": ", ".join(report.drifted_features) or "none",
        "n_drifted_features": len(report.drifted_features),
        "model_version": report.model_version,
        "generation": report.generation,
        "statistics": feature_table(drift),
        "distributions": dg.MetadataValue.md(
            figures.as_markdown_image(distributions, "reference and current distributions")
        ),
        "population_stability_index_over_time": dg.MetadataValue.md(
            figures.as_markdown_image(heat_map, "population stability index by window")
        ),
        "report": dg.MetadataValue.path(path),
    }


def performance_metadata(
    spec: ModelSpec,
    lake: Lake,
    store: ReleaseStore,
    folder: Path,
    report: "PerformanceReport",
    labelled: "pd.DataFrame",
    overall: "Performance | None",
) -> dict[str, Any]:
    """Write the window's performance page and return the metadata for the UI."""
    threshold = accuracy_threshold(spec.accuracy, report.baseline_accuracy)
    over_time = accuracy_picture(spec, lake, store, threshold)
    pictures = [html.Picture(png=over_time, alt="Accuracy with its interval over the windows, promotions marked")]
    if overall is not None and overall.auc is not None:
        truth = binary_labels(labelled["observed_label"], spec.label.positive)
        scores = labelled["score"].to_numpy()
        pictures += [
            html.Picture(
                png=figures.roc_and_pr_curves(truth, {"served": scores}), alt="ROC and precision-recall curves"
            ),
            html.Picture(png=figures.calibration(truth, {"served": scores}), alt="Calibration of the probabilities"),
        ]
    verdict, reason = performance_verdict(spec, report, threshold)
    window = report.window
    page = html.performance_html(
        model=spec.name,
        start=window.start,
        end=window.end,
        model_versions=sorted(labelled["model_version"].unique()) or [report.model_version],
        verdict=verdict,
        n_rows=report.n_rows,
        n_labels=len(labelled),
        metrics=metric_rows(overall, report.baseline_accuracy),
        reason=reason,
        facts={"generation": report.generation, "version in production": report.model_version},
        pictures=pictures,
    )
    path = html.write_html(folder / f"performance-{window.key.replace(':', '')}.html", page)
    html.write_html(folder / "performance-latest.html", page)
    return {
        **(overall.metrics_with_intervals() if overall else {}),
        "dagster/row_count": report.n_rows,
        "labels": len(labelled),
        "label_coverage": len(labelled) / report.n_rows if report.n_rows else 0.0,
        "verdict": verdict,
        "reason": reason,
        "model_version": report.model_version,
        "accuracy_over_time": dg.MetadataValue.md(figures.as_markdown_image(over_time, "accuracy by window")),
        "report": dg.MetadataValue.path(path),
    }


def performance_verdict(spec: ModelSpec, report: "PerformanceReport", threshold: float | None) -> tuple[str, str]:
    """Return the verdict of the production version's own rows, and a sentence with its numbers."""
    judged = report.accuracy_high if spec.accuracy.confirm == "bound" else report.accuracy
    if report.n_labels < spec.accuracy.minimum_labels or judged is None or threshold is None:
        return (
            "insufficient_data",
            f"version {report.model_version} answered {report.n_labels} labeled rows of this window; "
            f"{spec.accuracy.minimum_labels} are needed to judge it",
        )
    what = "upper bound of accuracy" if spec.accuracy.confirm == "bound" else "accuracy"
    sentence = f"{what} {judged:.4f}, threshold {threshold:.4f} ({report.n_labels} labels)"
    return ("holds" if judged >= threshold else "under_threshold"), sentence


def metric_rows(overall: "Performance | None", baseline_accuracy: float | None) -> list[html.MetricRow]:
    """Return the metrics as rows of the performance page."""
    if overall is None:
        return []
    values, limits = overall.metrics(), overall.metrics_with_intervals()
    constant = {"accuracy": overall.constant_accuracy, "log_loss": overall.constant_log_loss, "auc": 0.5}
    names = ("accuracy", "auc", "log_loss", "brier", "precision", "recall", "f1", "pr_auc")
    return [
        html.MetricRow(
            name=name,
            value=values[name],
            low=limits.get(f"{name}_low"),
            high=limits.get(f"{name}_high"),
            baseline=baseline_accuracy if name == "accuracy" else None,
            constant=constant.get(name),
        )
        for name in names
    ]


def accuracy_picture(spec: ModelSpec, lake: Lake, store: ReleaseStore, threshold: float | None) -> bytes:
    """Draw accuracy over the reported windows with the promotions marked."""
    rows = latest_summaries(lake, spec.name, "performance_metrics")[-SHOWN_WINDOWS:]
    points = [
        figures.AccuracyPoint(
            start=row["window_start"],
            accuracy=row["metrics"].get("accuracy"),
            low=row["metrics"].get("accuracy_low"),
            high=row["metrics"].get("accuracy_high"),
            version="+".join(row["versions"]),
            constant=row["metrics"].get("constant_accuracy"),
        )
        for row in rows
    ]
    promotions = [
        release.data_until for release in store.history(spec.name) if release.action == "promote" and release.data_until
    ]
    shown = [moment for moment in promotions if points and moment >= rows[0]["window_start"]]
    return figures.accuracy_over_time(points, shown, threshold=threshold)


def psi_over_time(spec: ModelSpec, lake: Lake) -> bytes:
    """Draw the population stability index of every feature over the reported windows."""
    history = history_of(lake, spec.name, "drift_metrics", "population_stability_index").tail(SHOWN_WINDOWS)
    return figures.psi_heat_map(
        [f"{start:%Y-%m-%d}" for start in history.index],
        [str(name) for name in history.columns],
        history.to_numpy(dtype=float).T,
        threshold=spec.drift.population_stability_index,
    )


def thresholds(policy: DriftPolicy) -> dict[str, object]:
    """Return what the policy's rule compares the statistics with."""
    distance = policy.jensen_shannon_distance
    if policy.rule == "calibrated":
        return {
            "rule": "significant, and one effect large enough",
            "p-value after Benjamini-Hochberg": policy.false_discovery_rate,
            "Kolmogorov-Smirnov statistic": policy.ks_statistic,
            "Cramér's V": policy.cramers_v,
            "Jensen-Shannon distance": distance,
        }
    return {
        "votes needed": VOTES_NEEDED.get(policy.rule, policy.votes),
        "p-value after Benjamini-Hochberg": policy.ks_p_value,
        "population stability index": policy.population_stability_index,
        "Jensen-Shannon distance": distance,
    }


def feature_row(feature: "FeatureDrift") -> html.FeatureRow:
    """Return one feature as a row of the drift page."""
    return html.FeatureRow(
        name=feature.name,
        kind=feature.kind,
        ks_statistic=feature.ks_statistic,
        cramers_v=feature.cramers_v,
        unseen_share=feature.unseen_share,
        p_value=feature.adjusted_p_value,
        population_stability_index=feature.population_stability_index,
        jensen_shannon_distance=feature.jensen_shannon_distance,
        votes=feature.votes,
        drifted=feature.drifted,
        counted=feature.counted,
        seasonal=feature.seasonal,
        reference_missing_share=feature.missing_share_reference,
        current_missing_share=feature.missing_share_current,
        note="against the same phase of the season" if feature.reference == "season" else "",
    )


def feature_table(drift: "WindowDrift") -> dg.MetadataValue:
    """Return the statistics of all features as a table, the most drifted first; the model's own answers at the end."""
    ranked = sorted(drift.features, key=lambda f: (not f.drifted, -(f.population_stability_index or 0.0)))
    records = [
        dg.TableRecord(
            {
                "feature": feature.name,
                "drifted": feature.drifted,
                "votes": int(feature.votes),
                "psi": _rounded(feature.population_stability_index),
                "js_distance": _rounded(feature.jensen_shannon_distance),
                "ks_or_cramers_v": _rounded(feature.ks_statistic if feature.kind == "number" else feature.cramers_v),
                "p_adjusted": _rounded(feature.adjusted_p_value),
                "wasserstein": _rounded(feature.wasserstein_distance),
                "missing_share": _rounded(feature.missing_share_current),
                "unseen_share": _rounded(feature.unseen_share),
                "counted": feature.counted,
                "seasonal": feature.seasonal,
            }
        )
        for feature in (*ranked, *drift.predictions)
    ]
    return dg.MetadataValue.table(records=records) if records else dg.MetadataValue.text("no features")


def histogram(profile: Profile, counts: Counts, feature: "FeatureDrift") -> figures.FeatureHistogram:
    """Return one feature's shares in the reference and in the window, on ten quantile bins or the categories."""
    reference = profile.by_name[feature.name]
    note = f"PSI {feature.population_stability_index:.2f}" if feature.population_stability_index is not None else ""
    if isinstance(reference, CategoryProfile):
        bins = category_bins(reference, counts.categories[feature.name])
    else:
        bins = number_bins(reference, counts.numbers[feature.name])
    return figures.FeatureHistogram(
        name=feature.name,
        kind=feature.kind,
        edges=bins.edges,
        labels=bins.labels if feature.kind == "category" else bins.labels[-1:],
        reference=_shares(bins.reference),
        current=_shares(bins.current),
        drifted=feature.drifted,
        note=note,
    )


def _shares(counts: tuple[int, ...]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def _rounded(value: float | None) -> float:
    return -1.0 if value is None else round(float(value), 4)
