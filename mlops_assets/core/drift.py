"""From counts to a verdict: statistics of each feature, the policy's rule, and whether the window has drifted.

Every function takes counts, so that it does not matter which engine has counted. Nothing here fails on an empty,
constant, wholly missing or infinite feature: what can not be computed is None and does not vote.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mlops_assets.core.feature_drift import FeatureDrift, category_drift, number_drift
from mlops_assets.core.profile import CategoryCounts, Counts, NumberCounts, NumberProfile, Profile
from mlops_assets.core.statistics import benjamini_hochberg
from mlops_assets.spec import DriftPolicy, Feature

Verdict = Literal["drifted", "clean", "insufficient_data"]
VOTES_NEEDED = {"any": 1, "all": 3}


@dataclass(frozen=True)
class WindowDrift:
    """The verdict on one window.

    Attributes:
        verdict: "insufficient_data" (too few rows, or no feature that counts) is neither drifted nor clean.
        n_rows: Rows of the window.
        features: Every feature, in the order of the spec.
        drifted_features: Names of those that have drifted and count; none of a window that is not judged.
        score: The drift of the model's own scores, which does not count; None where the profile has none.
        label: The drift of its decisions, likewise.
    """

    verdict: Verdict
    n_rows: int
    features: tuple[FeatureDrift, ...]
    drifted_features: tuple[str, ...]
    score: FeatureDrift | None = None
    label: FeatureDrift | None = None

    @property
    def ranked(self) -> tuple[FeatureDrift, ...]:
        """The features by strength: drifted ones first, then by Jensen-Shannon distance, then by name."""
        return tuple(sorted(self.features, key=_weakness))

    @property
    def predictions(self) -> tuple[FeatureDrift, ...]:
        """Score and label, as far as they were measured."""
        return tuple(drift for drift in (self.score, self.label) if drift is not None)


def score_window(
    profile: Profile,
    counts: Counts,
    policy: DriftPolicy,
    features: Sequence[Feature],
    *,
    minimum_rows: int = 1000,
    season: Counts | None = None,
) -> WindowDrift:
    """Judge one window against the reference.

    Args:
        profile: The reference.
        counts: The window, counted on that profile.
        policy: The rule with its thresholds, and the share of drifted features that makes a drifted window.
        features: The spec's features; those that the profile lacks are left out.
        minimum_rows: With fewer rows in the window the verdict is "insufficient_data".
        season: Rows of the window's phase of the season, counted on that profile: what seasonal features are compared
            with where the policy says "matched". With fewer than `minimum_rows` of its own history, a seasonal feature
            is compared with the profile and does not count.
    """
    minimum_rows = max(minimum_rows, 1)
    enough = counts.n_rows >= minimum_rows and profile.n_rows > 0
    known = [feature for feature in features if feature.name in profile.by_name]
    measured = WindowDrift(
        "clean" if enough else "insufficient_data",
        counts.n_rows,
        _adjusted([_measure(profile, counts, feature, policy, season, minimum_rows) for feature in known]),
        (),
        *_adjusted_predictions(profile, counts),
    )
    return judge(measured, policy)


def judge(measured: WindowDrift, policy: DriftPolicy) -> WindowDrift:
    """Apply a policy's rule, thresholds and share to the statistics of a window, whatever was said of it before.

    A window with too little data stays one. Which features count was decided when they were measured.
    """
    features = tuple(_judged(feature, policy) for feature in measured.features)
    counted = [feature for feature in features if feature.counted]
    drifted: tuple[str, ...] = ()
    verdict: Verdict = "insufficient_data"
    if measured.verdict != "insufficient_data" and counted:
        drifted = tuple(feature.name for feature in counted if feature.drifted)
        verdict = "drifted" if drifted and len(drifted) / len(counted) > policy.drifted_share else "clean"
    score, label = (None if d is None else _judged(d, policy) for d in (measured.score, measured.label))
    return WindowDrift(verdict, measured.n_rows, features, drifted, score, label)


def _weakness(feature: FeatureDrift) -> tuple[bool, float, str]:
    distance = feature.jensen_shannon_distance
    return not feature.drifted, 1.0 if distance is None else -distance, feature.name


def _measure(
    profile: Profile, counts: Counts, feature: Feature, policy: DriftPolicy, season: Counts | None, minimum_rows: int
) -> FeatureDrift:
    matched = feature.seasonal and policy.seasonal == "matched"
    counted = feature.counts_for_drift and (not policy.decisive_features or feature.name in policy.decisive_features)
    reference, name = profile.by_name[feature.name], feature.name
    against = season if matched and season is not None and _history(season, name) >= minimum_rows else None
    if isinstance(reference, NumberProfile):
        reference = reference if against is None else replace(reference, counts=against.numbers[name])
        drift = number_drift(reference, counts.numbers[name])
    else:
        reference = reference if against is None else replace(reference, counts=against.categories[name])
        drift = category_drift(reference, counts.categories[name])
    return replace(
        drift,
        reference="training" if against is None else "season",
        counted=counted and not (matched and against is None),
        seasonal=feature.seasonal,
    )


def _history(season: Counts, name: str) -> int:
    counts: NumberCounts | CategoryCounts = season.numbers[name] if name in season.numbers else season.categories[name]
    return counts.n_rows


def _adjusted_predictions(profile: Profile, counts: Counts) -> tuple[FeatureDrift | None, FeatureDrift | None]:
    score = label = None
    if profile.score is not None and counts.score is not None:
        score = _adjusted([replace(number_drift(profile.score, counts.score), counted=False)])[0]
    if profile.label is not None and counts.label is not None:
        label = _adjusted([replace(category_drift(profile.label, counts.label), counted=False)])[0]
    return score, label


def _adjusted(features: Sequence[FeatureDrift]) -> tuple[FeatureDrift, ...]:
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
    return tuple(adjusted)


def _judged(feature: FeatureDrift, policy: DriftPolicy) -> FeatureDrift:
    votes = _votes(feature, policy)
    if policy.rule == "calibrated":
        drifted = _significant(feature, policy.false_discovery_rate) and _large(feature, policy)
    else:
        drifted = votes >= VOTES_NEEDED.get(policy.rule, policy.votes)
    return replace(feature, votes=votes, drifted=drifted)


def _votes(feature: FeatureDrift, policy: DriftPolicy) -> int:
    """Count votes as integers: numpy's bool + bool is an OR."""
    index, distance = feature.population_stability_index, feature.jensen_shannon_distance
    return sum(
        (
            int(_significant(feature, policy.ks_p_value)),
            int(index is not None and index > policy.population_stability_index),
            int(distance is not None and distance > policy.jensen_shannon_distance),
        )
    )


def _significant(feature: FeatureDrift, level: float) -> bool:
    return any(p is not None and p < level for p in (feature.adjusted_p_value, feature.adjusted_missing_p_value))


def _large(feature: FeatureDrift, policy: DriftPolicy) -> bool:
    effects = (
        (feature.ks_statistic, policy.ks_statistic),
        (feature.cramers_v, policy.cramers_v),
        (feature.jensen_shannon_distance, policy.jensen_shannon_distance),
    )
    return any(effect is not None and effect > threshold for effect, threshold in effects)
