"""What a spec refuses: one line that names the field and what it may be."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mlops_assets.errors import SpecError
from mlops_assets.spec import DriftPolicy, RetrainingPolicy
from tests.conftest import make_tiny_spec

SPEC = make_tiny_spec()
SEASONAL = replace(SPEC, features=tuple(replace(f, seasonal=True) for f in SPEC.features), drift=DriftPolicy())


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("rule", "majority", "drift.rule is 'majority'; use one of vote, calibrated, any, all"),
        ("seasonal", True, "drift.seasonal is True; use one of matched, count"),
        ("votes", 0, "drift.votes is 0; it must be 1 to 3"),
        ("votes", 4, "drift.votes is 4; it must be 1 to 3"),
        ("ks_p_value", 5, "drift.ks_p_value is 5; it must be 0 to 1"),
        ("false_discovery_rate", -0.1, "drift.false_discovery_rate is -0.1; it must be 0 to 1"),
        ("jensen_shannon_distance", float("nan"), "drift.jensen_shannon_distance is nan; it must be 0 to 1"),
        ("population_stability_index", -1.0, "drift.population_stability_index is -1.0; it must be 0 to inf"),
        ("drifted_share", 1.5, "drift.drifted_share is 1.5; it must be 0 to 1"),
        ("consecutive_windows", 0, "drift.consecutive_windows is 0; it must be 1 to inf"),
        ("decisive_features", ("sizes",), "drift.decisive_features names 'sizes', which is no feature that counts"),
    ],
)
def test_a_drift_policy_that_can_not_work_is_refused(field, value, words):
    with pytest.raises(SpecError) as raised:
        replace(SPEC, drift=DriftPolicy(**{field: value}))
    assert str(raised.value) == f"tiny: {words}"


def test_a_feature_that_does_not_count_can_not_be_decisive():
    features = tuple(replace(feature, counts_for_drift=feature.name == "size") for feature in SPEC.features)
    with pytest.raises(SpecError, match="names 'color', which is no feature that counts"):
        replace(SPEC, features=features, drift=DriftPolicy(decisive_features=("color",)))


@pytest.mark.parametrize("season", [timedelta(days=1), timedelta(hours=36), timedelta(0)])
def test_a_season_is_several_whole_windows(season):
    with pytest.raises(SpecError, match="drift.season must be a whole number of windows of 1 day, 0:00:00, more"):
        replace(SEASONAL, drift=DriftPolicy(season=season))
    assert replace(SEASONAL, drift=DriftPolicy(season=season, seasonal="count")).drift.season == season
    assert replace(SPEC, drift=DriftPolicy(season=season)).drift.season == season


def test_a_trigger_that_does_not_exist_is_refused():
    with pytest.raises(SpecError, match="tiny: no trigger 'weekly'; there are drift, accuracy, schedule"):
        replace(SPEC, retraining=RetrainingPolicy(triggers=("weekly",)))
