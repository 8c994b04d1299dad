"""How plausible the columns of a data set are: shares of missing and of extreme values."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlops_assets.spec import DataQualityPolicy, ModelSpec

if TYPE_CHECKING:
    import pandas as pd

EXTREME_Z = 3.0


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """One feature: shares of all its rows, 0 to 1; None for a category's extremes, and without rows.

    Attributes:
        name: The feature.
        missing_share: NULL, NaN, or for a category "".
        extreme_share: Infinite, or more than three standard deviations from the mean.
        suspicious: Whether a share is over its limit.
    """

    name: str
    missing_share: float | None
    extreme_share: float | None
    suspicious: bool


def measure_quality(frame: "pd.DataFrame", spec: ModelSpec) -> tuple[ColumnQuality, ...]:
    """Measure every feature of a data set.

    Args:
        frame: Rows with the features.
        spec: Names the features and the limits.
    """
    measured = []
    for number in spec.numbers:
        values = frame[number.name].to_numpy(dtype=np.float64, na_value=np.nan)
        missing = float(np.isnan(values).mean()) if len(values) else None
        measured.append(_judged(number.name, missing, extreme_share(values), spec.quality))
    for category in spec.categories:
        column = frame[category.name]
        missing = float((column.isna() | (column == "")).mean()) if len(column) else None
        measured.append(_judged(category.name, missing, None, spec.quality))
    return tuple(measured)


def extreme_share(values: NDArray[np.float64]) -> float | None:
    """Return the share of values that are infinite or more than three standard deviations from the mean.

    Args:
        values: Shape (n_rows,), NaN where missing; mean and deviation are those of the finite ones.

    Returns:
        0 to 1, of all that are not missing; None if all are. At most a ninth of finite values by Chebyshev's
        inequality, 0.0027 of normal ones, 0 of constant ones.

    Example:
        >>> extreme_share(np.array([0.0] * 99 + [50.0, np.nan]))
        0.01
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    finite = known[np.isfinite(known)]
    n_extreme = len(known) - len(finite)
    if len(finite) and finite.min() < finite.max():
        # Squares of large values would overflow.
        scaled = finite / np.abs(finite).max()
        n_extreme += int((np.abs(scaled - scaled.mean()) > EXTREME_Z * scaled.std()).sum())
    return n_extreme / len(known)


def _judged(name: str, missing: float | None, extreme: float | None, policy: DataQualityPolicy) -> ColumnQuality:
    suspicious = (missing or 0.0) > policy.maximum_missing_share or (extreme or 0.0) > policy.maximum_extreme_share
    return ColumnQuality(name, missing, extreme, suspicious)
