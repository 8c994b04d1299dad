import numpy as np
import pytest
from scipy import stats

from mlops_assets.core.importances import ServedClassifier, importance_drift
from mlops_assets.core.pipelines import pipeline_input
from mlops_assets.core.schema import frame_matrices
from tests.core.example import example_frame, example_spec

CONTRACT = example_spec().contract


def test_the_same_importances_rank_alike():
    importances = {"a": 0.3, "b": 0.1, "c": 0.0}
    drift = importance_drift(importances, importances)
    assert drift.kendall_tau == pytest.approx(1.0)
    assert [(f.name, f.champion_rank, f.challenger_rank) for f in drift.features] == [
        ("a", 1, 1),
        ("b", 2, 2),
        ("c", 3, 3),
    ]


def test_a_reversed_order_is_minus_one_and_shows_who_moved():
    drift = importance_drift({"a": 0.3, "b": 0.2, "c": 0.1}, {"c": 9.0, "b": 8.0, "a": 7.0})
    assert drift.kendall_tau == pytest.approx(-1.0)
    assert [(f.name, f.champion_rank, f.challenger_rank) for f in drift.features] == [
        ("c", 3, 1),
        ("b", 2, 2),
        ("a", 1, 3),
    ]


def test_tau_is_scipys_with_ties_sharing_a_rank():
    before, now = {"a": 2.0, "b": 1.0, "c": 1.0, "d": 0.0}, {"a": 1.0, "b": 2.0, "c": 0.5, "d": 0.0}
    drift = importance_drift(before, now)
    assert drift.kendall_tau == pytest.approx(stats.kendalltau(list(before.values()), list(now.values())).statistic)
    assert {f.name: f.champion_rank for f in drift.features} == {"a": 1, "b": 2, "c": 2, "d": 4}


@pytest.mark.parametrize("importances", [{"a": 1.0}, {"a": 0.0, "b": 0.0}, {}])
def test_importances_without_an_order_have_no_correlation(importances):
    assert importance_drift(importances, importances).kendall_tau is None


class FirstNumberPlusFirstText:
    """Stands in for a graph, so that it shows which values reach which column."""

    def scores(self, numbers, texts):
        return np.nan_to_num(numbers[:, 0]) / 1000 + (texts[:, 0] == "red") / 2


def test_a_graph_in_a_pipelines_place_gets_numbers_and_texts_apart():
    matrices = frame_matrices(example_frame(50), CONTRACT)
    answered = ServedClassifier(FirstNumberPlusFirstText(), CONTRACT).predict_proba(pipeline_input(*matrices))
    expected = FirstNumberPlusFirstText().scores(*matrices)
    assert answered[:, 1] == pytest.approx(expected, abs=1e-9)
    assert answered.sum(axis=1) == pytest.approx(1.0)
