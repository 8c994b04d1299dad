"""Calls that wait at the same time are answered together, and no call minds the others."""

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from protos.mlops.v1 import prediction_pb2
from serving.api.grpc_status import status_name_of
from serving.api.line import Line
from serving.call_meter import CallMeter
from serving.client import Client
from serving.errors import ContractError, JournalError, ModelNotFoundError, RequestConflictError
from serving.journal.append import Journal
from serving.journal.decode import tables_of
from serving.journal.segment import read_records
from serving.prediction import PredictionAnswer, Predictions
from serving.scoring.predictor import Predictor
from tests.serving.calls import batch_of, call_of
from tests.serving.hosts import host_of
from tests.serving.records import sealed
from tests.serving.toy import MODEL, ROW, promote, score_of
from tests.signing import signing_store


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journals")
    yield journal
    journal.close()


@pytest.fixture
def predictions(tmp_path: Path, journal: Journal) -> Predictions:
    """Answers with the toy model's version 1 in this process."""
    promote(signing_store(tmp_path), 1)
    host = host_of(tmp_path)
    host.poll()
    return Predictions(host, journal, CallMeter(), status_of=status_name_of)


def test_every_call_gets_its_own_answer_in_its_place(predictions: Predictions):
    rows = [ROW | {"distance": float(distance), "hour": 7.0} for distance in range(0, 1000, 100)]
    answers = predictions.predict_together([call_of(row) for row in rows])
    expected = [score_of(1, row["distance"], row["hour"], row["carrier"]) for row in rows]
    assert [answer.probabilities[0] for answer in answers] == pytest.approx(expected, abs=1e-6)
    assert len({answer.prediction_ids[0] for answer in answers}) == len(rows)


def test_what_is_wrong_with_one_call_is_no_other_calls_matter(predictions: Predictions):
    outcomes = predictions.predict_together(
        [call_of(ROW), call_of({"distance": 1.0}), call_of(ROW, model="unknown"), call_of(ROW)]
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [PredictionAnswer, ContractError, ModelNotFoundError, PredictionAnswer]


def test_a_repeated_request_id_is_one_prediction_even_in_one_go(predictions: Predictions):
    other = ROW | {"distance": 1.0}
    calls = [call_of(ROW, request_id="a"), call_of(ROW, request_id="a"), call_of(other, request_id="a"), call_of(other)]
    first, again, conflict, apart = predictions.predict_together(calls)
    assert again is first
    assert isinstance(conflict, RequestConflictError)
    assert apart.prediction_ids != first.prediction_ids


def test_a_journal_that_takes_nothing_refuses_all_and_the_next_retry_begins_anew(predictions: Predictions, journal):
    calls = [call_of(ROW, request_id=name) for name in ("a", "b", "a")]
    journal._refusal = "no room"
    assert [type(outcome) for outcome in predictions.predict_together(calls)] == [JournalError] * 3
    journal._refusal = ""
    assert [type(outcome) for outcome in predictions.predict_together(calls)] == [PredictionAnswer] * 3


def test_what_was_answered_together_is_logged_as_each_calls_own_rows(predictions: Predictions, journal: Journal):
    timed = prediction_pb2.PredictRequest().event_time
    timed.FromMicroseconds(1_700_000_000_000_000)
    calls = [
        call_of(ROW | {"distance": 1.0}, request_id="a", entity_key="UA-1"),
        call_of(ROW | {"distance": 2.0, "carrier": "bb"}, event_time=timed),
        batch_of([3.0, 4.0], request_id="b", entity_keys=["x", "y"]),
        batch_of([5.0]),
        call_of(ROW | {"distance": 6.0, "origin": "lga", "hour": 3.0}, request_id="c"),
    ]
    answers = predictions.predict_together(calls)
    journal.close()
    (segment,) = sealed(journal._root)
    records = read_records(segment.path.read_bytes())
    assert len(records.payloads) == 2, "the contract and one record"
    (table,) = tables_of(records.payloads, journal=segment.journal, segment=1)["toy/predictions"]
    rows = table.to_pylist()
    assert segment.rows == len(rows) == 6
    for column, expected in {
        "prediction_id": [one for answer in answers for one in answer.prediction_ids],
        "score": [one for answer in answers for one in answer.probabilities],
        "label": [one for answer in answers for one in answer.labels],
        "request_id": ["a", None, "b", "b", None, "c"],
        "row": [0, 0, 0, 1, 0, 0],
        "entity_key": ["UA-1", None, "x", "y", None, None],
        "distance": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "hour": [7.0, 7.0, 7.0, 7.0, 7.0, 3.0],
        "carrier": ["aa", "bb", "aa", "aa", "aa", "aa"],
        "origin": ["jfk", "jfk", "jfk", "jfk", "jfk", "lga"],
        "sequence": [(1 << 32) + place for place in range(6)],
    }.items():
        assert [row[column] for row in rows] == expected, column
    times = [row["event_time"] for row in rows]
    assert [time.timestamp() for time in times[1:2]] == [1_700_000_000]
    assert {row["received_at"] for row in rows} == set(times[:1] + times[2:])


def test_many_callers_at_once_get_the_answers_to_their_own_rows(client: Client):
    rows = [ROW | {"distance": float(distance)} for distance in range(400)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: client.predict(MODEL, row), rows))
    expected = [score_of(1, row["distance"], row["hour"], row["carrier"]) for row in rows]
    assert [answer.probability for answer in answers] == pytest.approx(expected, abs=1e-6)


def test_a_line_gives_all_that_waits_in_its_order_and_only_so_many_at_once():
    taken, due = [], []
    line = Line(taken.append, due.append, at_most=3)
    for one in range(5):
        line.join(one)
    while due:
        due.pop(0)()
    assert taken == [[0, 1, 2], [3, 4]]


def test_a_line_goes_on_behind_what_fails():
    taken, due = [], []

    def work_on(some: list[int]) -> None:
        if some == [0]:
            raise ZeroDivisionError
        taken.extend(some)

    line = Line(work_on, due.append, at_most=1)
    for one in range(3):
        line.join(one)
    with pytest.raises(ZeroDivisionError):
        due.pop(0)()
    while due:
        due.pop(0)()
    assert taken == [1, 2]


def test_a_row_that_breaks_the_graph_spoils_nobody_elses_answer(predictions: Predictions, monkeypatch):
    def scores_of(predictor, numbers, texts):
        if 13.0 in numbers[:, 0]:
            raise ZeroDivisionError
        return original(predictor, numbers, texts)

    original = Predictor.scores_of
    monkeypatch.setattr(Predictor, "scores_of", scores_of)
    calls = [call_of(ROW | {"distance": distance}, request_id=str(distance)) for distance in (12.0, 13.0, 14.0)]
    for _ in range(2):
        kinds = [type(outcome) for outcome in predictions.predict_together(calls)]
        assert kinds == [PredictionAnswer, ZeroDivisionError, PredictionAnswer]


def test_what_the_journal_may_have_is_not_written_again(predictions: Predictions, journal: Journal, monkeypatch):
    written = []

    def append(*arguments: object, rows: int, **options: object) -> None:
        written.append(rows)
        raise OSError

    monkeypatch.setattr(journal, "append", append)
    outcomes = predictions.predict_together([call_of(ROW), call_of(ROW, request_id="a")])
    assert [type(outcome) for outcome in outcomes] == [OSError, OSError]
    assert written == [2]
    monkeypatch.undo()
    assert isinstance(predictions.predict(call_of(ROW, request_id="a")), PredictionAnswer)


def test_a_refused_call_is_gone_without_the_collector(predictions: Predictions):
    gc.collect()
    gc.disable()
    try:
        wrong = call_of({"distance": 1.0})
        gone = weakref.ref(wrong.rows_of)
        with pytest.raises(ContractError):
            predictions.predict(wrong)
        del wrong
        assert gone() is None
    finally:
        gc.enable()
