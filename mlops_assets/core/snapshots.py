"""Rows of a training snapshot, whether they can be trained on, and the hold-out that nobody has seen.

The assets of the live loop and the backtest both call these.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.core.windows import holdout_start
from mlops_assets.errors import InsufficientDataError, LabelHealthError
from mlops_assets.spec import ModelSpec, TrainingPolicy

if TYPE_CHECKING:
    import pandas as pd


def merge_snapshot(
    spec: ModelSpec, settled: "pd.DataFrame", logged: "pd.DataFrame", *, start: datetime, end: datetime
) -> "pd.DataFrame":
    """Return the rows of [start, end), one per entity and event time, with `taken_from`: "source" or "prediction".

    Args:
        spec: Names the features and the label.
        settled: Source rows; of two rows on one entity and event time they stay.
        logged: Scored rows with the labels that are known now. Those that miss a feature which must not be missing are
            left out: they were answered before the spec had it.
        start: Of the training history.
        end: Of the snapshot.

    Raises:
        InsufficientDataError: No row lies there.
    """
    import pandas as pd

    columns = [*spec.feature_names, spec.label.name, "event_time", "entity_key"]
    required = [feature.name for feature in spec.features if not feature.nullable]
    answered = logged[columns].dropna(subset=required)
    parts = (settled[columns].assign(taken_from="source"), answered.assign(taken_from="prediction"))
    filled = [part for part in parts if not part.empty]
    frame = pd.concat(filled, ignore_index=True) if filled else parts[0]
    frame = frame[(frame["event_time"] >= start) & (frame["event_time"] < end)]
    frame = frame.sort_values(["event_time", "entity_key", "taken_from"], kind="stable", ignore_index=True)
    frame = frame.drop_duplicates(["entity_key", "event_time"], keep="last", ignore_index=True)
    if frame.empty:
        raise InsufficientDataError(f"{spec.name}: no row lies in the {spec.training.history} before {end}")
    return frame


def check_label_health(labels: "pd.Series[str]", policy: TrainingPolicy) -> dict[str, float]:
    """Return the label figures of a snapshot.

    Raises:
        LabelHealthError: Too few labelled rows, too many missing labels, or one class too rare.
    """
    known = labels.dropna()
    missing_share = float(labels.isna().mean())
    minority_share = float(known.value_counts(normalize=True).min()) if known.nunique() > 1 else 0.0
    if len(known) < policy.minimum_rows:
        raise LabelHealthError(f"{len(known)} labelled rows; at least {policy.minimum_rows} are needed")
    if missing_share > policy.maximum_null_label_share:
        raise LabelHealthError(
            f"{missing_share:.1%} of the labels are missing; at most {policy.maximum_null_label_share:.0%} may be"
        )
    if minority_share < policy.minimum_minority_share:
        raise LabelHealthError(
            f"the rarer class has {minority_share:.1%} of the labels; "
            f"at least {policy.minimum_minority_share:.0%} are needed"
        )
    return {"labelled_rows": len(known), "missing_label_share": missing_share, "minority_share": minority_share}


def untouched_holdout(
    spec: ModelSpec, snapshot: "pd.DataFrame", *, end: datetime, tuned_until: Iterable[datetime]
) -> "tuple[pd.DataFrame, float]":
    """Return the labelled hold-out rows, and the share of positives before them (the constant predictor's prior).

    Args:
        spec: The model.
        snapshot: Its rows.
        end: Of the snapshot.
        tuned_until: The last row that each of the models was fitted or tuned on; the hold-out is later than all.
    """
    labelled = snapshot[snapshot[spec.label.name].notna()]
    start = holdout_start(end, spec.training)
    later = (labelled["event_time"] >= start) & (labelled["event_time"] > max(tuned_until))
    before = labelled[labelled["event_time"] < start]
    return labelled[later], float((before[spec.label.name] == spec.label.positive).mean())
