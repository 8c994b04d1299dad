import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mlops_assets.core.drift import WindowDrift, score_window
from mlops_assets.core.drift import judge as rejudge
from mlops_assets.core.profile import build_profile, count
from mlops_assets.spec import DriftPolicy
from tests.core.example import FEATURES, example_frame, example_spec

SPEC = example_spec()
REFERENCE = example_frame(5000, seed=1)
WINDOW = example_frame(2000, seed=2)


def judge(window: pd.DataFrame, *, reference: pd.DataFrame = REFERENCE, policy: DriftPolicy = SPEC.drift, **options):
    profile = build_profile(reference, SPEC.contract)
    features = options.pop("features", FEATURES)
    return score_window(profile, count(profile, window), policy, features, **options)


def feature(drift: WindowDrift, name: str):
    return next(feature for feature in drift.features if feature.name == name)


def test_the_same_distribution_is_clean():
    drift = judge(WINDOW)
    assert drift.verdict == "clean"
    assert drift.drifted_features == ()
    assert drift.n_rows == 2000
    assert [feature.name for feature in drift.features] == ["amount", "color", "visits", "city"]


def test_a_shifted_number_drifts_with_three_votes():
    drift = judge(WINDOW.assign(amount=WINDOW["amount"] + 1))
    assert (drift.verdict, drift.drifted_features) == ("drifted", ("amount",))
    assert feature(drift, "amount").votes == 3


def test_a_quarter_of_a_deviation_has_its_known_statistics():
    """The effect sizes of the normal distribution: D = 2 Phi(1/8) - 1, PSI 0.06, JS 0.10."""
    generator = np.random.default_rng(5)
    reference = example_frame(200_000, seed=3).assign(amount=generator.normal(size=200_000))
    drift = judge(reference.assign(amount=generator.normal(0.25, size=200_000)), reference=reference)
    amount = feature(drift, "amount")
    assert amount.ks_statistic == pytest.approx(2 * stats.norm.cdf(0.125) - 1, abs=0.004)
    assert amount.population_stability_index == pytest.approx(0.06, abs=0.005)
    assert amount.jensen_shannon_distance == pytest.approx(0.10, abs=0.015)
    assert amount.population_stability_index == pytest.approx(
        8 * np.log(2) * amount.jensen_shannon_divergence, rel=0.05
    )


def test_binned_kolmogorov_smirnov_is_close_to_the_exact_one():
    generator = np.random.default_rng(6)
    reference, current = generator.lognormal(size=5000), generator.lognormal(0.1, size=2000)
    drift = judge(WINDOW.assign(amount=current), reference=REFERENCE.assign(amount=reference))
    exact = stats.ks_2samp(reference, current, method="asymp").statistic
    assert feature(drift, "amount").ks_statistic == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("value", [6.0, 8.0, 7.5])
def test_a_constant_reference_sees_its_value_move_to_either_side(value):
    drift = judge(WINDOW.assign(amount=value), reference=REFERENCE.assign(amount=7.0))
    assert feature(drift, "amount").votes == 3
    assert feature(drift, "amount").unseen_share == 1.0


def test_a_constant_that_stays_does_not_drift():
    assert judge(WINDOW.assign(amount=7.0), reference=REFERENCE.assign(amount=7.0)).verdict == "clean"


def test_values_that_go_missing_drift_though_the_others_stay():
    amount = WINDOW["amount"].where(np.arange(len(WINDOW)) % 2 == 0)
    found = feature(judge(WINDOW.assign(amount=amount)), "amount")
    assert found.drifted
    assert found.adjusted_p_value > 0.05
    assert found.adjusted_missing_p_value < 0.001
    assert found.missing_share_reference == pytest.approx(0.1, abs=0.02)
    assert found.missing_share_current == pytest.approx(0.55, abs=0.03)


def test_unseen_categories_drift():
    found = feature(judge(WINDOW.assign(city="elsewhere")), "city")
    assert (found.votes, found.unseen_share, found.kind) == (3, 1.0, "category")
    assert found.cramers_v == pytest.approx(1.0, abs=0.01)
    assert found.ks_statistic is None


@pytest.mark.parametrize(
    "values", [np.nan, np.inf, -np.inf, 0.0, 1e308], ids=["missing", "inf", "minus inf", "constant", "huge"]
)
@pytest.mark.parametrize("n_rows", [0, 1, 2000])
def test_degenerate_windows_get_a_stated_result(values, n_rows):
    drift = judge(WINDOW.head(n_rows).assign(amount=values, city="nowhere", color=None))
    assert drift.verdict == ("drifted" if n_rows == 2000 else "insufficient_data")
    json.dumps(asdict(drift), allow_nan=False)


def test_degenerate_references_get_a_stated_result():
    for reference in (REFERENCE.head(0), REFERENCE.head(1), REFERENCE.assign(amount=np.nan, city="", color=None)):
        json.dumps(asdict(judge(WINDOW, reference=reference)), allow_nan=False)
    assert judge(WINDOW, reference=REFERENCE.head(0)).verdict == "insufficient_data"


def test_below_the_minimum_there_is_no_verdict_but_statistics():
    drift = judge(WINDOW.assign(amount=50.0), minimum_rows=2001)
    assert (drift.verdict, drift.drifted_features) == ("insufficient_data", ())
    assert feature(drift, "amount").votes == 3


def test_votes_are_counted_as_integers():
    shifted = WINDOW.assign(amount=WINDOW["amount"] + 1)
    assert judge(shifted, policy=DriftPolicy(votes=3)).verdict == "drifted"
    assert type(feature(judge(shifted), "amount").votes) is int


def test_a_feature_that_does_not_count_is_reported_and_does_not_decide():
    features = tuple(replace(f, counts_for_drift=f.name != "amount", seasonal=f.name == "amount") for f in FEATURES)
    drift = judge(WINDOW.assign(amount=9.0), features=features)
    assert drift.verdict == "clean"
    assert drift.drifted_features == ()
    amount = feature(drift, "amount")
    assert (amount.drifted, amount.counted, amount.seasonal) == (True, False, True)


def test_the_share_of_drifted_features_must_be_exceeded():
    shifted = WINDOW.assign(amount=9.0)
    assert judge(shifted, policy=DriftPolicy(drifted_share=0.24)).verdict == "drifted"
    assert judge(shifted, policy=DriftPolicy(drifted_share=0.25)).verdict == "clean"


def test_the_models_scores_are_judged_beside_and_do_not_count():
    generator = np.random.default_rng(9)
    profile = build_profile(REFERENCE, SPEC.contract, scores=generator.random(500))
    window = WINDOW.assign(score=generator.random(2000) ** 4)
    drift = score_window(profile, count(profile, window), SPEC.drift, FEATURES)
    assert drift.verdict == "clean"
    assert drift.score.drifted
    assert not drift.score.counted


def test_the_models_decisions_are_judged_like_its_scores():
    scores = np.linspace(0, 1, 500)
    profile = build_profile(REFERENCE, SPEC.contract, scores=scores)
    steady = WINDOW.assign(score=np.linspace(0, 1, 2000), label=["no", "yes"] * 1000)
    flipped = steady.assign(label=["yes"] * 1900 + ["no"] * 100)
    drifts = [score_window(profile, count(profile, window), SPEC.drift, FEATURES) for window in (steady, flipped)]
    assert [drift.label.drifted for drift in drifts] == [False, True]
    assert [drift.score.drifted for drift in drifts] == [False, False]
    assert [drift.verdict for drift in drifts] == ["clean", "clean"]
    assert [d.name for d in drifts[0].predictions] == ["score", "label"]
    assert drifts[1].label.kind == "category"
    assert not drifts[1].label.counted


def test_a_profile_without_scores_has_no_prediction_drift():
    drift = judge(WINDOW.assign(score=0.5, label="no"))
    assert (drift.score, drift.label, drift.predictions) == (None, None, ())


def zipf(n_rows: int, *, prefix: str = "value", seed: int) -> np.ndarray:
    weights = 1 / np.arange(1, 1001)
    drawn = np.random.default_rng(seed).choice(1000, n_rows, p=weights / weights.sum())
    return np.array([f"{prefix}-{place}" for place in drawn], dtype=object)


def test_a_long_tail_of_categories_always_has_unseen_values_and_is_clean():
    reference = REFERENCE.assign(city=zipf(5000, seed=1))
    drift = judge(WINDOW.assign(city=zipf(2000, seed=2)), reference=reference)
    assert feature(drift, "city").unseen_share > 0.04
    assert (feature(drift, "city").votes, drift.verdict) == (0, "clean")


def test_a_tail_that_is_replaced_by_unseen_values_drifts():
    reference, city = REFERENCE.assign(city=zipf(5000, seed=1)), zipf(2000, seed=2)
    known = set(pd.Series(zipf(5000, seed=1)).value_counts().index[:20])
    renamed = np.where(np.isin(city, list(known)), city, "new")
    assert feature(judge(WINDOW.assign(city=renamed), reference=reference), "city").votes == 3


def test_a_long_tail_against_itself_has_no_drift_at_all():
    reference = REFERENCE.assign(city=zipf(5000, seed=1))
    city = feature(judge(reference, reference=reference), "city")
    assert (city.jensen_shannon_distance, city.cramers_v, city.votes) == (0.0, 0.0, 0)


SHIFTS = {"none": 0.0, "trivial": 0.02, "small": 0.2, "large": 1.0}
"""Of a normal number: KS D about 0, 0.008, 0.08, 0.38; JS distance 0, 0.01, 0.08, 0.38; PSI 0, 0, 0.04, 1.0."""


@pytest.mark.parametrize(
    ("rule", "drifting"),
    [
        ("vote", {"large"}),
        ("all", {"large"}),
        ("any", {"trivial", "small", "large"}),
        ("calibrated", {"small", "large"}),
    ],
)
def test_each_rule_flags_what_it_says(rule, drifting):
    generator = np.random.default_rng(11)
    n_rows = 100_000
    reference = example_frame(n_rows, seed=3).assign(amount=generator.normal(size=n_rows))
    profile = build_profile(reference, SPEC.contract)
    flagged = set()
    for name, shift in SHIFTS.items():
        window = reference.assign(amount=generator.normal(shift, size=n_rows))
        drift = score_window(profile, count(profile, window), DriftPolicy(rule=rule), FEATURES)
        flagged |= {name} if feature(drift, "amount").drifted else set()
    assert flagged == drifting


def test_the_calibrated_rule_sees_categories_and_missing_values():
    policy = DriftPolicy(rule="calibrated")
    moved = judge(WINDOW.assign(city=["city-1", "city-2"] * 1000), policy=policy)
    assert moved.drifted_features == ("city",)
    gone = judge(WINDOW.assign(amount=WINDOW["amount"].where(np.arange(2000) % 2 == 0)), policy=policy)
    assert gone.drifted_features == ("amount",)
    assert feature(gone, "amount").ks_statistic < policy.ks_statistic


def test_a_window_judged_again_is_the_window_judged_by_that_policy():
    shifted = WINDOW.assign(amount=WINDOW["amount"] + 0.25)
    strict, lenient = DriftPolicy(rule="all"), DriftPolicy(rule="any")
    assert rejudge(judge(shifted, policy=strict), lenient) == judge(shifted, policy=lenient)
    assert rejudge(judge(shifted, policy=lenient), strict) == judge(shifted, policy=strict)
    few = judge(shifted, policy=lenient, minimum_rows=3000)
    assert rejudge(few, strict).verdict == few.verdict == "insufficient_data"


def test_only_decisive_features_count_where_some_are_named():
    moved = WINDOW.assign(amount=9.0, city="elsewhere")
    drift = judge(moved, policy=DriftPolicy(decisive_features=("city", "visits")))
    assert (drift.verdict, drift.drifted_features) == ("drifted", ("city",))
    assert feature(drift, "amount").drifted
    assert {found.name for found in drift.features if found.counted} == {"city", "visits"}
    assert judge(moved, policy=DriftPolicy(decisive_features=("visits",))).verdict == "clean"


SEASONAL = tuple(replace(found, seasonal=found.name in {"amount", "city"}) for found in FEATURES)
SUMMER = {"amount": 5.0, "city": "city-1"}


def season_of(rows: pd.DataFrame):
    return count(build_profile(REFERENCE, SPEC.contract), rows)


def test_seasonal_features_are_compared_with_their_own_season():
    window, history = WINDOW.assign(**SUMMER), REFERENCE.assign(**SUMMER)
    drift = judge(window, features=SEASONAL, season=season_of(history))
    assert (drift.verdict, drift.drifted_features) == ("clean", ())
    assert {(f.name, f.reference, f.counted) for f in drift.features} == {
        ("amount", "season", True),
        ("color", "training", True),
        ("visits", "training", True),
        ("city", "season", True),
    }


def test_seasonal_features_that_leave_their_season_drift_and_count():
    drift = judge(WINDOW, features=SEASONAL, season=season_of(REFERENCE.assign(**SUMMER)))
    assert drift.drifted_features == ("amount", "city")


@pytest.mark.parametrize("n_rows", [None, 0, 999])
def test_seasonal_features_without_enough_history_are_reported_and_do_not_count(n_rows):
    season = None if n_rows is None else season_of(REFERENCE.head(n_rows))
    drift = judge(WINDOW.assign(**SUMMER), features=SEASONAL, season=season)
    assert (drift.verdict, drift.drifted_features) == ("clean", ())
    amount = feature(drift, "amount")
    assert (amount.drifted, amount.counted, amount.seasonal, amount.reference) == (True, False, True, "training")


def test_a_window_in_which_no_feature_counts_has_no_verdict():
    seasonal = tuple(replace(found, seasonal=True) for found in FEATURES)
    drift = judge(WINDOW.assign(**SUMMER), features=seasonal)
    assert (drift.verdict, drift.drifted_features) == ("insufficient_data", ())
    assert feature(drift, "amount").drifted
    assert judge(WINDOW, features=()).verdict == "insufficient_data"


def test_seasonal_features_may_be_made_to_count_like_any_other():
    drift = judge(
        WINDOW.assign(**SUMMER),
        features=SEASONAL,
        policy=DriftPolicy(seasonal="count"),
        season=season_of(REFERENCE.assign(**SUMMER)),
    )
    assert drift.drifted_features == ("amount", "city")


def test_wasserstein_and_the_change_of_the_missing_share_are_reported():
    found = feature(judge(WINDOW.assign(amount=WINDOW["amount"] + 0.5)), "amount")
    assert found.wasserstein_distance == pytest.approx(0.5, abs=0.05)
    assert found.missing_share_change == pytest.approx(found.missing_share_current - found.missing_share_reference)
    assert feature(judge(WINDOW.assign(city=None)), "city").missing_share_change == 1.0
    assert feature(judge(WINDOW), "city").wasserstein_distance is None


def test_twenty_clean_windows_raise_no_alarm():
    alarms = [judge(example_frame(1000, seed=seed)).verdict for seed in range(100, 120)]
    assert alarms.count("drifted") == 0


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats() | st.none(), max_size=30), st.lists(st.floats() | st.none(), max_size=30))
def test_any_two_samples_get_a_json_result(reference, current):
    drift = judge(
        WINDOW.head(len(current)).assign(amount=pd.Series(current, dtype=float).to_numpy()),
        reference=REFERENCE.head(len(reference)).assign(amount=pd.Series(reference, dtype=float).to_numpy()),
        minimum_rows=1,
    )
    json.dumps(asdict(drift), allow_nan=False)
    assert all(0 <= found.votes <= 3 for found in drift.features)
