"""The replay's order: rows when they happen, labels when they are known, and an end that is reached."""

from dataclasses import dataclass, field
from datetime import timedelta

import pandas as pd
import pytest

from mlops_assets.errors import InsufficientDataError
from mlops_assets.replay.traffic import Replay
from serving.client import Prediction
from tests.conftest import ANCHOR, tiny_rows

HOUR = timedelta(hours=1)


@dataclass
class Recorder:
    """Stands in for a server: answers everything and keeps the order of events."""

    events: list = field(default_factory=list)

    def predict_future(self, model, row, *, entity_key, event_time, request_id):
        self.events.append(("row", event_time, entity_key))
        return self

    def result(self):
        return Prediction(self.events[-1][2], "yes", 0.9, 0.9, "1", 1)

    def feedback(self, model, labels):
        self.events += [("label", label.observed_at, label.prediction_id) for label in labels]
        return len(labels)


@pytest.fixture
def traffic():
    frame = tiny_rows(48, start=ANCHOR, length=48 * HOUR, seed=1)
    observed = frame["event_time"] + 5 * HOUR
    observed.iloc[7] = pd.NaT
    observed.iloc[30] = frame["event_time"].iloc[30] + timedelta(minutes=1)
    return frame.assign(observed_at=observed)


def replay_of(tiny_spec, traffic, known=None):
    recorder = Recorder()
    return recorder, Replay(recorder, tiny_spec, traffic, known or {})


def test_after_the_last_window_only_labels_are_sent_until_the_horizon(tiny_spec, traffic):
    recorder, replay = replay_of(tiny_spec, traffic)
    replay.play_until(ANCHOR + 30 * HOUR, predictions_before=ANCHOR + 24 * HOUR, on_slice=lambda _: None)
    rows = [event for event in recorder.events if event[0] == "row"]
    labels = [event for event in recorder.events if event[0] == "label"]
    assert [time for _, time, _ in rows] == [ANCHOR + n * HOUR for n in range(24)]
    assert len(labels) == 23
    assert {key for _, _, key in labels} <= {key for _, _, key in rows}


def test_a_label_follows_its_row(tiny_spec, traffic):
    recorder, replay = replay_of(tiny_spec, traffic)
    for hours in (10, 40, 60):
        replay.play_until(ANCHOR + hours * HOUR, predictions_before=ANCHOR + 99 * HOUR, on_slice=lambda _: None)
    places = {(kind, key): place for place, (kind, _, key) in enumerate(recorder.events)}
    labeled = [key for kind, key in places if kind == "label"]
    assert len(labeled) == 47
    assert all(places["row", key] < places["label", key] for key in labeled)
    assert replay.tally.acknowledged == 48


def test_a_resumed_replay_sends_no_row_twice_and_labels_those_of_before(tiny_spec, traffic):
    known = {
        (key, time.to_pydatetime()): f"old {key}"
        for key, time in zip(traffic["entity_key"][:20], traffic["event_time"][:20], strict=True)
    }
    recorder, replay = replay_of(tiny_spec, traffic, known)
    replay.play_until(ANCHOR + 60 * HOUR, predictions_before=ANCHOR + 60 * HOUR, on_slice=lambda _: None)
    assert sum(kind == "row" for kind, _, _ in recorder.events) == 28
    assert sum(key.startswith("old") for kind, _, key in recorder.events if kind == "label") == 19


def test_the_label_feed_says_until_when_it_is_complete(tiny_spec, traffic):
    recorder, replay = replay_of(tiny_spec, traffic)
    replay.confirm_labels(ANCHOR)
    assert recorder.events == []
    replay.play_until(ANCHOR + 10 * HOUR, predictions_before=ANCHOR + 10 * HOUR, on_slice=lambda _: None)
    newest = recorder.events[-1]
    replay.confirm_labels(ANCHOR + 99 * HOUR)
    assert recorder.events[-1] == ("label", ANCHOR + 99 * HOUR, newest[2])


def test_no_traffic_is_named(tiny_spec, traffic):
    with pytest.raises(InsufficientDataError, match="no traffic"):
        replay_of(tiny_spec, traffic.head(0))
