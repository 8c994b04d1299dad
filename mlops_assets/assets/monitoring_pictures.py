"""What people look at in a report: tables and pictures for the UI, and one HTML page per window."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import feature_table
from mlops_assets.core.bins import Bins, category_bins, number_bins
from mlops_assets.core.profile import LABEL, SCORE, CategoryProfile, Counts, Profile
from mlops_assets.core.schema import binary_labels
from mlops_assets.core.triggers import accuracy_threshold
from mlops_assets.core.windows import Window
from mlops_assets.lake.metrics import history_of, latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.reports import figures, html
from mlops_assets.spec import ModelSpec
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
    *,
    season: Counts | None,
) -> dict[str, Any]:
    """Write the window's drift page and return the metadata for the UI."""
    shown = [*drift.predictions, *drift.ranked] if drift.n_rows and profile.n_rows else []
    distributions = figures.histograms(
        [histogram(profile, counts, feature, season=season) for feature in shown], limit=SHOWN_FEATURES
    )
    heat_map = psi_over_time(spec, lake)
    window = report.window
    page = html.drift_html(
        model=spec.name,
        start=window.start,
        end=window.end,
        model_version=report.model_version,
        drift=drift,
        policy=spec.drift,
        minimum_rows=spec.windows.minimum_rows,
        facts={"generation": report.generation, "reference rows": profile.n_rows},
        pictures=[
            html.Picture(png=distributions, alt="Reference and current distributions, the worst first"),
            html.Picture(png=heat_map, alt="Population stability index of every feature over the windows"),
        ],
    )
    path = html.write_html(folder / page_name("drift", window), page)
    return {
        "verdict": report.verdict,
        "reason": html.drift_in_words(drift, spec.drift, minimum_rows=spec.windows.minimum_rows),
        "dagster/row_count": report.n_rows,
        "drifted_features": ", ".join(report.drifted_features) or "none",
        "n_drifted_features": len(report.drifted_features),
        "model_version": report.model_version,
        "generation": report.generation,
        "statistics": feature_table(drift),
        "distributions": dg.MetadataValue.md(
            figures.as_markdown_image(distributions, "reference and current distributions")
        ),
        "population_stability_index": dg.MetadataValue.md(
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
    moment = "%Y-%m-%d" if spec.windows.length >= timedelta(days=1) else "%m-%d %H:%M"
    return figures.psi_heat_map(
        [f"{start:{moment}}" for start in history.index],
        [str(name) for name in history.columns],
        history.to_numpy(dtype=float).T,
        threshold=spec.drift.population_stability_index,
        notes=dict.fromkeys((SCORE, LABEL), "answer") | {f.name: "seasonal" for f in spec.features if f.seasonal},
    )


def page_name(report: str, window: Window) -> str:
    """Return the file's name of a window's page; `report` is "drift" or "performance"."""
    return f"{report}-{window.key.replace(':', '')}.html"


def histogram(
    profile: Profile, counts: Counts, feature: "FeatureDrift", *, season: Counts | None
) -> figures.FeatureHistogram:
    """Return the shares of one feature, or of the model's answers, in the reference and in the window.

    The bins are ten quantile bins or the categories; the reference is what the feature was compared with.
    """
    bins = _bins(profile, counts, feature.name, season=season if feature.reference == "season" else None)
    return figures.FeatureHistogram(
        name=feature.name,
        kind=feature.kind,
        edges=bins.edges,
        labels=bins.labels if feature.kind == "category" else bins.labels[-1:],
        reference=_shares(bins.reference),
        current=_shares(bins.current),
        drifted=feature.drifted,
        note=_note(feature),
    )


def _bins(profile: Profile, counts: Counts, name: str, *, season: Counts | None) -> Bins:
    references: dict[str, Any] = {**profile.by_name, SCORE: profile.score, LABEL: profile.label}
    windows: dict[str, Any] = {**counts.numbers, **counts.categories, SCORE: counts.score, LABEL: counts.label}
    reference = references[name]
    if season is not None:
        reference = replace(reference, counts={**season.numbers, **season.categories}[name])
    bins_of = category_bins if isinstance(reference, CategoryProfile) else number_bins
    return bins_of(reference, windows[name])


def _note(feature: "FeatureDrift") -> str:
    index = feature.population_stability_index
    words = (
        f"PSI {index:.2f}" if index is not None else "",
        "against its season" if feature.reference == "season" else "seasonal" if feature.seasonal else "",
        "the model's answer" if feature.name in {SCORE, LABEL} else "" if feature.counted else "not counted",
    )
    return " · ".join(word for word in words if word)


def _shares(counts: tuple[int, ...]) -> list[float]:
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]
