"""A retried request is answered as the first one was, and logged once."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.client import Client
from serving.errors import RequestConflictError
from serving.recent_answers import RecentAnswers
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW

KEY = ("", "toy", "r1")


def test_a_retry_gets_the_same_answer_and_one_record(server: RunningServer, client: Client):
    first = client.predict(MODEL, ROW, request_id="again")
    assert client.predict(MODEL, ROW, request_id="again") == first
    last = client.predict(MODEL, ROW)
    eventually(lambda: last.prediction_id in server.shipped(), what="shipping")
    assert server.table("predictions")["request_id"].to_pylist().count("again") == 1


def test_a_retried_batch_gets_the_same_answers(client: Client):
    columns = {"distance": [1.0, 2.0], "hour": [1, None], "carrier": ["aa", "bb"], "origin": [None, "lga"]}
    first = client.predict_batch(MODEL, columns, request_id="batch-again")
    assert client.predict_batch(MODEL, columns, request_id="batch-again") == first


def test_the_same_id_with_another_payload_is_a_conflict(client: Client):
    client.predict(MODEL, ROW, request_id="taken")
    with pytest.raises(RequestConflictError, match="'taken' was used for another payload"):
        client.predict(MODEL, ROW | {"hour": 8}, request_id="taken")
    with pytest.raises(RequestConflictError):
        client.predict(MODEL, ROW, entity_key="other", request_id="taken")


def test_concurrent_retries_are_one_prediction(client: Client):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: client.predict(MODEL, ROW, request_id="crowd"), range(64)))
    assert len({answer.prediction_id for answer in answers}) == 1


def once(answers: RecentAnswers[int], key, payload: bytes, compute: Callable[[], int], rows: int = 1) -> int:
    """Claim a request id and answer as a worker does."""
    claim, is_new = answers.claim(key, payload, rows=rows)
    if not is_new:
        return answers.answer_to(claim)
    try:
        answers.settle(claim, compute())
    except Exception as error:
        answers.fail(claim, error)
        raise
    return claim.answer


def slowly(calls: list[int]) -> Callable[[], int]:
    def compute() -> int:
        calls.append(1)
        time.sleep(0.05)
        return len(calls)

    return compute


def test_those_who_come_while_the_first_is_computed_wait_for_it():
    answers, calls = RecentAnswers[int](), []
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: once(answers, KEY, b"p", slowly(calls)), range(8)))
    assert (found, len(calls)) == ([1] * 8, 1)


def test_a_failure_is_told_to_all_who_wait_and_is_not_remembered():
    answers = RecentAnswers[int]()
    entered, leave = threading.Event(), threading.Event()

    def fail() -> int:
        entered.set()
        leave.wait(5)
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(once, answers, KEY, b"p", fail)
        entered.wait(5)
        second = pool.submit(once, answers, KEY, b"p", lambda: 1)
        time.sleep(0.05)
        leave.set()
        assert isinstance(first.exception(), ZeroDivisionError)
        assert isinstance(second.exception(), ZeroDivisionError)
    assert once(answers, KEY, b"p", lambda: 2) == 2


def test_large_answers_are_forgotten_sooner():
    answers = RecentAnswers[int](rows=10)
    for number in range(3):
        once(answers, ("", "toy", str(number)), b"p", lambda n=number + 1: n, rows=5)
    assert once(answers, ("", "toy", "1"), b"p", lambda: 8) == 2
    assert once(answers, ("", "toy", "0"), b"p", lambda: 7) == 7


def test_answers_are_forgotten_by_age_and_by_number():
    aged = RecentAnswers[int](seconds=0.05)
    once(aged, KEY, b"p", lambda: 1)
    time.sleep(0.1)
    assert once(aged, KEY, b"other", lambda: 2) == 2
    few = RecentAnswers[int](ids=2)
    for number in range(3):
        once(few, ("", "toy", str(number)), b"p", lambda n=number + 1: n)
    assert once(few, ("", "toy", "2"), b"p", lambda: 8) == 3
    assert once(few, ("", "toy", "0"), b"p", lambda: 7) == 7
