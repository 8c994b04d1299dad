import inspect
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from mlops_assets.core import training
from mlops_assets.core.pipelines import DEFAULTS, scores_of
from mlops_assets.core.training import fit_final, permutation_importances, search, split
from mlops_assets.errors import InsufficientDataError
from tests.core.example import START, WEEK, example_frame, example_spec

SPEC = example_spec()
PARTS = split(example_frame(weeks=5), SPEC.training, end=START + 5 * WEEK)


@pytest.fixture(scope="module")
def found():
    return search(PARTS.train, PARTS.validation, SPEC)


def outcome_of(result):
    return [(trial.algorithm, trial.params, trial.values, trial.state) for trial in result.trials]


def test_the_search_begins_with_a_sensible_candidate_of_each_algorithm(found):
    assert [(trial.algorithm, trial.params) for trial in found.trials[:3]] == list(DEFAULTS.items())
    assert [trial.number for trial in found.trials] == [0, 1, 2, 3]
    assert found.stopped_by == "trials"


def test_the_best_complete_trial_wins_and_beats_the_constant_on_validation(found):
    complete = [trial for trial in found.trials if trial.state == "complete"]
    assert all(len(trial.values) == 2 and trial.sd is not None for trial in complete)
    best = min(complete, key=lambda trial: trial.mean)
    assert (found.algorithm, found.params) == (best.algorithm, best.params)
    assert found.validation.log_loss.value == pytest.approx(best.values[-1])
    assert found.validation.log_loss.value < found.validation.constant_log_loss - 0.05


def test_the_same_rows_and_seed_give_the_same_search_and_scores(found):
    again = search(PARTS.train, PARTS.validation, SPEC)
    assert outcome_of(again) == outcome_of(found)
    scores = [
        scores_of(fit_final(result, PARTS.train, PARTS.validation, SPEC), PARTS.holdout, SPEC.contract)
        for result in (found, again)
    ]
    np.testing.assert_array_equal(*scores)


def test_seconds_stop_the_search_and_say_so():
    spec = replace(SPEC, training=replace(SPEC.training, trials=50, seconds=0.01))
    result = search(PARTS.train, PARTS.validation, spec)
    assert result.stopped_by == "seconds"
    assert len(result.trials) == 1


def test_every_trial_is_reported_as_it_ends(monkeypatch):
    seen, threads = [], []
    spec = replace(SPEC, training=replace(SPEC.training, trials=2, algorithms=("hist_gradient_boosting",)))

    def on_trial(trial):
        seen.append(str(trial))
        threads.append(max(pool["num_threads"] for pool in threadpool_info()))

    result = search(PARTS.train, PARTS.validation, spec, on_trial=on_trial)
    assert seen == [str(trial) for trial in result.trials]
    assert "hist_gradient_boosting" in seen[0]
    assert set(threads) == {1}


def test_no_hold_out_can_be_passed_to_search_or_fit():
    assert list(inspect.signature(search).parameters) == ["train", "validation", "spec", "on_trial"]
    assert list(inspect.signature(fit_final).parameters) == ["found", "train", "validation", "spec"]


def test_no_hold_out_row_is_seen_by_search_or_fit(monkeypatch):
    fitted_on = []
    original = training._fitted
    monkeypatch.setattr(
        training, "_fitted", lambda a, p, rows, spec: (fitted_on.append(rows.features), original(a, p, rows, spec))[1]
    )
    marked = PARTS.holdout.assign(visits=777.0)
    spec = replace(SPEC, training=replace(SPEC.training, trials=1))
    frame = example_frame(weeks=5)
    frame.loc[frame["event_time"].isin(marked["event_time"]), "visits"] = 777.0
    parts = split(frame, spec.training, end=START + 5 * WEEK)
    assert set(parts.holdout["visits"]) == {777.0}
    fit_final(search(parts.train, parts.validation, spec), parts.train, parts.validation, spec)
    assert len(fitted_on) == 4
    assert all((rows[1] != 777.0).all() for rows in fitted_on)


def test_too_few_labels_of_one_class_are_refused():
    with pytest.raises(InsufficientDataError, match="of the rarer class"):
        search(PARTS.train.assign(outcome="no"), PARTS.validation, SPEC)


def test_the_features_that_make_the_label_are_the_important_ones(found):
    pipeline = fit_final(found, PARTS.train, PARTS.validation, SPEC)
    importances = permutation_importances(pipeline, PARTS.validation, SPEC)
    assert list(importances) == SPEC.feature_names
    assert max(importances, key=importances.get) == "amount"
    assert abs(importances["color"]) < importances["amount"] / 10
    assert importances == permutation_importances(pipeline, PARTS.validation, SPEC)
