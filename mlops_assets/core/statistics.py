"""The statistics of drift, each from the counts of two samples in the same bins."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

PSEUDO_COUNT = 0.5


def population_stability_index(reference: ArrayLike, current: ArrayLike) -> float | None:
    """Return the population stability index of two binned samples.

    Args:
        reference: Counts, shape (n_bins,), missing values in their own bin.
        current: Counts in the same bins.

    Returns:
        PSI in nats, >= 0; half a row is added to every bin that either sample has, so that an empty one stays finite.
        None if a sample is empty. Without drift its expectation is about
        (n_bins - 1) * (1 / n_reference + 1 / n_current): a threshold below that fires on noise.

    Source:
        Jeffreys (1946), An invariant form for the prior probability; bins as in credit scoring (Siddiqi, 2006).

    Example:
        >>> round(population_stability_index([500, 500], [800, 200]), 3)
        0.415
    """
    expected, actual = _counts(reference), _counts(current)
    if not expected.sum() or not actual.sum():
        return None
    kept = (expected + actual) > 0
    p = _shares(expected[kept] + PSEUDO_COUNT)
    q = _shares(actual[kept] + PSEUDO_COUNT)
    return float(np.sum((q - p) * np.log(q / p)))


def jensen_shannon_distance(reference: ArrayLike, current: ArrayLike) -> float | None:
    """Return the Jensen-Shannon distance, base 2: the square root of the divergence.

    Args:
        reference: Counts, shape (n_bins,).
        current: Counts in the same bins.

    Returns:
        0 (equal shares) to 1 (no bin in common); None if a sample is empty.

    Source:
        Endres, Schindelin (2003), A new metric for probability distributions.

    Example:
        >>> jensen_shannon_distance([7, 0], [0, 3])
        1.0
    """
    p, q = _counts(reference), _counts(current)
    if not p.sum() or not q.sum():
        return None
    p, q = _shares(p), _shares(q)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike) -> tuple[float | None, float | None]:
    """Return the two-sample Kolmogorov-Smirnov statistic and its p-value, from counts along an axis.

    Args:
        reference: Counts in ascending slots, shape (n_slots,), without missing values.
        current: Counts in the same slots.

    Returns:
        The largest distance of the two distribution functions at the slots' bounds, 0 to 1, and its asymptotic
        two-sided p-value, which assumes independent rows; None and None if a sample is empty. From 100 rows on it is
        within 0.012, and below 0.1 within 3 %, of that of SciPy's `ks_2samp(method="asymp")`, which sums as many terms
        as there are rows: seconds a feature at a million.

    Source:
        Hodges (1958); the p-value by Stephens (1970), Use of the Kolmogorov-Smirnov, Cramer-Von Mises and related
        statistics without extensive tables.
    """
    from scipy.special import kolmogorov

    expected, actual = _counts(reference), _counts(current)
    n, m = expected.sum(), actual.sum()
    if not n or not m:
        return None, None
    statistic = float(np.max(np.abs(np.cumsum(expected) / n - np.cumsum(actual) / m)))
    root = np.sqrt(n * m / (n + m))
    return statistic, float(kolmogorov((root + 0.12 + 0.11 / root) * statistic))


def wasserstein_distance(edges: ArrayLike, reference: ArrayLike, current: ArrayLike) -> float | None:
    """Return the first Wasserstein distance in standard deviations of the reference, from counts on its edges.

    Args:
        edges: Ascending and distinct, shape (n_edges,); the outer ones are the range of the reference.
        reference: Counts of finite values in the slots of the edges, shape (2 n_edges + 1,).
        current: Counts in the same slots.

    Returns:
        >= 0; None if a sample is empty or the reference has no spread. Rows between two edges are taken as evenly
        spread there, and rows outside the range as lying at its ends: with such rows it is a lower bound, and their
        share says how much of the window it does not see. On the edges of a profile of 20,000 rows it is within 1 % of
        the exact one for light tails, 5 % for t(3) and lognormal(1), 25 % for t(2) and lognormal(2); where the variance
        is infinite (Cauchy), a few rows decide it and its deviation alike, and it says little.

    Source:
        Vallender (1974), Calculation of the Wasserstein distance between probability distributions on the line.
    """
    expected, actual = _counts(reference), _counts(current)
    places = np.asarray(edges, dtype=np.float64)
    if not expected.sum() or not actual.sum() or places.min() == places.max():
        return None
    # Scaled before it is centered: the difference of two finite edges may be infinite.
    places = places / np.abs(places).max()
    places -= places[len(places) // 2]
    difference = np.cumsum(_shares(expected)) - np.cumsum(_shares(actual))
    widths = np.diff(places)
    distance = np.sum(widths * _mean_size(difference[1:-2:2], difference[2:-1:2]))
    spread = _standard_deviation(places, _shares(expected))
    return float(distance / spread) if spread > 0 else None


def chi_square(reference: ArrayLike, current: ArrayLike) -> tuple[float | None, float | None]:
    """Test whether two binned samples have the same shares.

    Args:
        reference: Counts, shape (n_bins,).
        current: Counts in the same bins.

    Returns:
        Cramer's V, 0 to 1, and the p-value of Pearson's chi-square test without continuity correction; 0 and 1 if
        all rows are in one bin, None and None if a sample is empty.

    Source:
        Pearson (1900); Cramer (1946), Mathematical methods of statistics, section 21.9.
    """
    from scipy.special import chdtrc

    table = np.stack([_counts(reference), _counts(current)])
    rows = table.sum(axis=1, keepdims=True)
    if not rows.all():
        return None, None
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    total = table.sum()
    expected = rows * table.sum(axis=0) / total
    statistic = float(((table - expected) ** 2 / expected).sum())
    return float(np.sqrt(min(statistic / total, 1.0))), float(chdtrc(table.shape[1] - 1, statistic))


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted for the false discovery rate, in the given order.

    Args:
        p_values: Each 0 to 1; None is no test, stays None and does not count.

    Returns:
        Rejecting where the adjusted value is below q keeps the expected share of false rejections at q or below.

    Source:
        Benjamini, Hochberg (1995), Controlling the false discovery rate.

    Example:
        >>> benjamini_hochberg([0.01, None, 0.04])
        [0.02, None, 0.04]
    """
    known = np.array([p for p in p_values if p is not None], dtype=np.float64)
    order = np.argsort(known)[::-1]
    ranks = np.arange(len(known), 0, -1)
    adjusted = np.empty_like(known)
    adjusted[order] = np.minimum.accumulate(np.minimum(known[order] * len(known) / ranks, 1.0))
    values = iter(adjusted.tolist())
    return [None if p is None else next(values) for p in p_values]


def _counts(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = counts / counts.sum()
    return shares


def _relative_entropy(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    held = p > 0
    return float(np.sum(p[held] * np.log2(p[held] / q[held])))


def _mean_size(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean absolute value of lines that run from left to right, which may cross zero."""
    sizes = np.abs(left) + np.abs(right)
    crossing = left * right < 0
    means: NDArray[np.float64] = sizes / 2
    means[crossing] = (left[crossing] ** 2 + right[crossing] ** 2) / (2 * sizes[crossing])
    return means


def _standard_deviation(places: NDArray[np.float64], shares: NDArray[np.float64]) -> float:
    """Return the spread of shares in the slots of edges, rows outside the edges taken as lying on them."""
    at = shares[1::2].copy()
    at[0] += shares[0]
    at[-1] += shares[-1]
    between, middles, widths = shares[2:-1:2], (places[1:] + places[:-1]) / 2, np.diff(places)
    mean = at @ places + between @ middles
    variance = at @ (places - mean) ** 2 + between @ ((middles - mean) ** 2 + widths**2 / 12)
    return float(np.sqrt(variance))
