"""What happens to calls that come faster than they can be answered, too late, or never completely."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest
from prometheus_client import REGISTRY

from protos.mlops.v1 import prediction_pb2
from serving.api.call_pools import CallPool
from serving.api.gate import gate_of
from serving.api.grpc_status import CallStatus
from serving.api.method_handlers import MethodHandlers
from serving.api.methods import METHODS
from serving.api.refusal_log import RefusalLog
from serving.client import Client
from serving.errors import OverloadError
from serving.security.identity import UNKNOWN
from serving.settings import load_settings
from tests.serving.api import BATCH, HEALTH, PREDICT, READ_BACK, REFLECTION, STREAM, RunningApi, running_api
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW, promote

LIST_SERVICES = b"\x3a\x00"
ROW_REQUEST = prediction_pb2.PredictRequest(model="toy").SerializeToString()
BATCH_REQUEST = prediction_pb2.PredictBatchRequest(model="toy").SerializeToString()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    """One thread, one place to wait, two streams."""
    with running_api(tmp_path, threads=1, queue=1, streams=2, receive_seconds=0.5) as running:
        yield running


def fill(api: RunningApi) -> list:
    """Take the thread and the place behind it; a call that nobody holds is canceled."""
    api.servicers.gate.clear()
    first = api.later(BATCH, BATCH_REQUEST, timeout=30)
    assert api.servicers.entered.acquire(timeout=10)
    second = api.later(BATCH, BATCH_REQUEST, timeout=30)
    eventually(lambda: api.pools["scoring"].calls == 2, what="both places taken")
    api.held = [first, second]
    return api.held


def test_a_call_that_finds_no_place_is_told_when_to_come_again(api: RunningApi):
    waiting = fill(api)
    with pytest.raises(grpc.RpcError) as caught:
        api.call(PREDICT, ROW_REQUEST)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    pushback = dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]
    assert 50 <= int(pushback) <= 400
    api.servicers.gate.set()
    assert [prediction_pb2.PredictBatchResponse.FromString(call.result()).labels for call in waiting] == [["toy"]] * 2


def test_a_place_is_free_again_after_its_call(api: RunningApi):
    for call in fill(api):
        api.servicers.gate.set()
        call.result()
    eventually(lambda: api.pools["scoring"].calls == 0, what="freeing")
    assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.OK


def in_flight() -> float | None:
    return REGISTRY.get_sample_value("serving_calls_in_flight", {"pool": "scoring"})


def test_calls_in_flight_are_those_that_run_and_those_that_wait(api: RunningApi):
    calls = fill(api)
    eventually(lambda: in_flight() == 2, what="two calls", seconds=2)
    api.servicers.gate.set()
    for call in calls:
        call.result()
    eventually(lambda: in_flight() == 0, what="none", seconds=2)


def test_what_a_call_waits_for_a_thread_is_time_since_its_arrival(api: RunningApi):
    calls = fill(api)
    time.sleep(0.2)
    api.servicers.gate.set()
    for call in calls:
        call.result()
    first, second = api.servicers.waited
    assert 0 <= first < 0.2 <= second < 30


def test_each_message_of_a_stream_arrives_for_itself(api: RunningApi):
    def requests() -> Iterator[bytes]:
        yield ROW_REQUEST
        time.sleep(0.3)
        yield ROW_REQUEST

    assert len(list(api.channel.stream_stream(STREAM)(requests(), timeout=10))) == 2
    assert all(0 <= waited < 0.2 for waited in api.servicers.waited)


def test_a_canceled_call_frees_its_place_and_is_not_answered(api: RunningApi):
    first, second = fill(api)
    second.cancel()
    eventually(lambda: api.pools["scoring"].calls == 1, what="freeing while the thread is taken")
    api.servicers.gate.set()
    first.result()
    eventually(lambda: api.pools["scoring"].calls == 0, what="the end of the other")
    assert len(api.servicers.callers) == 1


@pytest.mark.parametrize(("method", "request_"), [(PREDICT, ROW_REQUEST), (BATCH, BATCH_REQUEST)])
def test_a_call_whose_deadline_passed_while_it_waited_is_not_answered(api: RunningApi, method: str, request_: bytes):
    api.servicers.gate.clear()
    first = api.later(method, request_)
    assert api.servicers.entered.acquire(timeout=10)
    late = api.later(method, request_, timeout=0.2)
    with pytest.raises(grpc.RpcError) as caught:
        late.result()
    time.sleep(0.1)  # the server's clock of the call may have begun a little later
    api.servicers.gate.set()
    first.result()
    eventually(lambda: api.pools["scoring"].calls == 0, what="freeing")
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(api.servicers.callers) == 1


class LateCall:
    """A call whose client has set a deadline and does not care, with its message there at once."""

    canceled, caller, metadata, method = False, UNKNOWN, (), PREDICT

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.ends: SimpleQueue[CallStatus] = SimpleQueue()

    def on_message(self, arrived: Callable[["LateCall", bytes], None]) -> None:
        arrived(self, self._content)

    def time_remaining(self) -> float:
        return 0.0

    def end(self, status: CallStatus) -> None:
        self.ends.put(status)


def test_a_deadline_that_has_passed_is_looked_at_before_the_message_is(tmp_path: Path):
    settings, method = load_settings(home=tmp_path), prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]
    handlers = MethodHandlers(settings, gate_of(settings, None), lambda work: work(), RefusalLog())
    pool = CallPool("test", threads=1, queue=0)
    answered: list[object] = []
    begin = handlers.unary(method.methods_by_name["Predict"], answered.append, METHODS[PREDICT], pool)
    for content in (ROW_REQUEST, b"\xff", b"\xff" * 200_000):
        call = LateCall(content)
        pool.enter(call)
        begin(call)
        assert call.ends.get(timeout=10).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert answered == []
    assert pool.close(10)


def test_a_row_that_is_canceled_while_it_stands_in_line_is_not_answered(tmp_path: Path):
    settings, method = load_settings(home=tmp_path), prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]
    due: list[Callable[[], None]] = []
    handlers = MethodHandlers(settings, gate_of(settings, None), due.append, RefusalLog())
    answered: list[int] = []

    def answer_all(requests: list, calls: list) -> list:
        answered.append(len(requests))
        return []

    pool = CallPool("test", threads=1, queue=1)
    begin = handlers.together(method.methods_by_name["Predict"], print, answer_all, METHODS[PREDICT], pool)
    call = LateCall(ROW_REQUEST)
    pool.enter(call)
    begin(call)
    call.canceled = True
    for work in due:
        work()
    assert answered == [0]
    assert call.ends.empty()
    assert pool.calls == 0


def test_a_canceled_row_keeps_its_place_while_a_group_that_waits_for_a_thread_holds_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = load_settings(home=tmp_path, durability="group")
    method = prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"].methods_by_name["Predict"]
    handlers = MethodHandlers(settings, gate_of(settings, None), soon=lambda work: work(), refusals=RefusalLog())
    pool, waiting = CallPool("test", threads=1, queue=1), []
    monkeypatch.setattr(pool, "run", waiting.append)
    call = LateCall(ROW_REQUEST)
    pool.enter(call)
    handlers.together(method, print, lambda requests, calls: [], METHODS[PREDICT], pool)(call)
    call.canceled = True
    handlers.canceled(call, pool)
    assert pool.calls == 1
    for work in waiting:
        work()
    assert pool.calls == 0


def test_health_and_the_log_are_answered_while_there_is_no_place_for_predictions(api: RunningApi):
    fill(api)
    assert api.status(HEALTH) is grpc.StatusCode.OK
    assert api.status(READ_BACK) is grpc.StatusCode.OK


def test_streams_have_threads_of_their_own_and_a_bound(api: RunningApi):
    def open_stream(*, end: threading.Event):
        def requests() -> Iterator[bytes]:
            yield LIST_SERVICES
            end.wait(30)

        return api.channel.stream_stream(REFLECTION)(requests(), timeout=30)

    ends = [threading.Event() for _ in range(3)]
    streams = [open_stream(end=end) for end in ends[:2]]
    for stream in streams:
        next(stream)
    with pytest.raises(grpc.RpcError) as caught:
        list(open_stream(end=ends[2]))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.OK
    ends[0].set()
    assert list(streams[0]) == []
    eventually(lambda: api.pools["streams"].calls == 1, what="freeing")
    streams[1].cancel()
    for end in ends:
        end.set()


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


class Paced:
    """Sends a request at a steady rate whatever comes back, and notes how each call ended and when."""

    def __init__(self, address: str, request: bytes) -> None:
        self._request = request
        self._channels = [grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(4)]
        self._calls = [channel.unary_unary(BATCH) for channel in self._channels]
        self.ends: list[tuple[grpc.StatusCode, float]] = []

    def send(self, rate: float, seconds: float) -> None:
        began, pending = time.monotonic(), []
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            sent = time.monotonic()
            call = self._calls[number % len(self._calls)].future(self._request, timeout=30)
            call.add_done_callback(lambda done, sent=sent: self.ends.append((done.code(), time.monotonic() - sent)))
            pending.append(call)
        for call in pending:
            call.exception()
        eventually(lambda: len(self.ends) == len(pending), what="every end")

    def capacity(self, seconds: float) -> float:
        """Return how many calls a second are answered one after the other."""
        began, answered = time.monotonic(), 0
        while time.monotonic() < began + seconds:
            self._calls[0](self._request, timeout=30)
            answered += 1
        return answered / seconds

    def close(self) -> None:
        for channel in self._channels:
            channel.close()


@pytest.fixture
def small_server(new_server: Callable[..., RunningServer]) -> RunningServer:
    """A real server of the toy model with room for ten calls."""
    server = new_server(threads=2, queue=8)
    promote(server.store, 1)
    server.start()
    with server.client() as client:
        eventually(lambda: client.health(MODEL), what="health")
    return server


def batch_request() -> bytes:
    numbers = [prediction_pb2.Column(name=name, numbers={"values": [1.0] * 1000}) for name in ("distance", "hour")]
    texts = prediction_pb2.TextColumn(dictionary=["aa"], codes=[1] * 1000)
    columns = [*numbers, *(prediction_pb2.Column(name=name, texts=texts) for name in ("carrier", "origin"))]
    return prediction_pb2.PredictBatchRequest(model=MODEL, columns=columns).SerializeToString()


def test_accepted_calls_stay_quick_at_three_times_what_the_server_can_do(small_server: RunningServer):
    load = Paced(small_server.address, batch_request())
    load.send(3 * load.capacity(2), 4)
    load.close()
    accepted = [seconds for code, seconds in load.ends if code is grpc.StatusCode.OK]
    assert {code for code, _ in load.ends} == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert len(accepted) > len(load.ends) / 10
    # Without shedding, the last call would wait for two thirds of all others: about eight seconds. With it, 0.2.
    assert statistics.quantiles(accepted, n=100)[98] < 2.0
    assert 'serving_calls_refused_total{reason="Overload"}' in small_server.http("/metrics")[1]


def test_every_call_of_a_flood_is_answered_or_told_to_come_again(small_server: RunningServer):
    with grpc.insecure_channel(small_server.address) as channel:
        calls = [channel.unary_unary(PREDICT).future(row_request(), timeout=60) for _ in range(3000)]
        codes = {call.code() for call in calls}
    assert codes == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    with small_server.client() as client:
        assert client.predict(MODEL, ROW).model_version == "1"


def row_request() -> bytes:
    numbers = {name: value for name, value in ROW.items() if not isinstance(value, str)}
    texts = {name: value for name, value in ROW.items() if isinstance(value, str)}
    return prediction_pb2.PredictRequest(model=MODEL, numbers=numbers, texts=texts).SerializeToString()
