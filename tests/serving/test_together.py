"""Calls that wait at the same time are answered together, and no call minds the others."""

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from protos.mlops.v1 import prediction_pb2
from serving.api import codec
from serving.api.call_pools import CallPool
from serving.api.grpc_status import status_name_of
from serving.api.line import Line
from serving.call_meter import CallMeter
from serving.client import Client
from serving.errors import ContractError, JournalError, ModelNotFoundError, RequestConflictError
from serving.journal.append import Journal
from serving.prediction import PredictionAnswer, PredictionCall, Predictions
from serving.scoring.predictor import Predictor
from tests.serving.harness import eventually
from tests.serving.hosts import host_of
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


def call_of(row: dict, *, request_id: str = "", model: str = MODEL) -> PredictionCall:
    numbers = {name: value for name, value in row.items() if not isinstance(value, str)}
    texts = {name: value for name, value in row.items() if isinstance(value, str)}
    request = prediction_pb2.PredictRequest(model=model, numbers=numbers, texts=texts, request_id=request_id)
    return codec.call_of_one(request)


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


def test_many_callers_at_once_get_the_answers_to_their_own_rows(client: Client):
    rows = [ROW | {"distance": float(distance)} for distance in range(400)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: client.predict(MODEL, row), rows))
    expected = [score_of(1, row["distance"], row["hour"], row["carrier"]) for row in rows]
    assert [answer.probability for answer in answers] == pytest.approx(expected, abs=1e-6)


@pytest.fixture
def pool() -> Iterator[CallPool]:
    pool = CallPool("line", threads=4, queue=0)
    for _ in range(4):
        pool.enter(object())
    yield pool
    assert pool.close(10)


def test_a_line_gives_all_that_waits_to_one_worker_in_its_order(pool: CallPool):
    taken, entered, leave = [], threading.Event(), threading.Event()

    def work_on(some: list[int]) -> None:
        entered.set()
        assert leave.wait(10)
        taken.append(list(some))

    line = Line(work_on, pool, at_most=3)
    line.join(0)
    assert entered.wait(10)
    for one in range(1, 6):
        line.join(one)
    leave.set()
    eventually(lambda: len(taken) == 3, what="the line")
    assert taken == [[0], [1, 2, 3], [4, 5]]


def test_a_line_goes_on_behind_what_fails(pool: CallPool, caplog):
    taken = []

    def work_on(some: list[int]) -> None:
        if some == [0]:
            raise ZeroDivisionError
        taken.extend(some)

    line = Line(work_on, pool, at_most=1)
    for one in range(3):
        line.join(one)
    eventually(lambda: len(taken) == 2, what="the others")
    assert taken == [1, 2]
    assert "the work of 1 calls failed" in caplog.text


def test_nobody_is_forgotten_when_many_join(pool: CallPool):
    taken, guard = [], threading.Lock()

    def work_on(some: list[int]) -> None:
        with guard:
            taken.extend(some)

    line = Line(work_on, pool, at_most=7)
    with ThreadPoolExecutor(8) as callers:
        list(callers.map(line.join, range(20_000)))
    eventually(lambda: len(taken) == 20_000, what="all")
    assert sorted(taken) == list(range(20_000))


def test_a_line_that_never_ends_lets_other_work_of_its_pool_pass():
    pool, others = CallPool("one thread", threads=1, queue=0), threading.Event()
    pool.enter(object())
    line = Line(lambda some: line.join(0) if not others.is_set() else None, pool, at_most=1)
    line.join(0)
    pool.run(others.set)
    assert others.wait(10)
    assert pool.close(10)


def test_a_row_that_breaks_the_graph_spoils_nobody_elses_answer(predictions: Predictions, monkeypatch):
    def scores_of(predictor, *calls):
        if any(numbers[0][0] == 13.0 for numbers, _ in calls):
            raise ZeroDivisionError
        return original(predictor, *calls)

    original = Predictor.scores_of
    monkeypatch.setattr(Predictor, "scores_of", scores_of)
    calls = [call_of(ROW | {"distance": distance}, request_id=str(distance)) for distance in (12.0, 13.0, 14.0)]
    for _ in range(2):
        kinds = [type(outcome) for outcome in predictions.predict_together(calls)]
        assert kinds == [PredictionAnswer, ZeroDivisionError, PredictionAnswer]


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
