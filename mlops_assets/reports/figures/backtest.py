"""The picture of a backtest: what each policy gained over the static one by window, and when it retrained."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict

from mlops_assets.reports.figures import canvas

COLORS = (canvas.BLUE, canvas.VERMILION, "#009e73", canvas.ORANGE, "#cc79a7", "#56b4e9")
"""Okabe and Ito's, for as many policies as can be told apart."""
_MARKERS = {"promote": ("o", "full"), "refuse": ("o", "none"), "fail": ("x", "full")}
_NAMES = {"promote": "promoted", "refuse": "refused", "fail": "failed"}


class PolicyLine(TypedDict):
    """One policy: its difference to the static one in every window (None: a gap), and its retrainings."""

    name: str
    differences: Sequence[float | None]
    retrainings: Sequence[tuple[datetime | str, str]]


def policies_over_time(starts: Sequence[datetime | str], policies: Sequence[PolicyLine]) -> bytes:
    """Draw the log loss of up to six policies less the static policy's, and a row of marks for each one's retrainings.

    Args:
        starts: Of the windows, oldest first.
        policies: In order of importance; those after the sixth are left out.
    """
    shown = policies[: len(COLORS)]
    if not starts or not shown:
        return canvas.nothing_to_show("No policy besides the static one.")
    figure = canvas.new_figure(height_pixels=400 + 24 * len(shown))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(340, 36 + 24 * len(shown)))
    canvas.dress(above, title="Log loss less the static policy's (lower is better)")
    above.axhline(0, color=canvas.GRAY, linewidth=1.2, linestyle="--")
    times = canvas.moments(starts)
    for color, policy in zip(COLORS, shown, strict=False):
        differences = canvas.floats(policy["differences"])
        above.plot(
            times, differences, color=color, linewidth=1.6, marker="o", markersize=2.5, label=_name(policy["name"])
        )
    canvas.legend(above, ncols=3)
    canvas.dress(below, title="Retrainings", grid="x")
    _retraining_rows(below, shown)
    canvas.date_axis(below)
    return canvas.as_png(figure)


def _retraining_rows(axes: Any, policies: Sequence[PolicyLine]) -> None:
    seen = set()
    for row, (color, policy) in enumerate(zip(COLORS, policies, strict=False)):
        for verdict, (marker, fill) in _MARKERS.items():
            moments = canvas.moments([moment for moment, said in policy["retrainings"] if said == verdict])
            if not moments:
                continue
            axes.plot(moments, [row] * len(moments), color=color, marker=marker, fillstyle=fill, linewidth=0)
            seen.add(verdict)
    for verdict in (verdict for verdict in _MARKERS if verdict in seen):
        marker, fill = _MARKERS[verdict]
        axes.plot([], [], color=canvas.INK, marker=marker, fillstyle=fill, linewidth=0, label=_NAMES[verdict])
    if seen:
        canvas.legend(axes)
    axes.set_yticks(range(len(policies)), [_name(policy["name"]) for policy in policies])
    axes.set_ylim(len(policies) - 0.5, -0.5)


def _name(text: str) -> str:
    return canvas.legible(text, 40)
