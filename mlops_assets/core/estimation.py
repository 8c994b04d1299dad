"""What accuracy to expect of scores whose labels are not there yet, from probabilities calibrated on the hold-out.

Blind to concept drift: it takes for granted that a score still means what it meant on the hold-out. It sees a
population that moved towards harder or easier rows, and nothing else, and so it informs and never triggers.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.intervals import Estimate, Labels, Scores, clipped, normal_interval


@dataclass(frozen=True)
class Calibration:
    """A rising function from score to probability, linear between its points.

    Attributes:
        scores: Places of the points, ascending, 0 to 1.
        probabilities: Share of positives there on the hold-out, 0 to 1, not falling.
        n_rows: Labeled hold-out rows that it was fitted on.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    n_rows: int

    def to_json(self) -> bytes:
        """Return the document that `from_json` reads."""
        return json.dumps(asdict(self), allow_nan=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Calibration":
        """Read what `to_json` wrote."""
        document: dict[str, Any] = json.loads(content)
        return cls(tuple(document["scores"]), tuple(document["probabilities"]), document["n_rows"])

    def __call__(self, scores: Scores) -> Scores:
        """Return the calibrated probability of the positive label for each score."""
        return np.interp(scores, self.scores, self.probabilities)


def calibrate(scores: Scores, labels: Labels) -> Calibration:
    """Fit an isotonic regression of labels on scores.

    Args:
        scores: The model's probabilities on rows it was not fitted on, shape (n_rows,), n_rows >= 1.
        labels: 1 or 0, shape (n_rows,).

    Source:
        Zadrozny, Elkan (2002), Transforming classifier scores into accurate multiclass probability estimates.
    """
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, labels)
    return Calibration(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()), len(labels))


def estimate_accuracy(
    calibration: Calibration, scores: Scores, positive: NDArray[np.bool_], n_rows: Sequence[int] | Labels
) -> Estimate | None:
    """Return the accuracy to expect of answers, before any label.

    Args:
        calibration: Of the version that answered.
        scores: Its scores, or the mean scores of groups of rows, shape (n_groups,).
        positive: Whether the rows of the group were answered positive, shape (n_groups,).
        n_rows: Rows of each group, shape (n_groups,).

    Returns:
        The mean probability of being right, 0 to 1, with an interval for the chance of this window's labels and of
        the hold-out's; concept drift is not in it. None without rows.

    Source:
        Confidence-based performance estimation: Guillory et al. (2021), Predicting with confidence on unseen
        distributions; the calibrated form as in NannyML.
    """
    weights = np.asarray(n_rows, dtype=np.float64)
    total = float(weights.sum())
    if not total:
        return None
    probability = calibration(scores)
    right = np.where(positive, probability, 1 - probability)
    variance = float(np.average(right * (1 - right), weights=weights))
    value = float(np.average(right, weights=weights))
    return clipped(normal_interval(value, variance * (1 / total + 1 / calibration.n_rows)))
