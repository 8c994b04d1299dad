"""The page that the demo ends with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.performance import wilson_interval
from mlops_assets.reports.figures import AccuracyPoint, LogLossPoint, accuracy_over_time, log_loss_lines, psi_heat_map
from mlops_assets.reports.html import wording
from mlops_assets.reports.html.evidence import gate_evidence
from mlops_assets.reports.html.page import Picture, Tile, counted, joined, render

Summary = Mapping[str, Any]

_REMARKS = {
    "flight_delay": (
        "Weather and season move so much that nearly every week is drifted against its reference. With weather "
        "counted, three drifted weeks in a row come as soon as they can, so here the drift trigger acts like a "
        "three-weekly schedule: these retrainings show that the loop closes, not that every drift was harmful."
    )
}
_CONTENDERS = {"loop": "The loop", "frozen": "Frozen first model", "constant": "Constant predictor"}


@dataclass(frozen=True)
class _WindowRow:
    loop: Summary
    frozen: Summary
    constant: Summary
    drifted_names: list[str]
    beats_frozen: bool

    @classmethod
    def of(cls, window: Summary) -> "_WindowRow":
        frozen, drifted = _part(window, "frozen"), window.get("drifted_features")
        names = [str(name) for name in drifted] if isinstance(drifted, list | tuple) else []
        losses = [wording.as_float(side.get("log_loss")) for side in (window, frozen)]
        better = losses[0] is not None and losses[1] is not None and losses[0] < losses[1]
        return cls(window, frozen, _part(window, "constant"), names, better)


def demo_html(summary: Summary, pictures: Sequence[Picture] = (), *, remarks: str | None = None) -> str:
    """Return the demo's report.

    Args:
        summary: What `summary.json` holds; windows may also carry `frozen` and `constant`. Any value may be None.
        pictures: In the order of `demo_pictures`.
        remarks: What has to be said about this model's numbers; by default what is known about the flights.
    """
    windows, retrainings = _entries(summary, "windows"), _entries(summary, "retrainings")
    model = wording.text(summary.get("model"))
    said = _REMARKS.get(model, "") if remarks is None else remarks
    return render(
        "demo.html.j2",
        title=f"Closed loop of {model}",
        eyebrow="Closed loop, demo",
        heading=model,
        subtitle=_subtitle(summary, windows),
        tiles=_tiles(summary, windows, retrainings),
        remarks=said,
        conclusion=_conclusion(summary),
        totals=[(name, _part(summary.get("totals"), key)) for key, name in _CONTENDERS.items()],
        windows=[_WindowRow.of(window) for window in windows],
        retrainings=[(entry, gate_evidence(entry.get("evidence"))) for entry in retrainings],
        pictures=pictures,
    )


def demo_pictures(
    summary: Summary,
    *,
    psi: tuple[Sequence[str], Sequence[str], Sequence[Sequence[float | None]] | NDArray[np.float64]] | None = None,
    psi_threshold: float = 0.2,
) -> list[Picture]:
    """Return the figures of the demo's report.

    Args:
        summary: As for `demo_html`. A promotion is drawn where a new version answers for the first time.
        psi: Windows, features, and the population stability index of shape (n_features, n_windows).
        psi_threshold: Marked in the heat map.
    """
    windows = [window for window in _entries(summary, "windows") if wording.as_moment(window.get("start"))]
    promotions = _first_answers(windows)
    pictures = [
        Picture(
            png=log_loss_lines([_log_loss_point(window) for window in windows], promotions),
            alt="Log loss per window of the loop, the frozen first model and the constant predictor",
            caption="Lower is better; the shaded area is what the loop gained over the frozen first model.",
        ),
        Picture(
            png=accuracy_over_time([_accuracy_point(window) for window in windows], promotions),
            alt="Accuracy per window of the loop, the frozen first model and the constant predictor",
            caption="With 95 % Wilson intervals; dashed lines are the first window that a new version answered.",
        ),
    ]
    if psi is not None:
        pictures.append(
            Picture(
                png=psi_heat_map(*psi, threshold=psi_threshold),
                alt="Population stability index of every feature in every window",
                caption="Against the profile of the version then in production, so a promotion resets the reference.",
            )
        )
    return pictures


def _tiles(summary: Summary, windows: list[Summary], retrainings: list[Summary]) -> list[Tile]:
    triggers = Counter(wording.words(entry.get("trigger")) for entry in retrainings)
    n_promoted = sum(wording.state(entry.get("verdict")) == "good" for entry in retrainings)
    n_drifted = sum(_n_drifted(window) > 0 for window in windows)
    failed = summary.get("failed_calls")
    return [
        Tile(title="Windows", value=wording.count(windows), note=f"{n_drifted} with drift"),
        Tile(
            title="Retrainings",
            value=wording.count(retrainings),
            note=joined([f"{times} by {trigger}" for trigger, times in triggers.items()]),
        ),
        Tile(title="Promotions", value=str(n_promoted), note=f"of {counted(len(retrainings), 'candidate')}"),
        Tile(
            title="Failed calls",
            value=wording.count(failed),
            note=f"of {wording.count(summary.get('calls'))}",
            state="neutral" if wording.as_float(failed) is None else "bad" if failed else "good",
        ),
        _log_tile(summary),
        _loss_tile(summary),
    ]


def _log_tile(summary: Summary) -> Tile:
    names = ("acknowledged_predictions", "logged_predictions", "duplicate_predictions")
    acknowledged, logged, duplicates = (wording.as_float(summary.get(name)) for name in names)
    known = acknowledged is not None and logged is not None
    whole = known and acknowledged == logged and not duplicates
    sign = "=" if acknowledged == logged else "≠"
    return Tile(
        title="Logged predictions",
        value=wording.count(logged),
        note=joined([f"{sign} {wording.count(acknowledged)} acknowledged", counted(duplicates, "duplicate")]),
        state="good" if whole else "bad" if known else "neutral",
    )


def _loss_tile(summary: Summary) -> Tile:
    loop, frozen, constant = _total_losses(summary)
    known = [loss for loss in (frozen, constant) if loss is not None]
    better = loop is not None and all(loop < loss for loss in known)
    return Tile(
        title="Log loss",
        value=wording.number(loop),
        note=f"frozen {wording.number(frozen)} · constant {wording.number(constant)}",
        state="neutral" if loop is None or not known else "good" if better else "warn",
    )


def _conclusion(summary: Summary) -> str:
    loop, frozen, constant = _total_losses(summary)
    if loop is None:
        return ""
    beside = {"the frozen first model's": frozen, "the constant predictor's": constant}
    parts = [f"{_compared(loop, loss)} {whose}" for whose, loss in beside.items() if loss]
    return f"Over all weeks the loop's log loss is {' and '.join(parts)}." if parts else ""


def _compared(loop: float, other: float) -> str:
    change = (loop - other) / other
    return (
        f"{wording.percent(abs(change))} {'lower' if change < 0 else 'higher'} than"
        if round(change, 3)
        else "the same as"
    )


def _total_losses(summary: Summary) -> tuple[float | None, ...]:
    totals = summary.get("totals")
    return tuple(wording.as_float(_part(totals, name).get("log_loss")) for name in _CONTENDERS)


def _subtitle(summary: Summary, windows: list[Summary]) -> str:
    period = f"{wording.day(windows[0].get('start'))} to {wording.day(windows[-1].get('end'))}" if windows else ""
    wall = wording.as_float(summary.get("wall_seconds"))
    return joined([period, "" if wall is None else f"replayed in {wording.seconds(wall)}"])


def _entries(summary: Summary, name: str) -> list[Summary]:
    return [entry for entry in summary.get(name) or () if isinstance(entry, Mapping)]


def _part(whole: object, name: str) -> Summary:
    part = whole.get(name) if isinstance(whole, Mapping) else None
    return part if isinstance(part, Mapping) else {}


def _n_drifted(window: Summary) -> float:
    drifted = window.get("drifted_features")
    return len(drifted) if isinstance(drifted, list | tuple) else wording.as_float(drifted) or 0


def _first_answers(windows: list[Summary]) -> list[str]:
    return [
        after["start"]
        for before, after in pairwise(windows)
        if None not in (before.get("model_version"), after.get("model_version"))
        and before["model_version"] != after["model_version"]
    ]


def _log_loss_point(window: Summary) -> LogLossPoint:
    return {
        "start": window["start"],
        "loop": wording.as_float(window.get("log_loss")),
        "frozen": wording.as_float(_part(window, "frozen").get("log_loss")),
        "constant": wording.as_float(_part(window, "constant").get("log_loss")),
    }


def _accuracy_point(window: Summary) -> AccuracyPoint:
    accuracy, version = wording.as_float(window.get("accuracy")), window.get("model_version")
    low, high = _interval(accuracy, wording.as_float(window.get("labels")))
    return {
        "start": window["start"],
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "version": None if version is None else str(version),
        "frozen": wording.as_float(_part(window, "frozen").get("accuracy")),
        "constant": wording.as_float(_part(window, "constant").get("accuracy")),
    }


def _interval(share: float | None, n_labels: float | None) -> tuple[float | None, float | None]:
    if share is None or not n_labels or not 0 <= share <= 1:
        return None, None
    interval = wilson_interval(round(share * n_labels), round(n_labels))
    return interval.low, interval.high
