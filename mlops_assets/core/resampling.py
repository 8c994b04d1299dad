"""Bootstrap intervals of the metrics that have no closed form, at a cost that does not grow with the rows.

Rows are counted in cells of similar score, apart for each label; a bootstrap sample of the rows is then one draw of a
multinomial over the cells. The bounds of the reliability bins are bounds of cells too, so that the bins are exact; only
the order inside a cell is lost, which widens or narrows no interval that anyone can see.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.intervals import (
    Estimate,
    Labels,
    Scores,
    clipped,
    effective_rows,
    normal_interval,
    share_interval,
)
from mlops_assets.core.reliability import N_BINS, bin_bounds

N_CELLS = 200
N_SAMPLES = 400
SEED = 20130101

Table = NDArray[np.float64]


@dataclass(frozen=True)
class _Cells:
    """Rows counted by score, ascending: bounds of cells, mean score, and counts by label, shape (n_cells,) each."""

    lower: Scores
    score: Scores
    positives: Table
    negatives: Table


def bootstrap_intervals(
    pr_auc: float | None, calibration_error: float, scores: Scores, labels: Labels
) -> dict[str, Estimate]:
    """Return the area under the precision-recall curve and the calibration error with bootstrap intervals.

    Args:
        pr_auc: As measured on all rows; left out if it is undefined (None).
        calibration_error: As measured on all rows.
        scores: Probability of the positive label, shape (n_rows,), 0 to 1.
        labels: 1 or 0, shape (n_rows,).

    Returns:
        By the variance of 400 seeded samples, whose root is then known to about 4 %. That of the area says how many
        positives it is worth, and these its Wilson interval; the calibration error has 1.96 standard errors on both
        sides, clipped to 0 to 1, and with fewer rows than two a bin all of 0 to 1.

    Source:
        Efron, Tibshirani (1993), An introduction to the bootstrap, chapters 6 and 13; positives as the rows of the
        area as in Boyd, Eng, Page (2013), Area under the precision-recall curve.
    """
    cells = _count(scores, labels)
    counts = np.concatenate([cells.positives, cells.negatives])
    drawn = np.random.default_rng(SEED).multinomial(len(scores), counts / counts.sum(), size=N_SAMPLES)
    positives, negatives = drawn[:, : len(cells.lower)].astype(float), drawn[:, len(cells.lower) :].astype(float)
    errors = _calibration_error(positives, negatives, cells, bin_bounds(scores))
    enough = len(scores) >= 2 * N_BINS
    interval = clipped(normal_interval(calibration_error, float(errors.var(ddof=1)) if enough else np.inf))
    intervals = {"calibration_error": interval}
    if pr_auc is not None:
        areas, n_positives, largest = _average_precision(positives, negatives), int(labels.sum()), pr_auc * (1 - pr_auc)
        spread = n_positives * float(areas.var(ddof=1)) / largest if largest else 0.0
        intervals["pr_auc"] = share_interval(pr_auc, effective_rows(n_positives, spread))
    return intervals


def _count(scores: Scores, labels: Labels) -> _Cells:
    quantiles = np.quantile(scores, np.linspace(0, 1, N_CELLS + 1)[1:-1], method="inverted_cdf")
    bounds = np.unique(np.concatenate([quantiles, bin_bounds(scores)]))
    place = np.searchsorted(bounds, scores, side="right")
    n_cells = len(bounds) + 1
    rows = np.bincount(place, minlength=n_cells).astype(np.float64)
    sums = np.bincount(place, weights=scores, minlength=n_cells)
    positives: Table = np.bincount(place[labels == 1], minlength=n_cells).astype(np.float64)
    filled = rows > 0
    lower = np.concatenate([[-np.inf], bounds])[filled]
    return _Cells(lower, sums[filled] / rows[filled], positives[filled], (rows - positives)[filled])


def _average_precision(positives: Table, negatives: Table) -> Scores:
    """Return one value a sample, 0 for a sample without a positive row."""
    found = positives[:, ::-1].cumsum(axis=1)
    looked_at = (positives + negatives)[:, ::-1].cumsum(axis=1)
    gained = positives[:, ::-1] / np.maximum(positives.sum(axis=1, keepdims=True), 1)
    values: Scores = (gained * found / np.maximum(looked_at, 1)).sum(axis=1)
    return values


def _calibration_error(positives: Table, negatives: Table, cells: _Cells, bounds: Scores) -> Scores:
    place = np.searchsorted(bounds, cells.lower, side="right")
    gaps = positives - (positives + negatives) * cells.score
    sums = np.stack([gaps[:, place == number].sum(axis=1) for number in np.unique(place)])
    values: Scores = np.abs(sums).sum(axis=0) / (positives + negatives).sum(axis=1)
    return values
