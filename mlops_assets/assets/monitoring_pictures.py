"""What people look at in a drift report: tables and pictures for the UI, and one HTML page per window."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.assets.attributes import feature_table
from mlops_assets.assets.columns import lake_columns
from mlops_assets.core.bins import Bins, category_bins, number_bins
from mlops_assets.core.profile import LABEL, SCORE, CategoryProfile, Counts, Profile
from mlops_assets.core.windows import Window
from mlops_assets.lake.metrics import history_of
from mlops_assets.lake.tables import Lake
from mlops_assets.reports import figures, html
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    from mlops_assets.assets.measurements import DriftReport
    from mlops_assets.core.drift import WindowDrift
    from mlops_assets.core.feature_drift import FeatureDrift

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
        **lake_columns(lake, spec.name, "drift_metrics"),
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
        labels=bins.labels if feature.kind == "category" else bins.labels[len(bins.edges) - 1 :],
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


def _rounded(value: float | None) -> float:
    return -1.0 if value is None else round(float(value), 4)
