"""Performance apart for each value of a category: a mean over all rows hides who pays for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlops_assets.core.intervals import Estimate, Labels
from mlops_assets.core.performance import Performance, evaluate, further_intervals

if TYPE_CHECKING:
    import pandas as pd

MAXIMUM_VALUES = 20
MINIMUM_ROWS = 100
MISSING = "(missing)"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The labeled rows that share one value of one feature."""

    feature: str
    value: str
    performance: Performance
    intervals: dict[str, Estimate]

    @property
    def name(self) -> str:
        """Feature and value, as the lake names the slice."""
        return f"{self.feature}={self.value}"


def measure_slices(
    labeled: "pd.DataFrame", labels: Labels, features: Sequence[str], *, threshold: float, prior: float
) -> tuple[Slice, ...]:
    """Measure the values of each feature that have enough rows, the most frequent first.

    Args:
        labeled: Labeled rows with a finite `score` and the features.
        labels: 1 or 0 for each, shape (n_rows,).
        features: Names of categories.
        threshold: Probability from which the answer is positive.
        prior: Share of positives that the constant predictor answers with.

    Returns:
        At most 20 values a feature, each with at least 100 rows; fewer say little about a metric, and a feature can
        have any number of values. A feature that no row has is left out: it is newer than the window.
    """
    slices = []
    scores = labeled["score"].to_numpy(dtype=float)
    for feature in features:
        if feature not in labeled.columns or labeled[feature].isna().all():
            continue
        values = labeled[feature].astype(object)
        values = values.where(values.notna() & (values != ""), MISSING)
        counted = values.value_counts()
        shown = sorted(counted[counted >= MINIMUM_ROWS].items(), key=lambda entry: (-entry[1], str(entry[0])))
        for value, _ in shown[:MAXIMUM_VALUES]:
            rows = (values == value).to_numpy()
            measured = evaluate(scores[rows], labels[rows], threshold=threshold, prior=prior)
            intervals = further_intervals(measured, scores[rows], labels[rows], threshold=threshold)
            slices.append(Slice(feature=feature, value=str(value), performance=measured, intervals=intervals))
    return tuple(slices)
