"""Pictures of drift: the distributions of one window, and the population stability index over all windows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops_assets.reports.figures import canvas

SHOWN_FEATURES = 24
HEAT_MAP_FEATURES = 40
WINDOW_LABELS = 7
CATEGORIES = 8
SHOWN_SHARE = 0.005
COLORED_THRESHOLDS = (0.001, 100.0)
NO_NOTES: Mapping[str, str] = MappingProxyType({})
_COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class FeatureHistogram:
    """One feature in the reference and in the current window, as shares of rows per bin.

    Attributes:
        edges: For a number: n + 1 edges of the first n bins, of any widths; the outer ones may be infinite.
        labels: For a category: one a bin. For a number: names of the bins after those between the edges, such as
            "missing".
        reference: Shares, 0 to 1.
        current: Shares of the same bins.
        note: A few words under the name, such as the statistics.
    """

    name: str
    kind: Literal["number", "category"]
    reference: Sequence[float]
    current: Sequence[float]
    edges: Sequence[float] = ()
    labels: Sequence[str] = ()
    drifted: bool = False
    note: str = ""


def histograms(features: Sequence[FeatureHistogram], *, limit: int = SHOWN_FEATURES) -> bytes:
    """Draw reference against current window, one small panel a feature.

    Bins are drawn equally wide whatever their edges are: on quantile bins a feature without drift is a flat line.

    Args:
        features: In the order of the panels.
        limit: At most this many panels; what is left out is counted under the last.
    """
    if not features:
        return canvas.nothing_to_show("Nothing to compare: no rows, or no features.")
    shown = features[:limit]
    n_columns = min(_COLUMNS, len(shown))
    n_rows = math.ceil(len(shown) / n_columns)
    figure = canvas.new_figure(height_pixels=60 + 190 * n_rows)
    figure.get_layout_engine().set(h_pad=0.07, w_pad=0.07)
    panels = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for axes, feature in zip(panels, shown, strict=False):
        _panel(axes, feature)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    _histogram_legend(figure, left_out=len(features) - len(shown))
    return canvas.as_png(figure)


def _panel(axes: Any, feature: FeatureHistogram) -> None:
    canvas.dress(axes, grid="" if not feature.reference else "x" if feature.kind == "category" else "y")
    color = canvas.VERMILION if feature.drifted else canvas.INK
    mark = "drifted · " if feature.drifted else ""
    axes.set_title(canvas.legible(feature.name, 24), loc="left", fontsize=canvas.LABEL_SIZE, fontweight="bold", pad=15)
    axes.title.set_color(canvas.INK)
    note = canvas.legible(mark + feature.note, 46)
    place = {"xytext": (0, 4), "textcoords": "offset points", "va": "bottom"}
    axes.annotate(note, (0, 1), xycoords="axes fraction", fontsize=canvas.SMALL_SIZE, color=color, **place)
    if feature.kind == "category":
        _category_bars(axes, feature)
    else:
        _number_steps(axes, feature)


def _number_steps(axes: Any, feature: FeatureHistogram) -> None:
    reference, current = (np.nan_to_num(canvas.floats(side)) for side in (feature.reference, feature.current))
    n_between = max(min(len(feature.edges) - 1, len(reference)), 0)
    shown = _shown(reference, current, 0.0)
    between, apart = shown[shown < n_between], _shown(reference, current, SHOWN_SHARE)
    between = np.arange(between.min(), between.max() + 1) if len(between) else between
    apart = apart[apart >= n_between]
    color, bounds, places = _current_color(feature), np.arange(len(between) + 1), np.arange(len(apart)) * 1.5
    places += len(between) + 1.0
    axes.stairs(reference[between], bounds, fill=True, color=canvas.LIGHT_GRAY)
    axes.stairs(current[between], bounds, color=color, linewidth=1.8)
    axes.bar(places, reference[apart], width=1, color=canvas.LIGHT_GRAY)
    axes.bar(places, current[apart], width=1, fill=False, edgecolor=color, linewidth=1.8)
    names = dict(enumerate(feature.labels, start=n_between))
    ticks = _edge_ticks([feature.edges[index] for index in (*between, between[-1] + 1)] if len(between) else [])
    if len(apart):  # room for the bin apart
        ticks = [tick for tick in ticks if tick[0] <= len(between) - (1 if len(between) > 3 else 0.5)]
    ticks += [(float(place), names.get(int(index), "")) for place, index in zip(places, apart, strict=True)]
    axes.set_xticks([place for place, _ in ticks], [canvas.legible(text, 9) for _, text in ticks])
    canvas.percent_axis(axes.yaxis, n_ticks=3)
    axes.set_ylim(bottom=0)


def _shown(reference: NDArray[np.float64], current: NDArray[np.float64], share: float) -> NDArray[np.intp]:
    return np.flatnonzero(np.maximum(reference, current) > share)


def _edge_ticks(edges: Sequence[float]) -> list[tuple[float, str]]:
    """Return about four places and texts; a bin that holds one value is named in its middle.

    Example:
        >>> _edge_ticks([-math.inf, 5, 10, 10, math.inf])
        [(0, '< 5'), (1, '5'), (2.5, '10'), (3.5, '> 10')]
    """
    ticks: list[tuple[float, str]] = []
    for index, (low, high) in enumerate(pairwise(edges)):
        if low == high:
            ticks = [tick for tick in ticks if tick[0] != index] + [(index + 0.5, _number_text(low))]
        elif not ticks or ticks[-1][0] != index - 0.5:
            ticks.append((index, _number_text(low) if math.isfinite(low) else f"< {_number_text(high)}"))
    if len(edges) > 1 and edges[-1] != edges[-2] and math.isfinite(edges[-1]):
        ticks.append((len(edges) - 1, _number_text(edges[-1])))
    elif len(edges) > 2 and edges[-1] == math.inf and edges[-2] == edges[-3]:
        ticks.append((len(edges) - 1.5, f"> {_number_text(edges[-2])}"))
    ticks = [tick for tick in ticks if "∞" not in tick[1]]
    return ticks[:: max(math.ceil(len(ticks) / 4), 1)]


def _number_text(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"


def _category_bars(axes: Any, feature: FeatureHistogram) -> None:
    reference, current = (np.nan_to_num(canvas.floats(side)) for side in (feature.reference, feature.current))
    shown = _shown(reference, current, 0.0)
    order = shown[np.argsort(-np.maximum(reference, current)[shown], kind="stable")]
    kept, pooled = order[:CATEGORIES], order[CATEGORIES:]
    names = [canvas.legible(feature.labels[index], 12) for index in kept]
    rows = [reference[kept], current[kept]]
    if len(pooled):
        names.append(f"{len(pooled)} others")
        rows = [np.append(row, side[pooled].sum()) for row, side in zip(rows, (reference, current), strict=True)]
    places = np.arange(len(names))
    axes.barh(places, rows[0], height=0.8, color=canvas.LIGHT_GRAY)
    axes.barh(places, rows[1], height=0.32, color=_current_color(feature))
    axes.set_yticks(places, names)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
    axes.set_xlim(left=0)
    canvas.percent_axis(axes.xaxis, n_ticks=3)


def _current_color(feature: FeatureHistogram) -> str:
    return canvas.VERMILION if feature.drifted else canvas.BLUE


def _histogram_legend(figure: Any, *, left_out: int) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(color=canvas.LIGHT_GRAY, label="reference"),
        Patch(facecolor=canvas.PAPER, edgecolor=canvas.BLUE, linewidth=1.8, label="current window"),
        Patch(facecolor=canvas.PAPER, edgecolor=canvas.VERMILION, linewidth=1.8, label="current window, drifted"),
    ]
    place = {"loc": "outside upper right", "ncols": 3, "frameon": False}
    figure.legend(handles=handles, fontsize=canvas.SMALL_SIZE, labelcolor=canvas.INK, **place)
    if left_out:
        figure.supxlabel(f"{left_out} features with less drift are not shown", fontsize=canvas.SMALL_SIZE)


def psi_heat_map(
    windows: Sequence[str],
    features: Sequence[str],
    values: Sequence[Sequence[float | None]] | NDArray[np.float64],
    *,
    threshold: float = 0.2,
    notes: Mapping[str, str] = NO_NOTES,
) -> bytes:
    """Draw the population stability index of every feature over the windows, the most drifted feature on top.

    Args:
        windows: One label a window, oldest first.
        features: Their names.
        values: Shape (n_features, n_windows), NaN or None where nothing was measured.
        threshold: The colors change here from blue to red, within 0.001 to 100, and such cells are marked.
        notes: A word to stand after the names of some features.
    """
    if not windows or not features:
        return canvas.nothing_to_show("No windows have been measured yet.")
    grid = np.array([canvas.floats(list(row)) for row in values]).reshape(len(features), len(windows))
    order = np.argsort(-np.nan_to_num(grid, nan=-1.0).max(axis=1), kind="stable")[:HEAT_MAP_FEATURES]
    grid = grid[order]
    figure = canvas.new_figure(height_pixels=130 + 24 * max(len(grid), 3))
    axes = figure.subplots()
    left_out = len(features) - len(grid)
    canvas.dress(
        axes,
        title="Population stability index by window",
        x=f"{left_out} features with less drift are not shown" if left_out else "",
        grid="",
    )
    image = _draw_cells(axes, grid, threshold=threshold)
    _name_cells(axes, windows, [features[index] for index in order], notes)
    _mark_cells(axes, grid, threshold=threshold)
    _color_bar(figure, image, axes, threshold=threshold, n_rows=len(grid))
    return canvas.as_png(figure)


def _draw_cells(axes: Any, grid: NDArray[np.float64], *, threshold: float) -> Any:
    from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm

    stops = [(0.0, "#f4f8fb"), (0.5, "#9cc7e4"), (0.5, "#fdd0a8"), (0.75, "#e8743b"), (1.0, "#8f1d0e")]
    colors = LinearSegmentedColormap.from_list("psi", stops, N=512).with_extremes(bad="#e9ecef")
    center = _colored(threshold)
    norm = TwoSlopeNorm(vmin=0.0, vcenter=center, vmax=5 * center)
    axes.set_facecolor("#e9ecef")
    axes.hlines(np.arange(len(grid) - 1) + 0.5, -0.5, grid.shape[1] - 0.5, color=canvas.PAPER, linewidth=1.5)
    if grid.shape[1] <= 60:
        axes.vlines(np.arange(grid.shape[1] - 1) + 0.5, -0.5, len(grid) - 0.5, color=canvas.PAPER, linewidth=1.5)
    return axes.imshow(np.ma.masked_invalid(grid), aspect="auto", cmap=colors, norm=norm, interpolation="nearest")


def _colored(threshold: float) -> float:
    """Return where the colors change; they can not at 0 or at infinity, which a policy may have as threshold."""
    least, greatest = COLORED_THRESHOLDS
    return min(max(threshold, least), greatest)


def _name_cells(axes: Any, windows: Sequence[str], features: Sequence[str], notes: Mapping[str, str]) -> None:
    step = math.ceil(len(windows) / WINDOW_LABELS)
    shown = range(0, len(windows), step)
    axes.set_xticks(list(shown), [canvas.legible(windows[index], 12) for index in shown])
    axes.set_yticks(range(len(features)), [f"{canvas.legible(name)}{_aside(notes.get(name))}" for name in features])


def _aside(note: str | None) -> str:
    return f" ({canvas.legible(note)})" if note else ""


def _mark_cells(axes: Any, grid: NDArray[np.float64], *, threshold: float) -> None:
    roomy = grid.shape[1] <= 16
    style = {"ha": "center", "va": "center", "fontsize": canvas.SMALL_SIZE}
    for (row, column), value in np.ndenumerate(grid):
        if np.isnan(value):
            axes.text(column, row, "·", color=canvas.MUTED, **style)
        elif roomy:
            color = canvas.PAPER if value > 2.6 * _colored(threshold) else canvas.INK
            weight = "bold" if value > threshold else "normal"
            axes.text(column, row, f"{min(value, 99):.2f}", color=color, fontweight=weight, **style)


def _color_bar(figure: Any, image: Any, axes: Any, *, threshold: float, n_rows: int) -> None:
    aspect, center = max(30, 1.6 * n_rows), _colored(threshold)
    bar = figure.colorbar(image, ax=axes, extend="max", pad=0.015, aspect=aspect, fraction=0.04)
    bar.set_ticks(
        [0, center / 2, center, 3 * center, 5 * center],
        labels=["0", f"{center / 2:g}", f"{threshold:g} ← threshold", f"{3 * center:g}", f"{5 * center:g}"],
    )
    bar.ax.axhline(center, color=canvas.INK, linewidth=1.6)
    bar.ax.tick_params(labelsize=canvas.SMALL_SIZE, length=0, labelcolor=canvas.INK)
    bar.outline.set_visible(False)
