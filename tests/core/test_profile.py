import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.bins import category_bins, number_bins
from mlops_assets.core.profile import Profile, build_profile, count, count_number, slots_of
from tests.core.example import example_frame, example_spec

SPEC = example_spec()
REFERENCE = example_frame(3000)


def profile_of(values) -> Profile:
    return build_profile(REFERENCE.head(len(values)).assign(amount=values), SPEC.contract)


def test_a_profile_comes_back_from_json():
    profile = build_profile(REFERENCE, SPEC.contract, scores=np.linspace(0, 1, 50))
    assert Profile.from_dict(json.loads(profile.to_json())) == profile


@pytest.mark.parametrize(
    "values", [[np.nan] * 4, [np.inf, -np.inf, np.nan, 1.0], [7.0] * 4, [-0.0, 0.0, 1e308, -1e308]]
)
def test_a_profile_of_odd_values_comes_back_from_json(values):
    profile = profile_of(values)
    assert Profile.from_dict(json.loads(profile.to_json())) == profile


def test_an_empty_frame_has_a_profile():
    profile = build_profile(REFERENCE.head(0), SPEC.contract)
    assert profile.n_rows == 0
    assert count(profile, REFERENCE).numbers["amount"].slots == (int(REFERENCE["amount"].notna().sum()),)


def test_counting_the_reference_gives_the_counts_of_the_profile():
    profile = build_profile(REFERENCE, SPEC.contract)
    counts = count(profile, REFERENCE)
    assert all(counts.numbers[number.name] == number.counts for number in profile.numbers)
    assert all(counts.categories[category.name] == category.counts for category in profile.categories)


def test_missing_and_infinite_values_are_counted_apart():
    counts = count_number((0.0, 1.0), np.array([np.nan, np.inf, -np.inf, -np.inf, 0.0, 0.5, 2.0]))
    assert counts.slots == (0, 1, 1, 0, 1)
    assert (counts.missing, counts.positive_infinity, counts.negative_infinity) == (1, 1, 2)


def test_every_edge_has_a_slot_of_its_own():
    edges = np.array([1.0, 2.0])
    assert slots_of(edges, np.array([0.0, 1.0, 1.5, 2.0, 3.0])).tolist() == [0, 1, 2, 3, 4]


def test_there_are_about_a_thousand_quantile_edges_with_equal_shares_between():
    profile = profile_of(np.random.default_rng(1).normal(size=3000))
    assert 900 < len(profile.numbers[0].edges) <= 1001 + 4, "of 3000 rows, two in either tail are half a thousandth"


def test_frequent_categories_are_kept_others_pooled_unseen_and_missing_apart():
    cities = [f"c{number:02d}" for number in range(30) for _ in range(40 - number)]
    frame = REFERENCE.head(len(cities)).assign(city=cities)
    profile = build_profile(frame, SPEC.contract)
    city = profile.by_name["city"]
    assert len(city.frequent) == 20
    assert city.frequent[0] == "c00"
    window = REFERENCE.head(4).assign(city=["c00", "c29", "nowhere", None])
    counts = count(profile, window).categories["city"]
    assert (counts.frequent[0], counts.other, counts.unseen, counts.missing) == (1, 1, 1, 1)
    assert category_bins(city, counts).labels[-3:] == ("other", "unseen", "missing")


def test_a_column_that_is_not_there_is_missing_in_every_row():
    counts = count(build_profile(REFERENCE, SPEC.contract), REFERENCE[["amount"]])
    assert counts.numbers["visits"].missing == len(REFERENCE)
    assert counts.categories["city"].missing == len(REFERENCE)


def test_scores_are_counted_where_the_frame_has_them():
    profile = build_profile(REFERENCE, SPEC.contract, scores=np.linspace(0, 1, 100))
    assert count(profile, REFERENCE).score is None
    assert sum(count(profile, REFERENCE.assign(score=0.5)).score.slots) == len(REFERENCE)


def test_ten_bins_hold_about_a_tenth_each():
    profile = profile_of(np.random.default_rng(2).normal(size=3000))
    bins = number_bins(profile.numbers[0], profile.numbers[0].counts)
    assert bins.labels[10:] == ("-∞", "+∞", "missing")
    assert bins.reference[:10] == pytest.approx([300] * 10, abs=5)
    assert bins.edges[0] == -np.inf
    assert bins.edges[-1] == np.inf


def test_a_heap_of_equal_values_has_a_bin_of_its_own():
    values = np.concatenate([np.zeros(900), np.linspace(1, 2, 100)])
    profile = profile_of(values)
    bins = number_bins(profile.numbers[0], profile.numbers[0].counts)
    assert bins.labels == ("< 0", "0", "> 0", "-∞", "+∞", "missing")
    assert bins.reference == (0, 900, 100, 0, 0, 0)


@settings(deadline=None)
@given(
    st.lists(st.floats(allow_nan=True), max_size=40),
    st.lists(st.floats(allow_nan=True) | st.integers(-3, 3).map(float), max_size=40),
)
def test_no_row_is_lost_in_slots_or_bins(reference, current):
    profile = profile_of(np.array(reference, dtype=float)).numbers[0]
    counts = count_number(profile.edges, np.array(current, dtype=float))
    infinite = counts.negative_infinity + counts.positive_infinity
    assert sum(counts.slots) + counts.missing + infinite == len(current)
    bins = number_bins(profile, counts)
    assert bins.n_reference == len(reference)
    assert bins.n_current == len(current)
    assert len(bins.labels) == len(bins.reference) == len(bins.current) == len(bins.edges) + 2


def test_null_in_a_nullable_integer_column_is_missing():
    frame = REFERENCE.head(3).assign(amount=pd.array([1, None, 3], dtype="Int64"))
    assert count(build_profile(REFERENCE, SPEC.contract), frame).numbers["amount"].missing == 1


def test_decisions_are_counted_beside_the_scores_and_survive_the_document():
    scores = np.linspace(0, 1, len(REFERENCE))
    profile = build_profile(REFERENCE, SPEC.contract, scores=scores)
    negative, positive = SPEC.label.negative, SPEC.label.positive
    by_label = dict(zip(profile.label.frequent, profile.label.counts.frequent, strict=True))
    assert by_label == {negative: int((scores < 0.5).sum()), positive: int((scores >= 0.5).sum())}
    assert Profile.from_dict(json.loads(profile.to_json())) == profile
    window = REFERENCE.head(3).assign(label=[positive, positive, "other"])
    counts = count(profile, window).label
    assert dict(zip(profile.label.frequent, counts.frequent, strict=True)) == {negative: 0, positive: 2}
    assert counts.unseen == 1
