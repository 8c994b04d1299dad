from dataclasses import replace
from datetime import timedelta

import pandas as pd
import pytest

from mlops_assets.lake.queries import (
    answer_errors,
    label_counts,
    labelled_predictions,
    log_versions,
    score_groups,
    watermark,
)
from mlops_assets.spec import Category, Number
from tests.conftest import ANCHOR, DAY
from tests.lake_rows import log_labels, log_predictions

HOUR = timedelta(hours=1)


def prediction(prediction_id, hours, **more):
    return {"prediction_id": prediction_id, "event_time": ANCHOR + hours * HOUR, "size": 9.5, "color": "red", **more}


def label(prediction_id, value, hours, **more):
    return {"prediction_id": prediction_id, "label": value, "observed_at": ANCHOR + hours * HOUR, **more}


def read(lake, spec, versions=None):
    frame = labelled_predictions(
        lake, spec, versions or log_versions(lake, spec.name), start=ANCHOR, end=ANCHOR + 10 * DAY
    )
    return {row.prediction_id: row.observed_label for row in frame.itertuples()}


def test_a_retried_call_counts_once_and_a_label_to_any_of_its_ids_joins(lake, tiny_spec):
    retried = {"request_id": "call", "received_at": ANCHOR + HOUR}
    log_predictions(
        lake,
        tiny_spec,
        [
            prediction("first", 1, **retried),
            prediction("again", 1, **{**retried, "received_at": ANCHOR + 2 * HOUR}),
            prediction("other row", 1, **retried, row=1),
        ],
    )
    log_labels(lake, tiny_spec, [label("again", "yes", 5)])
    assert read(lake, tiny_spec) == {"first": "yes", "other row": None}


def test_predictions_without_a_request_id_never_merge(lake, tiny_spec):
    log_predictions(lake, tiny_spec, [prediction("a", 1), prediction("b", 1), prediction("c", 1, request_id="")])
    assert set(read(lake, tiny_spec)) == {"a", "b", "c"}


def test_the_latest_observation_is_the_label(lake, tiny_spec):
    log_predictions(lake, tiny_spec, [prediction("a", 1)])
    log_labels(lake, tiny_spec, [label("a", "yes", 9), label("a", "no", 5)])
    assert read(lake, tiny_spec) == {"a": "yes"}


def test_shadow_answers_are_not_read(lake, tiny_spec):
    log_predictions(lake, tiny_spec, [prediction("a", 1), prediction("b", 1, role="shadow")])
    assert set(read(lake, tiny_spec)) == {"a"}


def test_a_reading_is_pinned_to_the_versions_it_names(lake, tiny_spec):
    log_predictions(lake, tiny_spec, [prediction("a", 1)])
    before = log_versions(lake, tiny_spec.name)
    log_predictions(lake, tiny_spec, [prediction("b", 2)])
    log_labels(lake, tiny_spec, [label("a", "yes", 3)])
    assert read(lake, tiny_spec, before) == {"a": None}
    assert read(lake, tiny_spec) == {"a": "yes", "b": None}


def test_an_empty_log_reads_as_no_rows(lake, tiny_spec):
    frame = labelled_predictions(lake, tiny_spec, log_versions(lake, "tiny"), start=ANCHOR, end=ANCHOR + DAY)
    assert frame.empty
    assert {"size", "color", "observed_label", "score"} <= set(frame.columns)
    assert label_counts(lake, tiny_spec, start=ANCHOR) == {}


def test_label_counts_change_with_every_late_and_corrected_label(lake, tiny_spec):
    log_predictions(lake, tiny_spec, [prediction("a", 1), prediction("b", 2), prediction("c", 30)])
    log_labels(lake, tiny_spec, [label("a", "yes", 3)])
    first = label_counts(lake, tiny_spec, start=ANCHOR)
    assert {start: (count.n_rows, count.n_labels) for start, count in first.items()} == {
        ANCHOR: (2, 1),
        ANCHOR + DAY: (1, 0),
    }
    log_labels(lake, tiny_spec, [label("a", "no", 4)])
    corrected = label_counts(lake, tiny_spec, start=ANCHOR)
    assert corrected[ANCHOR].digest != first[ANCHOR].digest
    log_labels(lake, tiny_spec, [label("a", "no", 5)])
    assert label_counts(lake, tiny_spec, start=ANCHOR) == corrected


def test_the_event_clock_follows_the_greatest_event_or_observation_and_the_wall_clock_now(lake, tiny_spec):
    now = ANCHOR + 100 * DAY
    assert watermark(lake, tiny_spec, clock="event", now=now) is None
    assert watermark(lake, tiny_spec, clock="wall", now=now) is None
    log_predictions(lake, tiny_spec, [prediction("a", 1), prediction("b", 30)])
    assert watermark(lake, tiny_spec, clock="event", now=now) == ANCHOR + 30 * HOUR
    log_labels(lake, tiny_spec, [label("a", "yes", 50)])
    assert watermark(lake, tiny_spec, clock="event", now=now) == ANCHOR + 50 * HOUR
    assert watermark(lake, tiny_spec, clock="wall", now=now) == now


@pytest.mark.parametrize("name", ["event_time", "received_at"])
def test_times_keep_their_zone(lake, tiny_spec, name):
    log_predictions(lake, tiny_spec, [prediction("a", 1)])
    frame = labelled_predictions(lake, tiny_spec, log_versions(lake, "tiny"), start=ANCHOR, end=ANCHOR + DAY)
    assert frame[name].iloc[0] == pd.Timestamp(ANCHOR + HOUR)


def errors(lake, spec, **more):
    wanted = {"model_version": "1", "since_generation": 1, "limit": 100, "start": ANCHOR, "end": ANCHOR + DAY} | more
    frame = answer_errors(lake, spec, log_versions(lake, spec.name), **wanted)
    return [(int((row.event_time - ANCHOR) / HOUR), bool(row.wrong)) for row in frame.itertuples()]


def test_the_errors_of_one_version_are_read_in_event_order(lake, tiny_spec):
    assert errors(lake, tiny_spec) == []
    answers = [prediction("late", 3, label="yes"), prediction("early", 1, label="no"), prediction("unknown", 2)]
    others = [
        prediction("other version", 2, model_version="2"),
        prediction("before its promotion", 2, generation=0),
        prediction("outside", 24),
        prediction("shadow", 2, role="shadow"),
    ]
    log_predictions(lake, tiny_spec, [*answers, *others])
    assert errors(lake, tiny_spec) == []
    log_labels(lake, tiny_spec, [label(row["prediction_id"], "no", 30) for row in [*answers[:2], *others]])
    assert errors(lake, tiny_spec) == [(1, False), (3, True)]
    assert errors(lake, tiny_spec, limit=1) == [(3, True)]


def test_scores_are_grouped_by_answer_and_counted_once(lake, tiny_spec):
    def groups(version="1"):
        frame = score_groups(
            lake, tiny_spec, log_versions(lake, "tiny"), start=ANCHOR, end=ANCHOR + DAY, model_version=version
        )
        return [(round(row.score, 6), row.label, row.n_rows) for row in frame.itertuples()]

    assert groups() == []
    retried = {"request_id": "call", "score": 0.9, "label": "yes"}
    log_predictions(
        lake,
        tiny_spec,
        [
            prediction("a", 1, score=0.2501),
            prediction("b", 2, score=0.2503),
            prediction("c", 3, score=0.2503, label="yes"),
            prediction("first", 4, **retried),
            prediction("again", 4, **retried, sequence=1),
            prediction("broken", 5, score=float("nan")),
            prediction("broken too", 5, score=float("inf")),
            prediction("other", 6, model_version="2"),
        ],
    )
    assert groups() == [(0.2502, "no", 2), (0.2503, "yes", 1), (0.9, "yes", 1)]
    assert groups("2") == [(0.3, "no", 1)]


@pytest.mark.parametrize("feature", [Number(name="weight"), Category(name="size", open=True)])
def test_a_feature_that_the_log_lacks_or_has_as_another_kind_is_missing(lake, tiny_spec, feature):
    log_predictions(lake, tiny_spec, [prediction("a", 1), prediction("b", 2)])
    features = {known.name: known for known in tiny_spec.features} | {feature.name: feature}
    changed = replace(tiny_spec, features=tuple(features.values()))
    frame = labelled_predictions(lake, changed, log_versions(lake, "tiny"), start=ANCHOR, end=ANCHOR + DAY)
    assert frame[feature.name].isna().all()
    assert frame["color"].tolist() == ["red", "red"]
