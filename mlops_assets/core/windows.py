"""Event time cut into windows, and until when a snapshot may reach."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mlops_assets.spec import TrainingPolicy, WindowPolicy

SEASON_CYCLES = 8
_KEY_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """One monitoring window, [start, end) in event time."""

    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """The partition key: the start in UTC."""
        return self.start.astimezone(UTC).strftime(_KEY_FORMAT)


def window_of_key(key: str, policy: WindowPolicy) -> Window:
    """Return the window that a partition key names."""
    start = datetime.strptime(key, _KEY_FORMAT).replace(tzinfo=UTC)
    return Window(start, start + policy.length)


def last_boundary(time: datetime, policy: WindowPolicy) -> datetime:
    """Return the latest window boundary at or before a time."""
    return policy.anchor + (time - policy.anchor) // policy.length * policy.length


def windows_closed(start: datetime, end: datetime, policy: WindowPolicy) -> Iterator[Window]:
    """Yield the windows that hold `start` or come later and that have ended by `end`."""
    opened = last_boundary(start, policy)
    while opened + policy.length <= end:
        yield Window(opened, opened + policy.length)
        opened += policy.length


def labels_are_complete(
    window: Window, watermark: datetime, policy: WindowPolicy, *, n_rows: int, n_labels: int
) -> bool:
    """Return whether the labels of a window may be judged: it has ended, and they have had their time or are all there.

    Args:
        window: The window.
        watermark: The log is complete until here.
        policy: Names the label horizon.
        n_rows: Predictions of the window.
        n_labels: How many of them have a label.
    """
    if watermark < window.end:
        return False
    return watermark >= window.end + policy.label_horizon or n_labels == n_rows


def snapshot_end(source_end: datetime, watermark: datetime | None, policy: WindowPolicy) -> datetime:
    """Return where a training snapshot ends.

    Source rows are settled. Predictions count up to the last window boundary whose labels have had the label horizon
    to arrive, so that the same moment of the log always gives the same snapshot.

    Args:
        source_end: Just after the newest source row.
        watermark: The log is complete until here; None before the first prediction.
        policy: Window length, anchor and label horizon.
    """
    if watermark is None:
        return source_end
    return max(source_end, last_boundary(watermark - policy.label_horizon, policy))


def holdout_start(end: datetime, policy: TrainingPolicy) -> datetime:
    """Return where the hold-out of a snapshot begins."""
    return end - policy.holdout


def just_after(time: datetime) -> datetime:
    """Return the next representable instant, for half-open ranges that must hold `time`."""
    return time + timedelta(microseconds=1)


def season_windows(window: Window, season: timedelta, *, since: datetime, until: datetime) -> Iterator[Window]:
    """Yield the newest `SEASON_CYCLES` windows of the same phase of the season, the newest first.

    Args:
        window: The one to compare.
        season: Length of the cycle.
        since: Windows that end by then have no rows.
        until: Windows that start after it are too new.
    """
    first = max(1, -((until - window.start) // season))
    for cycle in range(first, first + SEASON_CYCLES):
        earlier = Window(window.start - cycle * season, window.end - cycle * season)
        if earlier.end <= since:
            return
        yield earlier
