"""How far one feature of a window is from the reference: every statistic, not yet judged.

What can not be computed (an empty sample, a feature without a value, a reference without spread) is None.
"""

from dataclasses import dataclass
from typing import Any, Literal

from mlops_assets.core.bins import Bins, axis, axis_bins, category_bins, number_reference
from mlops_assets.core.profile import CategoryCounts, CategoryProfile, NumberCounts, NumberProfile
from mlops_assets.core.statistics import (
    chi_square,
    jensen_shannon_distance,
    kolmogorov_smirnov,
    population_stability_index,
    wasserstein_distance,
)

Reference = Literal["training", "season"]


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """How far one feature of a window is from the reference.

    Attributes:
        name: The feature.
        kind: A number is tested by Kolmogorov-Smirnov, a category by chi-square.
        reference: "training" is the model's profile; "season" the rows of the same phase of the season.
        ks_statistic: 0 to 1; None for a category, or without a value on either side.
        cramers_v: Effect size of the chi-square test, 0 to 1; None for a number.
        p_value: Of that test, missing values apart for numbers; None if it can not be made.
        adjusted_p_value: After Benjamini-Hochberg over all features with the same `counted`.
        missing_p_value: Of a chi-square test of a number's missing share; None where neither side misses any.
        adjusted_missing_p_value: Adjusted in the same family.
        population_stability_index: In nats, on the reference's ten quantile bins or the frequent categories.
        jensen_shannon_distance: Base 2, 0 to 1, on the same bins.
        jensen_shannon_divergence: Its square, in bits.
        wasserstein_distance: Of finite numbers, in standard deviations of the reference; None for a category. It does
            not vote: one extreme value of a heavy tail moves it.
        votes: How many of the three methods exceed their threshold, 0 to 3.
        drifted: Whether the policy's rule says so.
        counted: Whether the feature decides about the window.
        seasonal: Whether the spec calls it seasonal.
        missing_share_reference: 0 to 1; a number's NaN are missing.
        missing_share_current: 0 to 1.
        missing_share_change: The latter less the former.
        unseen_share: Share of rows on values, or outside the range, that the reference has not.
    """

    name: str
    kind: Literal["number", "category"]
    reference: Reference = "training"
    ks_statistic: float | None = None
    cramers_v: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    missing_p_value: float | None = None
    adjusted_missing_p_value: float | None = None
    population_stability_index: float | None = None
    jensen_shannon_distance: float | None = None
    jensen_shannon_divergence: float | None = None
    wasserstein_distance: float | None = None
    votes: int = 0
    drifted: bool = False
    counted: bool = True
    seasonal: bool = False
    missing_share_reference: float | None = None
    missing_share_current: float | None = None
    missing_share_change: float | None = None
    unseen_share: float | None = None


def number_drift(profile: NumberProfile, current: NumberCounts) -> FeatureDrift:
    """Return the statistics of one number, not adjusted and not judged."""
    reference, actual = number_reference(profile), axis(current)
    bins = axis_bins(reference, current, actual)
    statistic, p_value = kolmogorov_smirnov(reference.axis, actual)
    known_infinities = int(actual[[0, -1]] @ (reference.axis[[0, -1]] > 0))
    inside = int(actual[2:-2].sum()) + known_infinities
    return FeatureDrift(
        name=profile.name,
        kind="number",
        ks_statistic=statistic,
        p_value=p_value,
        missing_p_value=_missing_p_value(bins),
        wasserstein_distance=wasserstein_distance(reference.places, reference.axis[1:-1], actual[1:-1]),
        unseen_share=_share(bins.n_current - bins.missing_current - inside, bins.n_current),
        **_shared_statistics(bins),
    )


def category_drift(profile: CategoryProfile, current: CategoryCounts) -> FeatureDrift:
    """Return the statistics of one category, not adjusted and not judged."""
    bins = category_bins(profile, current)
    effect, p_value = chi_square(bins.reference, bins.current)
    return FeatureDrift(
        name=profile.name,
        kind="category",
        cramers_v=effect,
        p_value=p_value,
        unseen_share=_share(current.unseen, bins.n_current),
        **_shared_statistics(bins),
    )


def _shared_statistics(bins: Bins) -> dict[str, Any]:
    distance = jensen_shannon_distance(bins.reference, bins.current)
    before = _share(bins.missing_reference, bins.n_reference)
    now = _share(bins.missing_current, bins.n_current)
    return {
        "population_stability_index": population_stability_index(bins.reference, bins.current),
        "jensen_shannon_distance": distance,
        "jensen_shannon_divergence": None if distance is None else distance**2,
        "missing_share_reference": before,
        "missing_share_current": now,
        "missing_share_change": None if before is None or now is None else now - before,
    }


def _missing_p_value(bins: Bins) -> float | None:
    if not (bins.missing_reference or bins.missing_current):
        return None
    reference = (bins.missing_reference, bins.n_reference - bins.missing_reference)
    current = (bins.missing_current, bins.n_current - bins.missing_current)
    return chi_square(reference, current)[1]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
