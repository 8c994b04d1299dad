"""Rows that are scored one by one over one call: in order, each journaled, and none lost when the call ends early."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest

from protos.mlops.v1 import prediction_pb2 as pb
from protos.mlops.v1.prediction_pb2_grpc import PredictionServiceStub
from serving.client import Client, Prediction, Row
from serving.errors import ContractError, ModelNotFoundError, OverloadError
from tests.serving.harness import RunningServer, eventually, free_port
from tests.serving.toy import MODEL, ROW, promote, score_of


def rows(count: int) -> list[Row]:
    return [Row(ROW | {"distance": float(number % 1000)}, entity_key=f"k{number}") for number in range(count)]


def request_of(distance: float = 1.0) -> pb.PredictRequest:
    return pb.PredictRequest(
        model=MODEL, numbers={"distance": distance, "hour": 1}, texts={"carrier": "aa", "origin": ""}
    )


class OpenStream:
    """A raw stream that sends what it is told, for what the client of `serving/client.py` does not do."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
        self._requests: queue.SimpleQueue[pb.PredictRequest | None] = queue.SimpleQueue()
        self.call = PredictionServiceStub(self._channel).PredictStream(iter(self._requests.get, None))

    def predict(self) -> pb.PredictStreamResponse:
        self._requests.put(request_of())
        return next(self.call)

    def end(self) -> None:
        self._requests.put(None)

    def close(self) -> None:
        self.end()
        self._channel.close()


@pytest.fixture
def open_stream(server: RunningServer) -> Iterator[Callable[..., OpenStream]]:
    opened = []

    def make(address: str = "") -> OpenStream:
        opened.append(OpenStream(address or server.address))
        return opened[-1]

    yield make
    for stream in opened:
        stream.close()


def test_thousands_of_rows_are_answered_in_their_order_and_logged_once(server: RunningServer, client: Client):
    answers = list(client.predict_stream(MODEL, iter(rows(3000))))
    expected = [score_of(1, number % 1000, 7, "aa") for number in range(3000)]
    assert [answer.probability for answer in answers] == pytest.approx(expected, abs=1e-6)
    eventually(lambda: answers[-1].prediction_id in server.shipped(), what="shipping")
    table = server.table("predictions").to_pylist()
    by_id = {row["prediction_id"]: row for row in table}
    assert [by_id[answer.prediction_id]["entity_key"] for answer in answers] == [f"k{n}" for n in range(3000)]
    assert len(by_id) == len(table)


def test_a_refused_row_is_answered_with_its_error_and_the_stream_goes_on(client: Client):
    good = Row(ROW)
    stream = client.predict_stream(MODEL, [good, Row({"distance": -1.0}), good, Row(ROW | {"wing": 1}), good])
    answers = list(stream)
    assert [type(answer) for answer in answers] == [Prediction, ContractError, Prediction, ContractError, Prediction]
    assert {violation.field for violation in answers[1].violations} == {"distance", "hour", "carrier", "origin"}
    unknown = list(client.predict_stream("nonsense", [good]))
    assert [type(answer) for answer in unknown] == [ModelNotFoundError]


def test_an_empty_stream_has_no_answers(client: Client):
    assert list(client.predict_stream(MODEL, [])) == []


def test_a_row_may_depend_on_the_answer_before(client: Client):
    answers: queue.SimpleQueue[Prediction] = queue.SimpleQueue()

    def dependent() -> Iterator[Row]:
        yield Row(ROW)
        for _ in range(5):
            yield Row(ROW | {"distance": answers.get(timeout=20).probability * 100})

    found = []
    for answer in client.predict_stream(MODEL, dependent()):
        found.append(answer)
        answers.put(answer)
    assert len(found) == 6
    assert len({answer.probability for answer in found}) > 2


def test_what_the_source_of_rows_raises_is_raised_after_the_answers_before_it(client: Client):
    def broken() -> Iterator[Row]:
        yield Row(ROW)
        raise ZeroDivisionError

    answers = []
    with pytest.raises(ZeroDivisionError):
        answers.extend(client.predict_stream(MODEL, broken()))
    stream = client.predict_stream(MODEL, broken())
    assert isinstance(next(stream), Prediction)
    with pytest.raises(ZeroDivisionError):
        next(stream)


def test_a_message_that_is_no_request_ends_the_stream_as_invalid(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream("/mlops.v1.PredictionService/PredictStream")(iter([b"\xff\xff"]), timeout=20)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_reader_that_does_not_read_holds_the_server_back_and_stops_nobody_else(server: RunningServer, client: Client):
    n_sent = [0]

    def endless() -> Iterator[pb.PredictRequest]:
        for _ in range(200_000):
            n_sent[0] += 1
            yield request_of()

    # Without the probe the window stays at 64 KiB; with it, the client would take in megabytes first.
    with grpc.insecure_channel(server.address, [("grpc.http2.bdp_probe", 0)]) as channel:
        call = PredictionServiceStub(channel).PredictStream(endless())
        eventually(lambda: n_sent[0] == (time.sleep(1) or n_sent[0]) > 0, seconds=60, what="pressure")
        assert n_sent[0] < 100_000
        assert client.predict(MODEL, ROW).model_version == "1"
        for _ in range(1000):
            assert next(call).prediction.model_version == "1"
        call.cancel()


def test_one_stream_too_many_is_refused_unary_calls_are_answered_and_a_place_becomes_free(
    new_server: Callable[..., RunningServer], open_stream: Callable[..., OpenStream]
):
    server = new_server(streams=2, threads=1)
    promote(server.store, 1)
    server.start()
    with server.client(retry_seconds=0) as client:
        assert client.wait_until_healthy(MODEL)
        held = [open_stream(server.address) for _ in range(2)]
        for stream in held:
            assert stream.predict().prediction.model_version == "1"
        with pytest.raises(OverloadError):
            list(client.predict_stream(MODEL, [Row(ROW)]))
        assert client.predict(MODEL, ROW).model_version == "1"
        held[0].close()  # its client goes away without a word
        eventually(lambda: has_room(client), what="a free place")
        held[1].end()
    with server.client(retry_seconds=20) as patient:
        assert len(list(patient.predict_stream(MODEL, rows(10)))) == 10


def has_room(client: Client) -> bool:
    try:
        return len(list(client.predict_stream(MODEL, [Row(ROW)]))) == 1
    except OverloadError:
        return False


def test_a_client_that_goes_away_in_the_middle_leaves_its_answered_rows_in_the_log(
    server: RunningServer, client: Client
):
    stream = client.predict_stream(MODEL, rows(100_000))
    acknowledged = [next(stream).prediction_id for _ in range(100)]
    stream.close()
    eventually(lambda: set(acknowledged) <= set(server.shipped()), what="shipping")


def test_a_server_that_drains_ends_open_streams_and_the_next_one_answers_the_rest(
    new_server: Callable[..., RunningServer], open_stream: Callable[..., OpenStream]
):
    server = new_server(grace_seconds=20, port=free_port())
    promote(server.store, 1)
    server.start()
    with server.client(retry_seconds=60) as client:
        assert client.wait_until_healthy(MODEL)
        idle = open_stream(server.address)
        acknowledged = [idle.predict().prediction.prediction_id]
        answers: list[Prediction] = []
        reading = threading.Thread(target=lambda: answers.extend(slowly(client)))
        reading.start()
        eventually(lambda: server.metric("model_predictions_total", model=MODEL) > 20, what="answers")
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 15  # neither the idle nor the busy stream used up the grace
        with pytest.raises(grpc.RpcError):
            next(idle.call)
        server.start()
        reading.join(60)
    assert not reading.is_alive()
    assert len(answers) == 400
    acknowledged += [answer.prediction_id for answer in answers]
    assert server.terminate() == 0
    shipped = server.shipped()
    assert set(acknowledged) <= set(shipped)
    assert len(shipped) == len(set(shipped))


def slowly(client: Client) -> Iterator[Prediction]:
    def paced() -> Iterator[Row]:
        for row in rows(400):
            yield row
            time.sleep(0.01)

    yield from client.predict_stream(MODEL, paced())
