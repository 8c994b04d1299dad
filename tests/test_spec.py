"""What a spec refuses: one line that names the field and what it may be."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mlops_assets.errors import SpecError
from mlops_assets.spec import DriftPolicy, RetrainingPolicy
from tests.conftest import DAY, make_tiny_spec

SPEC = make_tiny_spec()
SEASONAL = replace(SPEC, features=tuple(replace(f, seasonal=True) for f in SPEC.features), drift=DriftPolicy())


@pytest.mark.parametrize(
    ("section", "field", "value", "words"),
    [
        ("label", "threshold", 1.5, "is 1.5; it must be less than or equal to 1"),
        ("windows", "length", timedelta(0), "is 0:00:00; it must be greater than 0 seconds"),
        ("windows", "anchor", datetime(2024, 1, 1), "is 2024-01-01 00:00:00; it must have timezone info"),
        ("windows", "label_horizon", -DAY, "is -1 day, 0:00:00; it must be greater than or equal to 0 seconds"),
        ("windows", "minimum_rows", -1, "is -1; it must be greater than or equal to 1"),
        ("drift", "rule", "majority", "is 'majority'; it must be 'vote', 'calibrated', 'any' or 'all'"),
        ("drift", "seasonal", True, "is True; it must be 'matched' or 'count'"),
        ("drift", "season", timedelta(0), "is 0:00:00; it must be greater than 0 seconds"),
        ("drift", "votes", 0, "is 0; it must be greater than or equal to 1"),
        ("drift", "votes", 4, "is 4; it must be less than or equal to 3"),
        ("drift", "ks_p_value", 5, "is 5; it must be less than or equal to 1"),
        ("drift", "false_discovery_rate", -0.1, "is -0.1; it must be greater than or equal to 0"),
        ("drift", "jensen_shannon_distance", float("nan"), "is nan; it must be less than or equal to 1"),
        ("drift", "population_stability_index", -1.0, "is -1.0; it must be greater than or equal to 0"),
        ("drift", "drifted_share", 1.5, "is 1.5; it must be less than or equal to 1"),
        ("drift", "consecutive_windows", 0, "is 0; it must be greater than or equal to 1"),
        ("accuracy", "confirm", "bounds", "is 'bounds'; it must be 'bound' or 'point'"),
        ("accuracy", "margin", 3, "is 3; it must be less than 1"),
        ("accuracy", "floor", 90, "is 90; it must be less than 1"),
        ("accuracy", "minimum_labels", -5, "is -5; it must be greater than or equal to 1"),
        ("quality", "maximum_missing_share", 7, "is 7; it must be less than or equal to 1"),
        ("quality", "maximum_extreme_share", -1, "is -1; it must be greater than or equal to 0"),
        ("training", "history", -DAY, "is -1 day, 0:00:00; it must be greater than 0 seconds"),
        ("training", "seed", -1, "is -1; it must be greater than or equal to 0"),
        ("training", "seed", 2**32, "is 4294967296; it must be less than or equal to 4294967295"),
        ("training", "trials", 2.5, "is 2.5; it must be a valid integer"),
        ("training", "algorithms", (), "is (); it must have at least 1 item after validation, not 0"),
        ("gate", "metric", "f1", "is 'f1'; it must be 'accuracy', 'log_loss' or 'auc'"),
        ("gate", "unit", "pct", "is 'pct'; it must be 'points' or 'relative'"),
        ("gate", "margin", float("inf"), "is inf; it must be a finite number"),
        ("retraining", "triggers", "drift", "is 'drift'; it must be a valid tuple"),
        ("retraining", "schedule", "0 25 * * *", "is '0 25 * * *'; it must have 0 to 23 as its hour, not '25'"),
        ("retraining", "cool_down_windows", -3, "is -3; it must be greater than or equal to 0"),
        ("retraining", "attempts", 0, "is 0; it must be greater than or equal to 1"),
        ("upkeep", "schedule", "", "is ''; it must have the five fields of cron: minute, hour, day of the month, "),
        ("upkeep", "time_travel", DAY / 2, "is 12:00:00; it must be greater than or equal to 1 day"),
    ],
)
def test_a_policy_that_can_not_work_is_refused(section, field, value, words):
    with pytest.raises(SpecError) as raised:
        replace(SPEC, **{section: replace(getattr(SPEC, section), **{field: value})})
    assert str(raised.value).startswith(f"tiny: {section}.{field} {words}")


def test_a_decisive_feature_is_one_that_there_is():
    with pytest.raises(SpecError, match="tiny: drift.decisive_features names 'sizes', which is no feature that counts"):
        replace(SPEC, drift=DriftPolicy(decisive_features=("sizes",)))


def test_a_feature_that_does_not_count_can_not_be_decisive():
    features = tuple(replace(feature, counts_for_drift=feature.name == "size") for feature in SPEC.features)
    with pytest.raises(SpecError, match="names 'color', which is no feature that counts"):
        replace(SPEC, features=features, drift=DriftPolicy(decisive_features=("color",)))


@pytest.mark.parametrize("season", [timedelta(days=1), timedelta(hours=36)])
def test_a_season_is_several_whole_windows(season):
    with pytest.raises(SpecError, match="drift.season must be a whole number of windows of 1 day, 0:00:00, more"):
        replace(SEASONAL, drift=DriftPolicy(season=season))
    assert replace(SEASONAL, drift=DriftPolicy(season=season, seasonal="count")).drift.season == season
    assert replace(SPEC, drift=DriftPolicy(season=season)).drift.season == season


def test_a_trigger_that_does_not_exist_is_refused():
    with pytest.raises(SpecError, match=r"retraining.triggers\[1\] is 'weekly'; it must be 'drift', 'accuracy', 's"):
        replace(SPEC, retraining=RetrainingPolicy(triggers=("drift", "weekly")))
