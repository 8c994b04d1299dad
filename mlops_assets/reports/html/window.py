"""The pages of one monitoring window: drift against the reference, and performance against the labels."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TypedDict

from mlops_assets.reports.figures.performance import SliceRow
from mlops_assets.reports.html import wording
from mlops_assets.reports.html.page import Picture, Tile, joined, render

NOTHING: Mapping[str, object] = MappingProxyType({})


class FeatureRow(TypedDict, total=False):
    """One feature's statistics, `p_value` adjusted; what is None or left out is shown as a dash."""

    name: str
    kind: str
    ks_statistic: float | None
    cramers_v: float | None
    p_value: float | None
    population_stability_index: float | None
    jensen_shannon_distance: float | None
    votes: int | None
    drifted: bool
    counted: bool
    seasonal: bool
    reference_missing_share: float | None
    current_missing_share: float | None
    unseen_share: float | None
    note: str


class MetricRow(TypedDict, total=False):
    """One metric of a window, with what it is to be compared with."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None
    frozen: float | None
    constant: float | None


def drift_html(
    *,
    model: str,
    start: datetime | str,
    end: datetime | str,
    model_version: str | None,
    verdict: str,
    n_rows: int | None,
    features: Sequence[FeatureRow],
    thresholds: Mapping[str, object] = NOTHING,
    facts: Mapping[str, object] = NOTHING,
    pictures: Sequence[Picture] = (),
) -> str:
    """Return the drift page of one window.

    Args:
        model: The model's name.
        start: Start of the window.
        end: Its end, exclusive.
        model_version: The version in production, whose profile is the reference.
        verdict: "drifted", "clean" or "insufficient_data".
        n_rows: Rows of the window.
        features: In any order; drifted ones are listed first.
        thresholds: Name and value of each threshold, shown under the table.
        facts: Whatever else identifies the report: generation, data version, run ids.
        pictures: Histograms and heat map.
    """
    ranked = sorted(features, key=_drift_rank)
    drifted = [str(feature.get("name")) for feature in ranked if feature.get("drifted")]
    share = f"of {wording.count(len(ranked))} features"
    tiles = [
        Tile(title="Verdict", value=wording.words(verdict), state=wording.state(verdict)),
        Tile(
            title="Drifted features",
            value=wording.count(len(drifted)),
            note=joined([share, ", ".join(drifted[:4]) + (" …" if len(drifted) > 4 else "")]),
            state="warn" if drifted else "good" if ranked else "neutral",
        ),
        Tile(title="Rows", value=wording.count(n_rows)),
        Tile(title="Reference", value=f"version {wording.text(model_version)}", note="profile inside the bundle"),
    ]
    return render(
        "drift.html.j2",
        title=f"Drift of {model}",
        eyebrow="Drift report",
        heading=model,
        subtitle=_period(start, end),
        tiles=tiles,
        features=ranked,
        thresholds=thresholds,
        facts=facts,
        pictures=pictures,
    )


def performance_html(
    *,
    model: str,
    start: datetime | str,
    end: datetime | str,
    model_versions: Sequence[str],
    verdict: str,
    n_rows: int | None,
    n_labels: int | None,
    metrics: Sequence[MetricRow],
    slices: Sequence[SliceRow] = (),
    reason: str = "",
    facts: Mapping[str, object] = NOTHING,
    pictures: Sequence[Picture] = (),
) -> str:
    """Return the performance page of one window.

    Args:
        model: The model's name.
        start: Start of the window.
        end: Its end, exclusive.
        model_versions: The versions that answered.
        verdict: "holds", "under_threshold" or "insufficient_data".
        n_rows: Predictions of the window.
        n_labels: How many of them have a label.
        metrics: One row a metric; a comparison that no row has gets no column.
        slices: The same metrics apart for values of declared categories.
        reason: The verdict in a sentence, with its numbers.
        facts: Whatever else identifies the report.
        pictures: Curves, confusion matrix, calibration.
    """
    coverage = n_labels / n_rows if n_rows and n_labels is not None else None
    tiles = [
        Tile(title="Verdict", value=wording.words(verdict), state=wording.state(verdict)),
        *(_metric_tile(row) for row in metrics[:2]),
        Tile(
            title="Labels",
            value=wording.count(n_labels),
            note=f"{wording.percent(coverage)} of {wording.count(n_rows)} predictions",
        ),
        Tile(title="Answered by", value=f"version {wording.text(list(model_versions))}"),
    ]
    comparisons = [name for name in ("baseline", "frozen", "constant") if any(_is_there(row, name) for row in metrics)]
    return render(
        "performance.html.j2",
        title=f"Performance of {model}",
        eyebrow="Performance report",
        heading=model,
        subtitle=_period(start, end),
        tiles=tiles,
        metrics=metrics,
        comparisons=comparisons,
        slices=slices,
        reason=reason,
        facts=facts,
        pictures=pictures,
    )


def _drift_rank(feature: FeatureRow) -> tuple[bool, float, str]:
    index = wording.as_float(feature.get("population_stability_index"))
    return not feature.get("drifted"), -(index if index is not None else -1.0), str(feature.get("name"))


def _is_there(row: MetricRow, name: str) -> bool:
    return wording.as_float(dict(row).get(name)) is not None


def _metric_tile(row: MetricRow) -> Tile:
    low, high = row.get("low"), row.get("high")
    interval = f"{wording.number(low)} to {wording.number(high)}" if low is not None and high is not None else ""
    constant = f"constant {wording.number(row.get('constant'))}" if _is_there(row, "constant") else ""
    name = wording.words(row.get("name"))
    return Tile(
        title=name[:1].upper() + name[1:], value=wording.number(row.get("value")), note=joined([interval, constant])
    )


def _period(start: datetime | str, end: datetime | str) -> str:
    return f"{wording.minute(start)} to {wording.minute(end)}, end excluded"
