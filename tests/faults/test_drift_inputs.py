"""Whatever a window or a reference holds, its drift report says something stated and can be written as JSON."""

import json
from dataclasses import asdict

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mlops_assets.assets.monitoring import build_monitoring_assets
from mlops_assets.core.drift import WindowDrift, score_window
from mlops_assets.core.feature_drift import FeatureDrift
from mlops_assets.core.profile import Profile, build_profile, count
from mlops_assets.core.windows import Window
from mlops_assets.definitions import build_resources
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.reports.figures import canvas
from mlops_assets.settings import Settings
from mlops_assets.spec import Category, DriftPolicy, Label, ModelSpec, Number
from tests.assets.test_release import promote, trained
from tests.conftest import ANCHOR, DAY, make_tiny_spec
from tests.lake_rows import log_predictions
from tests.signing import signing_store

SPEC = ModelSpec(
    name="odd",
    description="One number, one category.",
    label=Label(name="outcome", negative="no", positive="yes"),
    features=(Number(name="number"), Category(name="category", open=True)),
    source=pd.DataFrame,
)
N_REFERENCE, N_WINDOW = 5000, 2000
GENERATOR = np.random.default_rng(17)
NORMAL = GENERATOR.normal(size=N_REFERENCE)
NORMAL_WINDOW = GENERATOR.normal(size=N_WINDOW)
COLORS = GENERATOR.choice(["red", "green", "blue"], N_REFERENCE)


def frame(numbers, categories=None) -> pd.DataFrame:
    numbers = np.asarray(numbers, dtype=float)
    chosen = COLORS[: len(numbers)] if categories is None else categories
    return pd.DataFrame({"number": numbers, "category": pd.Series(chosen, dtype=object)})


def drift_of(window: pd.DataFrame, reference: pd.DataFrame | None = None, **options) -> WindowDrift:
    """Count and judge, through JSON both ways: the profile as a bundle keeps it, the verdict as the lake does."""
    built = build_profile(frame(NORMAL) if reference is None else reference, SPEC.contract)
    profile = Profile.from_dict(json.loads(built.to_json()))
    drift = score_window(profile, count(profile, window), options.pop("policy", SPEC.drift), SPEC.features, **options)
    json.dumps(asdict(drift), allow_nan=False)
    return drift


def of(drift: WindowDrift, name: str) -> FeatureDrift:
    return next(feature for feature in drift.features if feature.name == name)


def test_an_empty_window_has_too_little_data_and_no_statistic():
    drift = drift_of(frame([]))
    assert (drift.verdict, drift.n_rows, drift.drifted_features) == ("insufficient_data", 0, ())
    for found in drift.features:
        measured = (found.p_value, found.population_stability_index, found.jensen_shannon_distance)
        assert measured == (None, None, None)
        assert (found.missing_share_current, found.unseen_share, found.votes) == (None, None, 0)


def test_an_empty_reference_has_no_verdict():
    drift = drift_of(frame(NORMAL_WINDOW), frame([]))
    assert (drift.verdict, drift.drifted_features) == ("insufficient_data", ())


def test_one_row_is_measured_and_has_no_verdict():
    drift = drift_of(frame([0.1]))
    assert (drift.verdict, drift.n_rows) == ("insufficient_data", 1)
    assert 0.4 < of(drift, "number").ks_statistic < 0.6


def test_one_row_as_the_reference_is_one_constant():
    drift = drift_of(frame(NORMAL_WINDOW), frame([0.1]))
    number = of(drift, "number")
    assert (number.unseen_share, number.wasserstein_distance) == (1.0, None)


def test_a_number_that_goes_missing_drifts_by_its_missing_share():
    number = of(drift_of(frame(np.full(N_WINDOW, np.nan))), "number")
    assert (number.drifted, number.votes, number.missing_share_change) == (True, 3, 1.0)
    assert (number.ks_statistic, number.wasserstein_distance, number.unseen_share) == (None, None, 0.0)


def test_a_number_that_was_never_there_and_is_not_there_now_is_the_same():
    nothing = np.full(N_REFERENCE, np.nan)
    drift = drift_of(frame(nothing[:N_WINDOW]), frame(nothing))
    number = of(drift, "number")
    assert (drift.verdict, number.votes, number.missing_share_change) == ("clean", 0, 0.0)


def test_a_number_that_appears_where_all_were_missing_drifts():
    number = of(drift_of(frame(NORMAL_WINDOW), frame(np.full(N_REFERENCE, np.nan))), "number")
    assert (number.drifted, number.missing_share_change, number.unseen_share) == (True, -1.0, 1.0)


def test_a_column_that_is_not_there_is_missing_in_every_row():
    drift = drift_of(frame(NORMAL_WINDOW).drop(columns=["number", "category"]).assign(other=1))
    assert drift.drifted_features == ("number", "category")
    assert [found.missing_share_current for found in drift.features] == [1.0, 1.0]


@pytest.mark.parametrize("value", [7.0, 0.0, -1e308, 5e-324])
def test_a_constant_is_clean_while_it_stays_and_drifts_once_it_moves(value):
    constant = frame(np.full(N_REFERENCE, value))
    stays, moves = drift_of(constant.head(N_WINDOW), constant), drift_of(frame(np.full(N_WINDOW, 1.0)), constant)
    assert (stays.verdict, of(stays, "number").ks_statistic) == ("clean", 0.0)
    assert (of(moves, "number").votes, of(moves, "number").ks_statistic) == (3, 1.0)
    assert of(moves, "number").wasserstein_distance is None


def test_a_nearly_constant_number_drifts_once_its_rare_value_is_common():
    rare = (GENERATOR.random(N_REFERENCE) < 0.002).astype(float)
    same = (GENERATOR.random(N_WINDOW) < 0.002).astype(float)
    common = (GENERATOR.random(N_WINDOW) < 0.2).astype(float)
    assert drift_of(frame(same), frame(rare)).verdict == "clean"
    number = of(drift_of(frame(common), frame(rare)), "number")
    assert (number.drifted, number.votes) == (True, 3)
    assert number.ks_statistic == pytest.approx(common.mean() - rare.mean())


def test_a_discrete_number_is_exact_on_its_ties():
    reference, shifted = GENERATOR.poisson(2, N_REFERENCE), GENERATOR.poisson(3, N_WINDOW)
    assert drift_of(frame(GENERATOR.poisson(2, N_WINDOW)), frame(reference)).verdict == "clean"
    number = of(drift_of(frame(shifted), frame(reference)), "number")
    exact = max(abs((reference <= k).mean() - (shifted <= k).mean()) for k in range(20))
    assert number.ks_statistic == pytest.approx(exact, abs=1e-12)
    assert number.votes == 3


def test_heavy_tails_are_clean_while_they_stay_and_drift_once_they_scale():
    reference, window = GENERATOR.standard_cauchy(N_REFERENCE), GENERATOR.standard_cauchy(N_WINDOW)
    assert drift_of(frame(window), frame(reference)).verdict == "clean"
    scaled = of(drift_of(frame(3 * window), frame(reference)), "number")
    assert scaled.drifted
    assert np.isfinite(scaled.wasserstein_distance)


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_infinite_values_are_counted_at_their_end(infinity):
    number = of(drift_of(frame(np.full(N_WINDOW, infinity))), "number")
    assert (number.votes, number.unseen_share, number.missing_share_change) == (3, 1.0, 0.0)
    assert number.ks_statistic == pytest.approx(1.0)
    assert number.wasserstein_distance is None
    reference = np.where(np.arange(N_REFERENCE) % 2, infinity, NORMAL)
    half = np.where(np.arange(N_WINDOW) % 2, infinity, NORMAL_WINDOW)
    assert drift_of(frame(half), frame(reference)).verdict == "clean"


def test_a_reference_of_infinities_alone_has_a_stated_result():
    reference = np.where(np.arange(N_REFERENCE) % 2, np.inf, -np.inf)
    drift = drift_of(frame(reference[:N_WINDOW]), frame(reference))
    assert (drift.verdict, of(drift, "number").ks_statistic) == ("clean", 0.0)


INFINITIES = np.where(np.arange(N_REFERENCE) % 2, np.inf, -np.inf)


@pytest.mark.parametrize(
    ("reference", "window", "unseen"),
    [
        (np.full(N_REFERENCE, np.inf), NORMAL_WINDOW, 1.0),
        (np.full(N_REFERENCE, np.inf), np.full(N_WINDOW, -np.inf), 1.0),
        (INFINITIES, np.full(N_WINDOW, np.inf), 0.0),
        (np.full(N_REFERENCE, 7.0), np.full(N_WINDOW, np.inf), 1.0),
    ],
)
def test_infinities_that_move_have_every_vote(reference, window, unseen):
    number = of(drift_of(frame(window), frame(reference)), "number")
    assert (number.votes, number.unseen_share) == (3, unseen)
    assert number.jensen_shannon_distance > 0.4


def test_numbers_at_the_ends_of_their_type_stay_finite():
    ends = np.where(np.arange(N_REFERENCE) % 2, 1.7e308, -1.7e308)
    drift = drift_of(frame(np.full(N_WINDOW, 1.7e308)), frame(ends))
    assert of(drift, "number").wasserstein_distance == pytest.approx(1.0)
    assert of(drift, "number").votes == 3


def test_unseen_categories_alone_drift_whole():
    category = of(drift_of(frame(NORMAL_WINDOW, ["violet"] * N_WINDOW)), "category")
    assert (category.votes, category.unseen_share) == (3, 1.0)
    assert category.cramers_v == pytest.approx(1.0)
    assert category.jensen_shannon_distance == pytest.approx(1.0)


def test_a_few_unseen_categories_are_reported_and_are_not_drift():
    few = COLORS[:N_WINDOW].astype(object)
    few[:4] = "violet"
    drift = drift_of(frame(NORMAL_WINDOW, few))
    assert (drift.verdict, of(drift, "category").unseen_share) == ("clean", 0.002)


def test_a_category_that_vanishes_drifts():
    without = np.where(COLORS[:N_WINDOW] == "red", "green", COLORS[:N_WINDOW])
    category = of(drift_of(frame(NORMAL_WINDOW, without)), "category")
    assert (category.votes, category.unseen_share) == (3, 0.0)


@pytest.mark.parametrize("n_values", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_very_many_categories_are_pooled_to_the_frequent_ones_and_the_rest(n_values):
    """Those beyond the 10,000 that a profile knows are unseen on both sides, so that the same values stay clean."""
    values = np.array([f"user-{number}" for number in range(n_values)], dtype=object)
    many = pd.DataFrame({"number": np.zeros(n_values), "category": values})
    again = drift_of(many, many)
    category = of(again, "category")
    assert (again.verdict, category.votes) == ("clean", 0)
    assert category.unseen_share == pytest.approx(1 - 10_000 / n_values)
    assert category.jensen_shannon_distance == 0.0
    against_few = of(drift_of(many), "category")
    assert (against_few.votes, against_few.unseen_share) == (3, 1.0)


def test_texts_that_look_like_nothing_are_values_and_the_empty_one_is_missing():
    odd = ["", None, "nan", "None", "\u0000", "ä" * 5000, "missing", "other", "unseen"] * 300
    drift = drift_of(frame(np.zeros(2700), odd), frame(np.zeros(2700), odd))
    assert (drift.verdict, of(drift, "category").missing_share_current) == ("clean", pytest.approx(2 / 9))


@pytest.mark.parametrize("rule", ["vote", "calibrated", "any", "all"])
@pytest.mark.parametrize("numbers", [[], [np.nan], [np.inf], [0.0], [1e308, -1e308]])
def test_no_rule_judges_what_could_not_be_measured(rule, numbers):
    policy = DriftPolicy(rule=rule)
    nothing = drift_of(frame(numbers), frame([]), policy=policy, minimum_rows=1)
    assert nothing.verdict == "insufficient_data"
    assert nothing.drifted_features == ()


BLANK = b"\x89PNG\r\n\x1a\n"
TINY = make_tiny_spec()
ODD_DAYS = {
    "one row": [{"size": 10.0, "color": "red"}],
    "all missing": [{"size": None, "color": None}] * 300,
    "constant": [{"size": 10.0, "color": "red"}] * 300,
    "unseen only": [{"size": 1e9, "color": "violet"}] * 300,
    "infinite": [{"size": float("inf"), "color": "red"}, {"size": float("-inf"), "color": ""}] * 150,
    "not a number": [{"size": float("nan"), "color": "red"}] * 300,
    "empty": [],
}
STATED = {"one row": "insufficient_data", "empty": "insufficient_data"}


def log_days(lake) -> None:
    for day, (name, rows) in enumerate(ODD_DAYS.items()):
        times = [ANCHOR + day * DAY + DAY * place / len(rows) for place in range(len(rows))]
        ids = [{"prediction_id": f"{name}-{place}", "event_time": time} for place, time in enumerate(times)]
        log_predictions(lake, TINY, [{**row, **identity} for row, identity in zip(rows, ids, strict=True)])


def test_the_drift_report_of_every_odd_window_is_made_and_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(canvas, "as_png", lambda _figure: BLANK)
    lake, store = Lake(tmp_path / "lake"), signing_store(tmp_path)
    promote(lake, store, trained(lake, store, ANCHOR, version="1", seed=1)[0])
    log_days(lake)
    drift_report = build_monitoring_assets(TINY)[0]
    keys = [Window(ANCHOR + day * DAY, ANCHOR + (day + 1) * DAY).key for day in range(len(ODD_DAYS))]
    resources = build_resources(Settings(home=tmp_path, clock="event", shipping_lag_seconds=0))
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("tiny_windows", keys)
        for key in keys:
            assert dg.materialize([drift_report], partition_key=key, instance=instance, resources=resources).success
    found = [summary["verdict"] for summary in latest_summaries(lake, "tiny", "drift_metrics")]
    assert dict(zip(ODD_DAYS, found, strict=True)) == {name: STATED.get(name, "drifted") for name in ODD_DAYS}
    stored = lake.read("tiny", "drift_metrics")
    assert np.isfinite(stored["value"].dropna()).all()
    assert set(stored["subject"]) == {"", "size", "color", "score", "label"}
