"""Labeled history in order of event time, and what of it was known at a moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.performance import Labels
from mlops_assets.core.schema import binary_labels
from mlops_assets.core.snapshots import merge_snapshot
from mlops_assets.core.windows import Window, just_after, season_windows, windows_closed
from mlops_assets.errors import InsufficientDataError
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class History:
    """What a model would have been asked, and when each label became known.

    Attributes:
        spec: The model.
        source: Settled rows: all that is known before the first window.
        rows: The rows to score, in order of event time: those of `ModelSpec.traffic` within the windows.
        windows: The monitoring windows, oldest first.
    """

    spec: ModelSpec
    source: "pd.DataFrame"
    rows: "pd.DataFrame"
    windows: tuple[Window, ...]

    @classmethod
    def of(
        cls, spec: ModelSpec, source: "pd.DataFrame", rows: "pd.DataFrame", *, n_windows: int | None = None
    ) -> "History":
        """Put rows in order and cut them into whole windows.

        Args:
            spec: The model.
            source: As `ModelSpec.source` returns them.
            rows: As `ModelSpec.traffic` returns them, in any order.
            n_windows: At most so many windows, the oldest.

        Raises:
            InsufficientDataError: No row has a label that became known, or the rows do not fill a window.
        """
        if source.empty:
            raise InsufficientDataError(f"{spec.name}: the source returned no rows; check the spec's `source`")
        if rows.empty:
            raise InsufficientDataError(f"{spec.name}: no row to replay comes after the source")
        ordered = rows.sort_values("event_time", kind="stable", ignore_index=True)
        first, last = (ordered["event_time"].iloc[place].to_pydatetime() for place in (0, -1))
        windows = tuple(windows_closed(first, last, spec.windows))[:n_windows]
        if not windows:
            raise InsufficientDataError(
                f"{spec.name}: the history from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} does not fill "
                f"one window of {spec.windows.length}; give it more rows"
            )
        kept = ordered[ordered["event_time"] < windows[-1].end].reset_index(drop=True)
        history = cls(spec, source, kept, windows)
        if not history.labeled.any():
            raise InsufficientDataError(f"{spec.name}: no row of the history has a label; there is nothing to backtest")
        return history

    @cached_property
    def source_end(self) -> datetime:
        """Just after the newest source row."""
        return just_after(self.source["event_time"].max().to_pydatetime())

    @cached_property
    def truth(self) -> Labels:
        """1 where the positive label is true, else 0, shape (n_rows,); meaningless where it never became known."""
        return binary_labels(self.rows[self.spec.label.name], self.spec.label.positive)

    @cached_property
    def labeled(self) -> NDArray[np.bool_]:
        """Whether the label of a row ever became known, shape (n_rows,)."""
        known = self.rows[self.spec.label.name].notna() & self.rows["observed_at"].notna()
        return np.asarray(known, dtype=np.bool_)

    def places(self, start: datetime, end: datetime) -> slice:
        """Return where the rows with event time in [start, end) are."""
        first, last = self.rows["event_time"].searchsorted([start, end], side="left")
        return slice(int(first), int(last))

    def season(self, window: Window, length: timedelta, *, until: datetime) -> "pd.DataFrame":
        """Return the rows of earlier windows of the same phase of the season, `until` included."""
        import pandas as pd

        times = self.source["event_time"]
        parts = [self.source.head(0)]
        for earlier in season_windows(window, length, since=times.min().to_pydatetime(), until=until):
            settled = self.source[(times >= earlier.start) & (times < earlier.end)]
            parts += [settled, self.rows.iloc[self.places(earlier.start, earlier.end)]]
        rows = pd.concat([part for part in parts if not part.empty] or parts, ignore_index=True)
        return rows[rows["event_time"] <= until].drop_duplicates(["entity_key", "event_time"], ignore_index=True)

    def known(self, places: slice, moment: datetime) -> NDArray[np.bool_]:
        """Return which rows had their label before a moment, shape (n_places,)."""
        return np.asarray(self.rows["observed_at"].iloc[places] < moment) & self.labeled[places]

    def snapshot(self, moment: datetime, end: datetime) -> "pd.DataFrame":
        """Return the training snapshot that ends at `end`, with the labels that were known at `moment`.

        Raises:
            InsufficientDataError: No row lies in the training history.
        """
        start = end - self.spec.training.history
        places = self.places(start, end)
        logged = self.rows.iloc[places]
        label = self.spec.label.name
        logged = logged.assign(**{label: logged[label].where(self.known(places, moment), None)})
        return merge_snapshot(self.spec, self.source, logged, start=start, end=end)
