"""The page of all monitoring windows of a model, the newest first, with links to their reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.reports.html import wording
from mlops_assets.reports.html.page import Picture, Tile, counted, joined, period, render

OVERVIEW = "latest.html"


@dataclass(frozen=True, kw_only=True)
class DriftLine:
    """What the drift report said of a window; `page` is its file's name, empty where there is none."""

    verdict: str
    n_rows: int
    model_version: str
    drifted: Sequence[str]
    page: str = ""


@dataclass(frozen=True, kw_only=True)
class PerformanceLine:
    """What the performance report said of a window, in one sentence too."""

    verdict: str
    reason: str
    n_labels: int
    versions: Sequence[str]
    accuracy: float | None
    constant: float | None
    page: str = ""


@dataclass(frozen=True, kw_only=True)
class WindowLine:
    """One window with the reports that it has so far."""

    start: datetime
    end: datetime
    drift: DriftLine | None = None
    performance: PerformanceLine | None = None


def overview_html(*, model: str, windows: Sequence[WindowLine], pictures: Sequence[Picture] = ()) -> str:
    """Return the page of all windows.

    Args:
        model: The model's name.
        windows: Oldest first, at least one.
        pictures: Drift and accuracy over the windows.
    """
    drift = next((window for window in reversed(windows) if window.drift), None)
    performance = next((window for window in reversed(windows) if window.performance), None)
    return render(
        "overview.html.j2",
        title=f"Monitoring of {model}",
        eyebrow="Monitoring",
        heading=model,
        subtitle=joined([counted(len(windows), "window"), period(windows[0].start, windows[-1].end)]),
        tiles=[*_drift_tiles(windows, drift), *_performance_tiles(performance)],
        newest_drift=drift,
        newest_performance=performance,
        windows=list(reversed(windows)),
        pictures=pictures,
    )


def _drift_tiles(windows: Sequence[WindowLine], newest: WindowLine | None) -> list[Tile]:
    if newest is None or newest.drift is None:
        return []
    verdicts = [window.drift.verdict for window in windows if window.drift]
    return [
        Tile(
            title="Newest drift report",
            value=wording.words(newest.drift.verdict),
            note=period(newest.start, newest.end),
            state=wording.state(newest.drift.verdict),
        ),
        Tile(
            title="Drifted windows",
            value=wording.count(verdicts.count("drifted")),
            note=f"of {wording.count(len(verdicts))} with a report",
        ),
    ]


def _performance_tiles(newest: WindowLine | None) -> list[Tile]:
    if newest is None or newest.performance is None:
        return []
    line = newest.performance
    return [
        Tile(
            title="Newest performance report",
            value=wording.words(line.verdict),
            note=period(newest.start, newest.end),
            state=wording.state(line.verdict),
        ),
        Tile(
            title="Accuracy in it",
            value=wording.number(line.accuracy),
            note=f"constant {wording.number(line.constant)} · {counted(line.n_labels, 'label')}",
        ),
    ]
