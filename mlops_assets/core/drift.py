"""From counts to a verdict: statistics of each feature, votes, and whether the window has drifted.

Every function takes counts, so that it does not matter which engine has counted. Nothing here fails on an empty,
constant, wholly missing or infinite feature: what can not be computed is None and does not vote.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from numpy.typing import ArrayLike

from mlops_assets.core.bins import Bins, category_bins, number_bins
from mlops_assets.core.profile import CategoryCounts, CategoryProfile, Counts, NumberCounts, NumberProfile, Profile
from mlops_assets.core.statistics import (
    benjamini_hochberg,
    chi_square,
    jensen_shannon_distance,
    kolmogorov_smirnov,
    population_stability_index,
)
from mlops_assets.spec import DriftPolicy, Feature

Verdict = Literal["drifted", "clean", "insufficient_data"]


@dataclass(frozen=True, kw_only=True)
class FeatureDrift:
    """How far one feature of a window is from the reference.

    Attributes:
        name: The feature.
        kind: A number is tested by Kolmogorov-Smirnov, a category by chi-square.
        ks_statistic: 0 to 1; None for a category, or without a value on either side.
        cramers_v: Effect size of the chi-square test, 0 to 1; None for a number.
        p_value: Of that test, missing values apart for numbers; None if it can not be made.
        adjusted_p_value: After Benjamini-Hochberg over all features with the same `counted`.
        missing_p_value: Of a chi-square test of a number's missing share; None where neither side misses any.
        adjusted_missing_p_value: Adjusted in the same family.
        population_stability_index: In nats, on the reference's ten quantile bins or the frequent categories.
        jensen_shannon_distance: Base 2, 0 to 1, on the same bins.
        jensen_shannon_divergence: Its square, in bits.
        votes: How many of the three methods exceed their threshold, 0 to 3.
        drifted: Whether the votes suffice.
        counted: Whether the spec lets this feature decide about the window.
        seasonal: Whether the spec calls it seasonal.
        missing_share_reference: 0 to 1; a number's NaN are missing.
        missing_share_current: 0 to 1.
        unseen_share: Share of rows on values, or outside the range, that the reference has not.
    """

    name: str
    kind: Literal["number", "category"]
    ks_statistic: float | None = None
    cramers_v: float | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    missing_p_value: float | None = None
    adjusted_missing_p_value: float | None = None
    population_stability_index: float | None = None
    jensen_shannon_distance: float | None = None
    jensen_shannon_divergence: float | None = None
    votes: int = 0
    drifted: bool = False
    counted: bool = True
    seasonal: bool = False
    missing_share_reference: float | None = None
    missing_share_current: float | None = None
    unseen_share: float | None = None


@dataclass(frozen=True)
class WindowDrift:
    """The verdict on one window.

    Attributes:
        verdict: "insufficient_data" is neither drifted nor clean.
        n_rows: Rows of the window.
        features: Every feature, in the order of the spec.
        drifted_features: Names of those that have drifted and count.
        score: The drift of the model's own scores, which does not count; None where the profile has none.
    """

    verdict: Verdict
    n_rows: int
    features: tuple[FeatureDrift, ...]
    drifted_features: tuple[str, ...]
    score: FeatureDrift | None = None


def score_window(
    profile: Profile, counts: Counts, policy: DriftPolicy, features: Sequence[Feature], *, minimum_rows: int = 1000
) -> WindowDrift:
    """Judge one window against the reference.

    Args:
        profile: The reference.
        counts: The window, counted on that profile.
        policy: Thresholds, votes, and the share of drifted features that makes a drifted window.
        features: The spec's features; those that the profile lacks are left out.
        minimum_rows: With fewer rows in the window the verdict is "insufficient_data".
    """
    measured = [_measure(profile, counts, feature) for feature in features if feature.name in profile.by_name]
    judged = _judge(_adjusted(measured), policy)
    drifted = tuple(feature.name for feature in judged if feature.counted and feature.drifted)
    n_counted = sum(feature.counted for feature in judged)
    verdict: Verdict = "clean"
    if counts.n_rows < max(minimum_rows, 1) or profile.n_rows == 0:
        verdict = "insufficient_data"
    elif drifted and len(drifted) / n_counted > policy.drifted_share:
        verdict = "drifted"
    return WindowDrift(verdict, counts.n_rows, tuple(judged), drifted, _score_drift(profile, counts, policy))


def _measure(profile: Profile, counts: Counts, feature: Feature) -> FeatureDrift:
    reference = profile.by_name[feature.name]
    if isinstance(reference, NumberProfile):
        drift = number_drift(reference, counts.numbers[feature.name])
    else:
        drift = category_drift(reference, counts.categories[feature.name])
    return replace(drift, counted=feature.counts_for_drift, seasonal=feature.seasonal)


def number_drift(reference: NumberProfile, current: NumberCounts) -> FeatureDrift:
    """Return the statistics of one number, not adjusted and not judged."""
    bins = number_bins(reference, current)
    statistic, p_value = kolmogorov_smirnov(_axis(reference.counts), _axis(current))
    drift = FeatureDrift(
        name=reference.name,
        kind="number",
        ks_statistic=statistic,
        p_value=p_value,
        missing_p_value=_missing_p_value(bins),
        unseen_share=_share(_outside(current), bins.n_current),
    )
    return _with_effects(drift, bins)


def category_drift(reference: CategoryProfile, current: CategoryCounts) -> FeatureDrift:
    """Return the statistics of one category, not adjusted and not judged."""
    bins = category_bins(reference, current)
    effect, p_value = chi_square(bins.reference, bins.current)
    drift = FeatureDrift(
        name=reference.name,
        kind="category",
        cramers_v=effect,
        p_value=p_value,
        unseen_share=_share(current.unseen, bins.n_current),
    )
    return _with_effects(drift, bins)


def _with_effects(drift: FeatureDrift, bins: Bins) -> FeatureDrift:
    distance = jensen_shannon_distance(bins.reference, bins.current)
    return replace(
        drift,
        population_stability_index=population_stability_index(bins.reference, bins.current),
        jensen_shannon_distance=distance,
        jensen_shannon_divergence=None if distance is None else distance**2,
        missing_share_reference=_share(bins.missing_reference, bins.n_reference),
        missing_share_current=_share(bins.missing_current, bins.n_current),
    )


def _adjusted(features: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """Adjust the p-values of counted and of other features as two families."""
    adjusted = list(features)
    for family in (True, False):
        places = [place for place, feature in enumerate(features) if feature.counted is family]
        p_values = [p for i in places for p in (features[i].p_value, features[i].missing_p_value)]
        corrected = iter(benjamini_hochberg(p_values))
        for place in places:
            adjusted[place] = replace(
                features[place], adjusted_p_value=next(corrected), adjusted_missing_p_value=next(corrected)
            )
    return adjusted


def _judge(features: Sequence[FeatureDrift], policy: DriftPolicy) -> list[FeatureDrift]:
    votes = [_votes(feature, policy) for feature in features]
    return [replace(f, votes=n, drifted=n >= policy.votes) for f, n in zip(features, votes, strict=True)]


def _votes(feature: FeatureDrift, policy: DriftPolicy) -> int:
    """Count votes as integers: numpy's bool + bool is an OR."""
    p_values = [p for p in (feature.adjusted_p_value, feature.adjusted_missing_p_value) if p is not None]
    index, distance = feature.population_stability_index, feature.jensen_shannon_distance
    return sum(
        (
            int(any(p < policy.ks_p_value for p in p_values)),
            int(index is not None and index > policy.population_stability_index),
            int(distance is not None and distance > policy.jensen_shannon_distance),
        )
    )


def _score_drift(profile: Profile, counts: Counts, policy: DriftPolicy) -> FeatureDrift | None:
    if profile.score is None or counts.score is None:
        return None
    uncounted = replace(number_drift(profile.score, counts.score), counted=False)
    return _judge(_adjusted([uncounted]), policy)[0]


def _axis(counts: NumberCounts) -> ArrayLike:
    """Return the counts along the whole axis, infinities at its ends."""
    return (counts.negative_infinity, *counts.slots, counts.positive_infinity)


def _outside(counts: NumberCounts) -> int:
    ends = counts.slots[0] + counts.slots[-1] if len(counts.slots) > 1 else counts.slots[0]
    return ends + counts.negative_infinity + counts.positive_infinity


def _missing_p_value(bins: Bins) -> float | None:
    if not (bins.missing_reference or bins.missing_current):
        return None
    reference = (bins.missing_reference, bins.n_reference - bins.missing_reference)
    current = (bins.missing_current, bins.n_current - bins.missing_current)
    return chi_square(reference, current)[1]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
