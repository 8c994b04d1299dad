"""Pictures of one evaluation: how well scores rank, decide and estimate, and what the model looks at."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.intervals import wilson_interval
from mlops_assets.core.reliability import Reliability, calibration_error, reliability
from mlops_assets.reports.figures import canvas

SHOWN_IMPORTANCES = 20
_COLORS = (canvas.BLUE, canvas.ORANGE, canvas.VERMILION, canvas.GRAY)

Labels = Sequence[int] | Sequence[bool] | NDArray[Any]
Scores = Mapping[str, Sequence[float] | NDArray[np.float64]]


def roc_and_pr_curves(labels: Labels, scores: Scores) -> bytes:
    """Draw ROC and precision-recall curves side by side, with the areas in the legend.

    Args:
        labels: Shape (n,), 1 for the positive class.
        scores: Probabilities of the positive class by model ("challenger", "champion"), each shape (n,). The first
            is drawn in the leading color; rows without a finite score are left out.
    """
    truth = np.asarray(labels, dtype=np.int64)
    if len(np.unique(truth)) < 2 or not scores:
        return canvas.nothing_to_show("ROC and PR curves need scores and both classes.")
    figure = canvas.new_figure(height_pixels=430)
    roc, precision_recall = figure.subplots(1, 2)
    canvas.dress(roc, title="ROC", x="false positive rate", y="true positive rate", grid="both")
    canvas.dress(precision_recall, title="Precision and recall", x="recall", y="precision", grid="both")
    roc.plot([0, 1], [0, 1], color=canvas.GRAY, linestyle="--", linewidth=1.2)
    precision_recall.axhline(truth.mean(), color=canvas.GRAY, linestyle="--", linewidth=1.2)
    for name, values, color in _by_model(scores):
        _roc_curve(roc, truth, values, name=name, color=color)
        _precision_recall_curve(precision_recall, truth, values, name=name, color=color)
    for axes, corner in ((roc, "lower right"), (precision_recall, "lower left")):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        _legend_inside(axes, corner)
    return canvas.as_png(figure)


def _by_model(scores: Scores) -> list[tuple[str, NDArray[np.float64], str]]:
    return [
        (canvas.legible(name, 24), np.asarray(values, dtype=np.float64), _COLORS[index % len(_COLORS)])
        for index, (name, values) in enumerate(scores.items())
    ]


def _legend_inside(axes: Any, corner: str) -> None:
    if axes.get_legend_handles_labels()[0]:
        canvas.legend(axes, loc=corner, bbox_to_anchor=None, ncols=1, borderaxespad=1)


def _roc_curve(axes: Any, truth: NDArray[np.int64], values: NDArray[np.float64], *, name: str, color: str) -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    scored = np.isfinite(values)
    if len(np.unique(truth[scored])) < 2:
        return
    false_rate, true_rate, _ = roc_curve(truth[scored], values[scored])
    area = roc_auc_score(truth[scored], values[scored])
    axes.plot(false_rate, true_rate, color=color, linewidth=1.8, label=f"{name}: area {area:.4f}")


def _precision_recall_curve(
    axes: Any, truth: NDArray[np.int64], values: NDArray[np.float64], *, name: str, color: str
) -> None:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    scored = np.isfinite(values)
    if len(np.unique(truth[scored])) < 2:
        return
    precision, recall, _ = precision_recall_curve(truth[scored], values[scored])
    area = average_precision_score(truth[scored], values[scored])
    axes.step(recall, precision, where="post", color=color, linewidth=1.8, label=f"{name}: area {area:.4f}")


def confusion_matrix(matrix: Sequence[Sequence[int]] | NDArray[Any], labels: Sequence[str]) -> bytes:
    """Draw counts of true (rows) against predicted (columns) classes; shades are shares of the true class.

    Args:
        matrix: Shape (n_classes, n_classes).
        labels: The classes in the order of the matrix.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    of_class = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = canvas.new_figure(width_pixels=520, height_pixels=400)
    axes = figure.subplots()
    canvas.dress(axes, title="Confusion matrix", x="predicted", y="true", grid="")
    axes.imshow(counts / of_class, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    names = [canvas.legible(label, 16) for label in labels]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names, rotation=90, va="center")
    for (row, column), count in np.ndenumerate(counts):
        share = count / of_class[row, 0]
        color = canvas.PAPER if share > 0.5 else canvas.INK
        place = {"ha": "center", "color": color, "xytext": (0, 0), "textcoords": "offset points"}
        axes.annotate(f"{count:,.0f}", (column, row), **place | {"fontsize": 13, "va": "bottom"})
        below = place | {"fontsize": canvas.SMALL_SIZE, "va": "top", "xytext": (0, -4)}
        axes.annotate(f"{share:.1%} of true {names[row]}", (column, row), **below)
    return canvas.as_png(figure)


def importances(
    names: Sequence[str], values: Sequence[float | None], errors: Sequence[float | None] | None = None
) -> bytes:
    """Draw the importances as bars, the greatest on top.

    Args:
        names: The features.
        values: Their importances, such as the loss that permuting the feature costs.
        errors: Standard deviations of the importances.
    """
    sizes, spread = canvas.floats(values), canvas.floats(errors if errors is not None else [None] * len(values))
    known = np.flatnonzero(np.isfinite(sizes))
    if not len(known):
        return canvas.nothing_to_show("No importances have been measured.")
    order = known[np.argsort(-sizes[known], kind="stable")][:SHOWN_IMPORTANCES]
    figure = canvas.new_figure(height_pixels=90 + 24 * len(order))
    axes = figure.subplots()
    left_out = len(names) - len(order)
    note = f"{left_out} features with less are not shown" if left_out else ""
    canvas.dress(axes, title="Feature importance", x=note, grid="x")
    places = np.arange(len(order))
    bars = {"color": canvas.BLUE, "ecolor": canvas.INK, "error_kw": {"elinewidth": 1, "capsize": 2}}
    axes.barh(places, sizes[order], xerr=np.nan_to_num(spread[order]), height=0.65, **bars)
    axes.axvline(0, color=canvas.GRAY, linewidth=1)
    axes.set_yticks(places, [canvas.legible(names[index]) for index in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    return canvas.as_png(figure)


def calibration(labels: Labels, scores: Scores) -> bytes:
    """Draw how often the positive class came true, with 95 % intervals, in bins of equally many rows.

    Args:
        labels: Shape (n,), 1 for the positive class.
        scores: Probabilities by model, each shape (n,). Below, the histogram of each.
    """
    truth = np.asarray(labels, dtype=np.int64)
    if not len(truth) or not scores:
        return canvas.nothing_to_show("No scores with labels.")
    figure = canvas.new_figure(width_pixels=620, height_pixels=560)
    curve, counts = figure.subplots(2, 1, height_ratios=[4, 1], sharex=True)
    canvas.dress(curve, title="Calibration", y="observed share", grid="both")
    canvas.dress(counts, x="predicted probability", y="rows", grid="y")
    curve.plot([0, 1], [0, 1], color=canvas.GRAY, linestyle="--", linewidth=1.2)
    for name, values, color in _by_model(scores):
        scored = np.isfinite(values)
        if not scored.any():
            continue
        bins = reliability(values[scored], truth[scored])
        label = f"{name}: calibration error {calibration_error(values[scored], truth[scored]):.4f}"
        curve.plot(bins.predicted, bins.observed, color=color, linewidth=1.8, marker="o", markersize=4.5, label=label)
        curve.vlines(bins.predicted, *_wilson_bounds(bins), color=color, linewidth=1.2)
        counts.hist(values[scored], bins=25, range=(0, 1), color=color, histtype="step", linewidth=1.5)
    _legend_inside(curve, "upper left")
    curve.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return canvas.as_png(figure)


def _wilson_bounds(bins: Reliability) -> tuple[list[float], list[float]]:
    intervals = [
        wilson_interval(round(observed * rows), int(rows))
        for observed, rows in zip(bins.observed, bins.n_rows, strict=True)
    ]
    return [interval.low for interval in intervals], [interval.high for interval in intervals]
