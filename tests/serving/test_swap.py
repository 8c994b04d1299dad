"""A promoted version answers within a second, without a failed call, and the old one goes."""

import gc
import json
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from serving.client import Client
from serving.errors import ContractError, ModelUnavailableError
from serving.formats.contract import TextFeature
from serving.formats.release import ReleaseStore
from serving.scoring.host import ModelHost
from tests.serving.harness import RunningServer, eventually
from tests.serving.load import load_on
from tests.serving.swaps import promotion_lags, worker_bytes
from tests.serving.toy import CONTRACT, MODEL, ROW, append_release, promote, score_of, write_toy_bundle

RENAMED = replace(CONTRACT, texts=(CONTRACT.texts[0], TextFeature("airport", ("jfk",), open=True, nullable=True)))
"""Another contract for the same graph."""


@pytest.fixture
def pair(new_server: Callable[..., RunningServer]) -> RunningServer:
    """A server of two workers that answers with version 1."""
    server = new_server(workers=2, seal_seconds=0.2, ship_seconds=0.2)
    promote(server.store, 1)
    server.start()
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
    return server


def swap_under_load(server: RunningServer, swaps: int) -> None:
    """Swap again and again; every call is answered, and with the score of the version that the answer names."""
    with load_on(server.address, retry_seconds=0) as load, server.client() as client:
        for version in range(2, swaps + 2):
            promote(server.store, version)
            eventually(lambda v=version: client.predict(MODEL, ROW).model_version == str(v), what="swap")
            before = len(load.answers)
            eventually(lambda n=before: len(load.answers) > n + 5, what="answers after a swap")
    assert not load.failures
    assert len({answer.model_version for _, answer in load.answers}) > swaps * 0.9
    for distance, answer in load.answers:
        expected = score_of(int(answer.model_version), distance, None, "aa")
        assert answer.probability == pytest.approx(expected, abs=1e-6)
        assert answer.generation == int(answer.model_version)


def promotions(store: ReleaseStore, count: int) -> Iterator[Callable[[], object]]:
    bundles = [write_toy_bundle(store.bundles, version) for version in range(2, count + 2)]
    for bundle in bundles:
        yield partial(append_release, store, bundle)


def test_swaps_under_load_fail_no_call_and_each_answer_is_that_of_the_version_it_names(pair: RunningServer):
    swap_under_load(pair, 15)
    assert 'model_swap_seconds_count{model="toy"}' in pair.http("/metrics")[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_swaps_under_load_fail_no_call(pair: RunningServer):
    swap_under_load(pair, 200)


def test_a_promotion_reaches_all_workers_within_a_second(pair: RunningServer):
    lags = promotion_lags(pair.address, MODEL, ROW, promotions(pair.store, 7))
    assert sorted(lags)[3] < 1


@pytest.mark.slow
def test_of_fifty_promotions_the_slowest_reaches_all_workers_within_a_second(pair: RunningServer):
    assert max(promotion_lags(pair.address, MODEL, ROW, promotions(pair.store, 50))) < 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_swaps_hold_no_more_memory_than_ten(pair: RunningServer):
    seen = {}
    with pair.client() as client:
        for swaps, promotion in enumerate(promotions(pair.store, 200), start=1):
            line = f"(generation {promotion().generation})"
            eventually(lambda text=line: pair.log.count(text) == 2, what=line)
            client.predict(MODEL, ROW)
            if swaps in {10, 200}:
                seen[swaps] = worker_bytes(pair)
    assert seen[200] <= 1.05 * seen[10]


def test_another_contract_breaks_neither_calls_in_flight_nor_the_journal(pair: RunningServer):
    new_row = {"distance": 400.0, "hour": 7, "carrier": "aa", "airport": "lga"}
    with load_on(pair.address, retry_seconds=0) as load, pair.client() as client:
        eventually(lambda: len(load.answers) > 50, what="load")
        promote(pair.store, 2, contract=RENAMED)
        eventually(lambda: client.model_info(MODEL).model_version == "2", what="swap")
        eventually(lambda: len(load.failures) > 5, what="refusals of rows of the old contract")
        eventually(lambda: _answers(client, new_row), what="answers to rows of the new contract")
        answered = [client.predict(MODEL, new_row) for _ in range(20)]
    assert {type(failure) for failure in load.failures} == {ContractError}
    assert {answer.model_version for _, answer in load.answers} == {"1"}
    for distance, answer in load.answers:
        assert answer.probability == pytest.approx(score_of(1, distance, None, "aa"), abs=1e-6)
    acknowledged = set(load.acknowledged) | {answer.prediction_id for answer in answered}
    eventually(lambda: acknowledged <= set(pair.shipped()), what="shipping")
    rows = {row["prediction_id"]: row for row in pair.table("predictions").to_pylist()}
    assert all(rows[answer.prediction_id]["airport"] == "lga" for answer in answered)
    assert all(rows[prediction_id]["airport"] is None for prediction_id in load.acknowledged)
    assert not list(pair.home.glob("journals/quarantine/*"))


def _answers(client: Client, row: dict[str, object]) -> bool:
    try:
        return client.predict(MODEL, row).model_version == "2"
    except ContractError:
        return False


def test_a_server_without_any_model_is_alive_and_not_ready_until_one_is_promoted(
    new_server: Callable[..., RunningServer],
):
    server = new_server().start()
    with server.client(retry_seconds=0) as client:
        assert (server.http("/livez")[0], server.http("/readyz")[0]) == (200, 503)
        assert not client.health()
        append_release(server.store, None)
        eventually(lambda: server.store.latest_generation(MODEL) == 1, what="the empty release")
        promote(server.store, 1)
        with server.client(retry_seconds=10) as patient:
            assert patient.wait_until_healthy(MODEL)
            assert patient.predict(MODEL, ROW).model_version == "1"
        eventually(lambda: server.http("/readyz")[0] == 200, what="readiness")


def test_a_refusal_moves_the_generation_and_not_the_version(store: ReleaseStore, host: ModelHost):
    deployed = promote(store, 1).routing.production
    host.poll()
    predictor = host.model(MODEL).predictor
    append_release(store, deployed, action="refuse")
    host.poll()
    assert (host.model(MODEL).generation, host.model(MODEL).version) == (2, "1")
    assert host.model(MODEL).predictor is predictor


def test_an_earlier_prediction_keeps_its_features_when_another_contract_or_nothing_is_in_production(
    pair: RunningServer,
):
    with pair.client(retry_seconds=0) as client:
        answer = client.predict(MODEL, ROW)
        eventually(lambda: answer.prediction_id in pair.shipped(), what="shipping")
        before = client.prediction(MODEL, answer.prediction_id)
        assert dict(before.texts) == {"carrier": "aa", "origin": "jfk"}
        promote(pair.store, 2, contract=RENAMED)
        renamed = ROW | {"airport": "lga"}
        del renamed["origin"]
        later = eventually(lambda: _tried(client, renamed), what="swap")
        eventually(lambda: later in pair.shipped(), what="shipping")
        append_release(pair.store, None)
        eventually(lambda: pair.log.count("not ready: no model") == 2, what="withdrawal")
        assert client.prediction(MODEL, answer.prediction_id) == before
        assert dict(client.prediction(MODEL, later).texts) == {"carrier": "aa", "airport": "lga"}


def _tried(client: Client, row: dict) -> str:
    try:
        return client.predict(MODEL, row).prediction_id
    except ContractError:  # by a worker that has not swapped yet
        return ""


def test_a_call_in_flight_keeps_the_version_it_began_with_and_the_last_one_frees_it(
    store: ReleaseStore, host: ModelHost
):
    promote(store, 1)
    host.poll()
    begun = host.model(MODEL)
    promote(store, 2)
    host.poll()
    assert (begun.version, host.model(MODEL).version) == ("1", "2")
    scores = begun.predictor.scores(np.array([[400.0, 7.0]]), np.array([["aa", "jfk"]], dtype=object))
    assert scores[0] == pytest.approx(score_of(1, 400, 7, "aa"), abs=1e-6)
    old = weakref.ref(begun.predictor)
    del begun
    gc.collect()
    assert old() is None


def test_a_model_that_appears_later_is_found(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    promote(store, 1, contract=replace(CONTRACT, model="other"))
    host.poll()
    assert host.names == ["other", MODEL]


def test_a_model_that_is_taken_out_of_production_is_not_available(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    append_release(store, None)
    host.poll()
    with pytest.raises(ModelUnavailableError):
        host.model(MODEL)


def test_a_swap_takes_far_less_than_the_second_that_is_promised(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    seconds = []
    for version in range(2, 12):
        promote(store, version)
        began = time.monotonic()
        host.poll()
        seconds.append(time.monotonic() - began)
    assert sorted(seconds)[5] < 0.3


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"routing": {"production": {"version": 5, "bundle": 7}}}',
        b"\xff\xfe",
    ],
    ids=["half", "list", "deep", "numbers", "bytes"],
)
def test_a_damaged_release_document_keeps_the_old_version_and_stops_no_other_model(
    store: ReleaseStore, host: ModelHost, content: bytes
):
    promote(store, 1)
    host.poll()
    document = json.loads((store.root / "releases" / MODEL / "1.json").read_bytes())
    if content.startswith(b'{"'):
        content = json.dumps(document | {"generation": 2} | json.loads(content)).encode()
    (store.root / "releases" / MODEL / "2.json").write_bytes(content)
    promote(store, 1, contract=replace(CONTRACT, model="zoo"))
    host.poll()
    assert host.model(MODEL).version == "1"
    assert host.model("zoo").version == "1"
