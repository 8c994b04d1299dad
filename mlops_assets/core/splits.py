"""Rows cut in time: a snapshot into train, validation and hold-out, and the former two into expanding folds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.pipelines import pipeline_input
from mlops_assets.core.schema import frame_matrices
from mlops_assets.errors import InsufficientDataError
from mlops_assets.spec import ModelSpec, TrainingPolicy

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_CLASS_ROWS = 10
MINIMUM_FOLD_ROWS = 20


@dataclass(frozen=True)
class Split:
    """Rows in three parts that follow each other in event time.

    Attributes:
        train: Fitted on.
        validation: Judges the search; fitted on at last.
        holdout: For the gate alone.
    """

    train: "pd.DataFrame"
    validation: "pd.DataFrame"
    holdout: "pd.DataFrame"

    @property
    def tuned_until(self) -> datetime:
        """Event time of the last row that is fitted or tuned on."""
        newest: datetime = self.validation["event_time"].max().to_pydatetime()
        return newest


@dataclass(frozen=True)
class LabeledRows:
    """Labeled rows as a pipeline reads them, in order of time; labels are 1 for the positive one."""

    features: "pd.DataFrame"
    labels: NDArray[np.int_]

    def part(self, chosen: NDArray[np.bool_]) -> "LabeledRows":
        """Return the chosen rows."""
        return LabeledRows(self.features[chosen], self.labels[chosen])

    @property
    def n_rarer(self) -> int:
        """Rows of the rarer class."""
        return int(min(self.labels.sum(), len(self.labels) - self.labels.sum()))


@dataclass(frozen=True)
class Fold:
    """What one fold is fitted on, and the later rows that judge it."""

    train: LabeledRows
    validation: LabeledRows


def split(frame: "pd.DataFrame", policy: TrainingPolicy, *, end: datetime | None = None) -> Split:
    """Cut a snapshot into train, validation and hold-out.

    Args:
        frame: Rows with `event_time`, in any order.
        policy: Lengths of the whole, the hold-out and the validation part.
        end: Where the snapshot ends; rows at or after it are left out. Without it, just after the newest row.

    Returns:
        The parts in order of time, half-open: [end - history, ...), [..., ...), [end - holdout, end).

    Raises:
        InsufficientDataError: The frame is empty, or train or validation is.
    """
    if frame.empty:
        raise InsufficientDataError("the snapshot has no rows to split")
    ordered = frame.sort_values("event_time", kind="stable", ignore_index=True)
    times = ordered["event_time"]
    end = end or times.iloc[-1] + timedelta(microseconds=1)
    cuts = (end - policy.history, end - policy.holdout - policy.validation, end - policy.holdout, end)
    train, validation, holdout = (
        ordered[(times >= start) & (times < stop)].reset_index(drop=True) for start, stop in pairwise(cuts)
    )
    for name, part in (("training", train), ("validation", validation)):
        if part.empty:
            raise InsufficientDataError(
                f"no rows for {name}: the snapshot is {times.iloc[0]:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}, "
                f"hold-out and validation take the last {policy.holdout + policy.validation}"
            )
    return Split(train, validation, holdout)


def expanding_folds(train: "pd.DataFrame", validation: "pd.DataFrame", spec: ModelSpec) -> Iterator[Fold]:
    """Yield expanding folds, oldest first; the last one is train against validation, too small ones are left out.

    Raises:
        InsufficientDataError: The last one is too small, or validation is not later than train.
    """
    import pandas as pd

    policy, label = spec.training, spec.label.name
    if train.empty or validation.empty or train["event_time"].max() >= validation["event_time"].min():
        raise InsufficientDataError("the validation rows must exist and be later than the training rows")
    start = validation["event_time"].min()
    both = pd.concat([train, validation], ignore_index=True)
    both = both[both[label].notna()].sort_values("event_time", kind="stable", ignore_index=True)
    rows, times = labeled_rows(both, spec), both["event_time"]
    for back in range(policy.folds - 1, -1, -1):
        cut = start - back * policy.validation
        later = times >= cut if back == 0 else (times >= cut) & (times < cut + policy.validation)
        fold = Fold(rows.part((times < cut).to_numpy()), rows.part(later.to_numpy()))
        if back == 0:
            require_both_classes(fold.train, "training")
            require_both_classes(fold.validation, "validation", minimum=1)
            yield fold
        elif fold.train.n_rarer >= MINIMUM_CLASS_ROWS and len(fold.validation.labels) >= MINIMUM_FOLD_ROWS:
            yield fold


def labeled_rows(frame: "pd.DataFrame", spec: ModelSpec) -> LabeledRows:
    """Return the rows of a frame that have a label, in its order."""
    labeled = frame[frame[spec.label.name].notna()]
    labels = (labeled[spec.label.name] == spec.label.positive).to_numpy().astype(np.int_)
    return LabeledRows(pipeline_input(*frame_matrices(labeled, spec.contract)), labels)


def require_both_classes(rows: LabeledRows, name: str, *, minimum: int = MINIMUM_CLASS_ROWS) -> None:
    """Refuse rows that can not be learned from.

    Raises:
        InsufficientDataError: A class has fewer rows than the minimum, or no feature has a value.
    """
    if rows.features.isna().all(axis=None):
        raise InsufficientDataError(f"no feature has a value in the rows for {name}")
    if rows.n_rarer < minimum:
        raise InsufficientDataError(
            f"{len(rows.labels)} labeled rows for {name}, {rows.n_rarer} of the rarer class; {minimum} are needed"
        )
