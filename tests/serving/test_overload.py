"""What happens to calls that come faster than they can be answered, too late, or never completely."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from protos.mlops.v1 import prediction_pb2
from serving.client import Client
from serving.errors import OverloadError, ServingError
from tests.serving.api import HEALTH, PREDICT, READ_BACK, REFLECTION, WATCH, RunningApi, running_api
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW, promote

ROW_REQUEST = prediction_pb2.PredictRequest(model="toy").SerializeToString()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    """One thread, one place to wait, two streams."""
    with running_api(tmp_path, threads=1, queue=1, streams=2, receive_seconds=0.5) as running:
        yield running


def fill(api: RunningApi) -> list:
    """Take the thread and the place behind it."""
    api.servicers.gate.clear()
    first = api.later(PREDICT, ROW_REQUEST, timeout=30)
    assert api.servicers.entered.acquire(timeout=10)
    second = api.later(PREDICT, ROW_REQUEST, timeout=30)
    eventually(lambda: api.pools["scoring"].calls == 2, what="both places taken")
    return [first, second]


def test_a_call_that_finds_no_place_is_told_when_to_come_again(api: RunningApi):
    waiting = fill(api)
    with pytest.raises(grpc.RpcError) as caught:
        api.call(PREDICT, ROW_REQUEST)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    pushback = dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]
    assert 50 <= int(pushback) <= 400
    api.servicers.gate.set()
    assert [prediction_pb2.PredictResponse.FromString(call.result()).label for call in waiting] == ["toy", "toy"]


def test_a_place_is_free_again_after_its_call(api: RunningApi):
    for call in fill(api):
        api.servicers.gate.set()
        call.result()
    eventually(lambda: api.pools["scoring"].calls == 0, what="freeing")
    assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.OK


def test_a_canceled_call_frees_its_place_and_is_not_answered(api: RunningApi):
    first, second = fill(api)
    second.cancel()
    api.servicers.gate.set()
    first.result()
    eventually(lambda: api.pools["scoring"].calls == 0, what="freeing")
    assert len(api.servicers.callers) == 1


def test_a_call_whose_deadline_passed_while_it_waited_is_not_answered(api: RunningApi):
    api.servicers.gate.clear()
    first = api.later(PREDICT, ROW_REQUEST)
    assert api.servicers.entered.acquire(timeout=10)
    late = api.later(PREDICT, ROW_REQUEST, timeout=0.2)
    with pytest.raises(grpc.RpcError) as caught:
        late.result()
    api.servicers.gate.set()
    first.result()
    eventually(lambda: api.pools["scoring"].calls == 0, what="freeing")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(api.servicers.callers) == 1


def test_health_and_the_log_are_answered_while_there_is_no_place_for_predictions(api: RunningApi):
    fill(api)
    assert api.status(HEALTH) is grpc.StatusCode.OK
    assert api.status(READ_BACK) is grpc.StatusCode.OK


def test_streams_have_threads_of_their_own_and_a_bound(api: RunningApi):
    streams = [api.channel.unary_stream(WATCH)(b"", timeout=30) for _ in range(2)]
    for stream in streams:
        next(stream)
    with pytest.raises(grpc.RpcError) as caught:
        next(api.channel.stream_stream(REFLECTION)(iter([b""]), timeout=5))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.OK
    streams[0].cancel()
    eventually(lambda: api.pools["streams"].calls == 1, what="freeing")
    answer = api.channel.stream_stream(REFLECTION)(iter([b"\x3a\x01x"]), timeout=5)
    assert len(list(answer)) == 1


def test_a_sender_that_never_sends_loses_its_thread(api: RunningApi):
    def never() -> Iterator[bytes]:
        time.sleep(5)
        yield b""

    stuck = api.channel.stream_unary(PREDICT).future(never(), timeout=30)
    with pytest.raises(grpc.RpcError) as caught:
        stuck.result(timeout=4)
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.OK


def test_the_client_comes_again_when_it_is_told_to(api: RunningApi):
    fill(api)
    with Client(f"127.0.0.1:{api.port}", retry_seconds=20) as client:
        threading.Timer(0.5, api.servicers.gate.set).start()
        assert client.predict("toy", ROW).label == "toy"


def test_a_client_without_patience_learns_that_the_server_is_busy(api: RunningApi):
    fill(api)
    with (
        Client(f"127.0.0.1:{api.port}", retry_seconds=0) as client,
        pytest.raises(OverloadError, match="the server is busy"),
    ):
        client.predict("toy", ROW)


def test_what_is_no_method_is_unimplemented_even_when_there_is_no_place(api: RunningApi):
    fill(api)
    assert api.status("/mlops.v1.PredictionService/Nonsense") is grpc.StatusCode.UNIMPLEMENTED


class Callers:
    """Threads that ask without a pause and note what came of each call."""

    def __init__(self, address: str, *, threads: int) -> None:
        self._address = address
        self._stopping = threading.Event()
        self.seconds: list[float] = []
        self.failures: list[ServingError] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def run(self, seconds: float) -> float:
        """Ask for so long; returns answers a second."""
        began = time.monotonic()
        for thread in self._threads:
            thread.start()
        time.sleep(seconds)
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return len(self.seconds) / (time.monotonic() - began)

    def _run(self) -> None:
        with Client(self._address, retry_seconds=0) as client:
            while not self._stopping.is_set():
                began = time.monotonic()
                try:
                    client.predict(MODEL, ROW)
                    self.seconds.append(time.monotonic() - began)
                except ServingError as error:
                    self.failures.append(error)
                    time.sleep(0.001)


def test_accepted_calls_stay_quick_when_three_times_as_many_come_as_have_a_place(
    new_server: Callable[..., RunningServer],
):
    server = new_server(threads=2, queue=6)
    promote(server.store, 1)
    server.start()
    with server.client() as client:
        eventually(lambda: client.health(MODEL), what="health")
    few, many = Callers(server.address, threads=6), Callers(server.address, threads=24)
    few.run(3)
    many.run(4)
    assert {type(error) for error in many.failures} == {OverloadError}
    assert not few.failures
    p99 = {name: statistics.quantiles(load.seconds, n=100)[98] for name, load in (("few", few), ("many", many))}
    assert p99["many"] < max(10 * p99["few"], 0.5)
    assert 'serving_calls_refused_total{reason="Overload"}' in server.http("/metrics")[1]
