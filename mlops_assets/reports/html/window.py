"""The pages of one monitoring window: drift against the reference, and performance against the labels."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

from mlops_assets.reports.html import wording
from mlops_assets.reports.html.evidence import Measured, measured_metrics
from mlops_assets.reports.html.page import Picture, Tile, joined, render

NOTHING: Mapping[str, Any] = MappingProxyType({})
_COMPARISONS = {"baseline": "At promotion", "frozen": "Frozen first model", "constant": "Constant"}


def drift_html(
    *,
    model: str,
    start: datetime | str,
    end: datetime | str,
    model_version: str | None,
    verdict: str,
    n_rows: int | None,
    features: Sequence[Mapping[str, Any]],
    thresholds: Mapping[str, Any] = NOTHING,
    facts: Mapping[str, Any] = NOTHING,
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
        features: What `dataclasses.asdict` makes of `FeatureDrift`, in any order; drifted ones are listed first. What
            is None or left out is shown as a dash; a `note` is shown as it is.
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
    metrics: Mapping[str, Any],
    baseline: Mapping[str, Any] = NOTHING,
    frozen: Mapping[str, Any] = NOTHING,
    reason: str = "",
    facts: Mapping[str, Any] = NOTHING,
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
        metrics: What `Performance.metrics_with_intervals` returns: values by name, with `_low` and `_high` beside
            those with an interval, and `constant_` before those of the constant predictor.
        baseline: What the version in production had on its hold-out when it was promoted, by the same names.
        frozen: What the frozen first model would have had.
        reason: The verdict in a sentence, with its numbers.
        facts: Whatever else identifies the report.
        pictures: Curves, confusion matrix, calibration.
    """
    rows = measured_metrics(metrics)
    constant = {name: metrics.get(f"constant_{name}") for name in rows}
    beside = {"baseline": baseline, "frozen": frozen, "constant": constant}
    coverage = n_labels / n_rows if n_rows and n_labels is not None else None
    tiles = [
        Tile(title="Verdict", value=wording.words(verdict), state=wording.state(verdict)),
        *(_metric_tile(name, rows[name], constant[name]) for name in list(rows)[:2]),
        Tile(
            title="Labels",
            value=wording.count(n_labels),
            note=f"{wording.percent(coverage)} of {wording.count(n_rows)} predictions",
        ),
        Tile(title="Answered by", value=f"version {wording.text(list(model_versions))}"),
    ]
    comparisons = {
        title: values
        for name, title in _COMPARISONS.items()
        if any(wording.as_float((values := beside[name]).get(metric)) is not None for metric in rows)
    }
    return render(
        "performance.html.j2",
        title=f"Performance of {model}",
        eyebrow="Performance report",
        heading=model,
        subtitle=_period(start, end),
        tiles=tiles,
        metrics=rows,
        comparisons=comparisons,
        reason=reason,
        facts=facts,
        pictures=pictures,
    )


def _drift_rank(feature: Mapping[str, Any]) -> tuple[bool, float, str]:
    index = wording.as_float(feature.get("population_stability_index"))
    return not feature.get("drifted"), -(index if index is not None else -1.0), str(feature.get("name"))


def _metric_tile(name: str, metric: Measured, constant: object) -> Tile:
    interval = "" if metric.low is None else f"{wording.number(metric.low)} to {wording.number(metric.high)}"
    beside = "" if constant is None else f"constant {wording.number(constant)}"
    title = wording.words(name)
    return Tile(
        title=title[:1].upper() + title[1:], value=wording.number(metric.value), note=joined([interval, beside])
    )


def _period(start: datetime | str, end: datetime | str) -> str:
    return f"{wording.minute(start)} to {wording.minute(end)}, end excluded"
