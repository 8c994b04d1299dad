"""The counts that seasonal features of a window are compared with."""

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mlops_assets.core.profile import CategoryCounts, Counts, NumberCounts, Profile, count

if TYPE_CHECKING:
    import pandas as pd

Counted = TypeVar("Counted", NumberCounts, CategoryCounts)


def count_season(profile: Profile, rows: "pd.DataFrame") -> Counts:
    """Count earlier rows of a window's phase of the season on a profile.

    The history of a feature begins with its first value: rows from before are older than the feature, which is not the
    same as a missing value. They do not count for it.

    Args:
        profile: Of the model in production.
        rows: The features, as far as they were there, and `event_time`.
    """
    counts = count(profile, rows)
    return replace(
        counts,
        numbers={name: _since_first_value(one, rows, name) for name, one in counts.numbers.items()},
        categories={name: _since_first_value(one, rows, name) for name, one in counts.categories.items()},
    )


def _since_first_value(counts: Counted, rows: "pd.DataFrame", name: str) -> Counted:
    times = rows["event_time"]
    known = times[rows[name].notna()] if name in rows.columns else times.head(0)
    n_before = len(times) if known.empty else int((times < known.min()).sum())
    return replace(counts, missing=counts.missing - n_before)
