"""How many of a window's labels have come, and how long they took."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class LabelArrival:
    """Coverage and delay of labels.

    Attributes:
        n_rows: Predictions.
        n_labels: How many of them have a label.
        coverage: Their share, 0 to 1; None without predictions.
        delay_median_seconds: From the event to the label that counts, a correction's for a corrected one.
        delay_p90_seconds: Nine of ten labels take no longer; None without labels.
    """

    n_rows: int
    n_labels: int
    coverage: float | None
    delay_median_seconds: float | None
    delay_p90_seconds: float | None


def measure_labels(n_rows: int, delays_seconds: NDArray[np.float64]) -> LabelArrival:
    """Measure the labels of one window.

    Args:
        n_rows: Predictions.
        delays_seconds: Of the labels that have come, shape (n_labels,).
    """
    n_labels = len(delays_seconds)
    middle, most = np.quantile(delays_seconds, [0.5, 0.9]).tolist() if n_labels else (None, None)
    return LabelArrival(n_rows, n_labels, n_labels / n_rows if n_rows else None, middle, most)
