"""Pictures of performance over time: what the loop gave, beside the frozen first model and the constant."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from mlops_assets.reports.figures import canvas

SHOWN_SLICES = 40


class AccuracyPoint(TypedDict, total=False):
    """Accuracy of one window, 0 to 1; what is None or left out makes a gap.

    `estimate` is what was expected before the labels came.
    """

    start: datetime | str
    accuracy: float | None
    low: float | None
    high: float | None
    version: str | None
    constant: float | None
    frozen: float | None
    estimate: float | None


class SliceRow(TypedDict):
    """The rows that share one value of one feature.

    `metrics` has those that are defined, by name, with `_low` and `_high` beside them.
    """

    feature: str
    value: str
    n_rows: int
    metrics: Mapping[str, float | None]


class LogLossPoint(TypedDict, total=False):
    """Log loss of one window; what is None or left out makes a gap."""

    start: datetime | str
    loop: float | None
    frozen: float | None
    constant: float | None


def accuracy_over_time(
    points: Sequence[AccuracyPoint],
    promotions: Sequence[datetime | str] = (),
    *,
    threshold: float | None = None,
) -> bytes:
    """Draw accuracy per window with its interval, the versions that answered, and when one was promoted.

    Args:
        points: Oldest first.
        promotions: Times of promotions, drawn as vertical lines.
        threshold: The accuracy under which a retraining is asked for.
    """
    if not points:
        return canvas.nothing_to_show("No labeled windows yet.")
    figure = canvas.new_figure(height_pixels=360)
    axes = figure.subplots()
    canvas.dress(axes, title="Accuracy by window")
    starts = canvas.moments([point["start"] for point in points])
    accuracy = canvas.floats([point.get("accuracy") for point in points])
    low = canvas.floats([point.get("low") for point in points])
    high = canvas.floats([point.get("high") for point in points])
    if np.isfinite(low + high).any():
        axes.fill_between(starts, low, high, color=canvas.BLUE, alpha=0.15, linewidth=0, label="95 % interval")
    _other_line(axes, starts, canvas.floats([point.get("constant") for point in points]), name="constant")
    _other_line(axes, starts, canvas.floats([point.get("frozen") for point in points]), name="frozen first model")
    axes.plot(starts, accuracy, color=canvas.BLUE, linewidth=2, marker="o", markersize=4.5, label="loop")
    _estimates(axes, starts, canvas.floats([point.get("estimate") for point in points]))
    if threshold is not None:
        axes.axhline(threshold, color=canvas.VERMILION, linewidth=1.2, linestyle=":", label="threshold")
    _promotion_lines(axes, promotions)
    _name_versions(axes, starts, accuracy, [point.get("version") for point in points])
    canvas.percent_axis(axes.yaxis, n_ticks=6)
    axes.margins(y=0.14)
    canvas.date_axis(axes)
    canvas.legend(axes)
    return canvas.as_png(figure)


def log_loss_lines(points: Sequence[LogLossPoint], promotions: Sequence[datetime | str] = ()) -> bytes:
    """Draw log loss per window of the loop, the frozen first model and the constant predictor; lower is better."""
    if not points:
        return canvas.nothing_to_show("No labeled windows yet.")
    figure = canvas.new_figure(height_pixels=360)
    axes = figure.subplots()
    canvas.dress(axes, title="Log loss by window (lower is better)")
    starts = canvas.moments([point["start"] for point in points])
    loop = canvas.floats([point.get("loop") for point in points])
    frozen = canvas.floats([point.get("frozen") for point in points])
    _other_line(axes, starts, canvas.floats([point.get("constant") for point in points]), name="constant")
    _other_line(axes, starts, frozen, name="frozen first model")
    axes.plot(starts, loop, color=canvas.BLUE, linewidth=2, marker="o", markersize=4.5, label="loop")
    with np.errstate(invalid="ignore"):
        gained = (loop < frozen).tolist()
    axes.fill_between(starts, loop, frozen, where=gained, color=canvas.BLUE, alpha=0.12, linewidth=0)
    _promotion_lines(axes, promotions)
    canvas.date_axis(axes)
    canvas.legend(axes)
    return canvas.as_png(figure)


def accuracy_by_slice(rows: Sequence[SliceRow], *, overall: float | None = None) -> bytes:
    """Draw the accuracy of each slice with its interval, the constant predictor's on the same rows, and the whole.

    Args:
        rows: In the order of the picture, features together.
        overall: Accuracy of all rows, drawn as a line.
    """
    known = [row for row in rows if row["metrics"].get("accuracy") is not None]
    if not known:
        return canvas.nothing_to_show("No slice has enough labels.")
    shown = known[:SHOWN_SLICES]
    figure = canvas.new_figure(height_pixels=90 + 24 * len(shown))
    axes = figure.subplots()
    left_out = len(known) - len(shown)
    canvas.dress(axes, title="Accuracy by slice", x=f"{left_out} more are not shown" if left_out else "", grid="both")
    accuracy, low, high, constant = (
        canvas.floats([row["metrics"].get(name) for row in shown])
        for name in ("accuracy", "accuracy_low", "accuracy_high", "constant_accuracy")
    )
    places = np.arange(len(shown))
    if overall is not None:
        axes.axvline(overall, color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)), label="all rows")
    axes.plot(constant, places, color=canvas.GRAY, marker="|", markersize=9, linestyle="", label="constant")
    style = {"color": canvas.BLUE, "marker": "o", "markersize": 5, "linestyle": "", "elinewidth": 1.6}
    spread = np.clip(np.nan_to_num([accuracy - low, high - accuracy]), 0, None)
    axes.errorbar(accuracy, places, xerr=spread, label="accuracy, 95 % interval", **style)
    axes.set_yticks(places, [_slice_name(row) for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    canvas.percent_axis(axes.xaxis, n_ticks=8)
    canvas.legend(axes)
    return canvas.as_png(figure)


def _slice_name(row: SliceRow) -> str:
    return canvas.legible(f"{row['feature']} = {row['value']} ({row['n_rows']:,})", 40)


def _estimates(axes: Any, starts: list[datetime], values: NDArray[np.float64]) -> None:
    if np.isfinite(values).any():
        style = {"color": canvas.VERMILION, "marker": "D", "markerfacecolor": canvas.PAPER, "linestyle": "none"}
        axes.plot(starts, values, markersize=5, zorder=3, label="expected before the labels", **style)


def _other_line(axes: Any, starts: list[datetime], values: NDArray[np.float64], *, name: str) -> None:
    if not np.isfinite(values).any():
        return
    frozen = name != "constant"
    style = {"color": canvas.ORANGE, "marker": "s"} if frozen else {"color": canvas.GRAY, "linestyle": "--"}
    axes.plot(starts, values, linewidth=1.6, markersize=3.5, label=name, **style)


def _promotion_lines(axes: Any, promotions: Sequence[datetime | str]) -> None:
    for number, moment in enumerate(canvas.moments(promotions)):
        label = "promotion" if number == 0 else None
        axes.axvline(moment, color=canvas.INK, linewidth=1, linestyle=(0, (4, 3)), alpha=0.6, label=label)


def _name_versions(
    axes: Any, starts: list[datetime], accuracy: NDArray[np.float64], versions: Sequence[str | None]
) -> None:
    from matplotlib.patheffects import withStroke

    before: str | None = None
    halo = [withStroke(linewidth=3, foreground=canvas.PAPER)]
    style = {
        "xytext": (0, 9),
        "textcoords": "offset points",
        "ha": "center",
        "fontsize": canvas.SMALL_SIZE,
        "fontweight": "bold",
    }
    for start, value, version in zip(starts, accuracy, versions, strict=True):
        if version is None or version == before or np.isnan(value):
            continue
        axes.annotate(f"v{canvas.legible(version, 8)}", (start, value), color=canvas.BLUE, path_effects=halo, **style)
        before = version
