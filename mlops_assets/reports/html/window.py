"""The performance page of one monitoring window, against its labels."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TypedDict

from mlops_assets.reports.figures.performance import SliceRow
from mlops_assets.reports.html import wording
from mlops_assets.reports.html.page import Picture, Tile, joined, period, render

NOTHING: Mapping[str, object] = MappingProxyType({})


class MetricRow(TypedDict, total=False):
    """One metric of a window, with what it is to be compared with."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    baseline: float | None
    frozen: float | None
    constant: float | None


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
        subtitle=period(start, end),
        tiles=tiles,
        metrics=metrics,
        comparisons=comparisons,
        slices=slices,
        reason=reason,
        facts=facts,
        pictures=pictures,
    )


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
