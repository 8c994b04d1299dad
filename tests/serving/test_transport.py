"""gRPC's core driven directly: what no call may do to the others, and how the end comes."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace

import grpc
import pytest
from grpc._cython import cygrpc
from grpc_health.v1 import health_pb2

from protos.mlops.v1 import prediction_pb2
from serving.api.call import Call
from serving.api.call_pools import CallPool
from serving.api.gate import Gate
from serving.api.grpc_status import CallStatus
from serving.api.health import HealthServicer
from serving.api.transport import Transport
from tests.serving.api import BATCH, PREDICT, RunningApi, running_api
from tests.serving.harness import eventually
from tests.serving.test_overload import ROW_REQUEST

METHOD = "/a.B/C"


class Calls:
    """Gets the calls of a transport and does with the next what a test wants."""

    def __init__(self) -> None:
        self.arrived: list[Call] = []
        self.next = self.answer

    def __call__(self, call: Call) -> None:
        self.arrived.append(call)
        self.next(call)

    @staticmethod
    def answer(call: Call) -> None:
        call.open(lambda call: None)
        call.on_message(lambda call, content: call.answer(content or b"nothing"))


@contextmanager
def running_transport(calls: Calls) -> Iterator[tuple[str, grpc.Channel]]:
    transport = Transport([("grpc.so_reuseport", 0)])
    port = transport.open("127.0.0.1:0", None)
    transport.start(calls)
    address = f"127.0.0.1:{port}"
    with channel_to(address) as channel:
        yield address, channel
    transport.stop(0)
    transport.wait()
    transport.close()


def channel_to(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])


def status_of(channel: grpc.Channel, *, timeout: float) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(METHOD)(b"x", timeout=timeout)
    return caught.value.code()


def test_bytes_come_in_and_go_out():
    with running_transport(Calls()) as (_, channel):
        assert channel.unary_unary(METHOD)(b"hello", metadata=[("k", "v")], timeout=10) == b"hello"


def test_a_call_that_fails_at_its_arrival_leaves_the_others_alone(caplog):
    def fail(call: Call) -> None:
        raise ZeroDivisionError

    calls = Calls()
    with running_transport(calls) as (_, channel):
        calls.next = fail
        assert status_of(channel, timeout=10) is grpc.StatusCode.CANCELLED
        calls.next = calls.answer
        assert channel.unary_unary(METHOD)(b"hello", timeout=10) == b"hello"
    assert "a call failed in the transport" in caplog.text


def test_a_call_can_be_ended_before_its_message_is_read():
    calls = Calls()
    refused = CallStatus(grpc.StatusCode.RESOURCE_EXHAUSTED, "später", (("grpc-retry-pushback-ms", "50"),))
    calls.next = lambda call: call.end(refused)
    with running_transport(calls) as (_, channel):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(METHOD)(b"x" * 1_000_000, timeout=10)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "später")
        assert dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"] == "50"


def test_a_callback_for_a_call_that_is_over_is_declined():
    calls = Calls()
    calls.next = lambda call: call.open(lambda call: None)
    with running_transport(calls) as (_, channel):
        assert status_of(channel, timeout=0.2) is grpc.StatusCode.DEADLINE_EXCEEDED
        eventually(lambda: calls.arrived[0].canceled, what="the end of the call")
        assert calls.arrived[0].add_callback(lambda: None) is False


def test_calls_on_many_connections_at_once_are_all_answered():
    with running_transport(Calls()) as (address, _):
        channels = [channel_to(address) for _ in range(20)]
        futures = [channel.unary_unary(METHOD).future(b"x", timeout=30) for channel in channels for _ in range(50)]
        assert [future.result() for future in futures] == [b"x"] * 1000
        for channel in channels:
            channel.close()


def test_an_address_that_can_not_be_bound_is_an_error():
    with pytest.raises(RuntimeError, match="198.51.100.1"):
        Transport([]).open("198.51.100.1:50051", None)


@pytest.mark.parametrize("method", [BATCH, PREDICT])
def test_the_end_comes_when_its_time_is_over_though_a_servicer_is_not_done(tmp_path, method: str):
    with running_api(tmp_path, threads=1) as api:
        api.servicers.gate.clear()
        stuck = api.later(method, timeout=30)
        assert api.servicers.entered.acquire(timeout=10)
        ended = threading.Thread(target=partial(end, api))
        ended.start()
        with pytest.raises(grpc.RpcError) as caught:
            stuck.result()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        ended.join(20)
        assert not ended.is_alive()


def end(api: RunningApi) -> None:
    api.server.refuse_new_calls(0.2)
    api.server.wait()


def test_an_unforeseen_error_at_the_gate_is_told_and_takes_no_place(tmp_path, monkeypatch):
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    with running_api(tmp_path) as api:
        monkeypatch.setattr(Gate, "admit", fail)
        assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.INTERNAL
        monkeypatch.undo()
        assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.OK
        eventually(lambda: api.pools["scoring"].calls == 0, what="freeing")


def test_a_watch_that_begins_while_the_server_ends_its_watches_ends_too():
    servicer, calls = HealthServicer(), Calls()
    calls.next = lambda call: call.open(lambda call: None)
    with running_transport(calls) as (_, channel):
        held = channel.unary_unary(METHOD).future(b"x", timeout=10)
        eventually(lambda: calls.arrived, what="a call")
        servicer.end_watches()
        watch = servicer.Watch(health_pb2.HealthCheckRequest(), calls.arrived[0])
        assert [answer.status for answer in watch] == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert held.cancel()


class EndlessEvents:
    """A completion queue in which an event waits at any time, until it is shut down."""

    def __init__(self) -> None:
        self.events = 0
        self.is_shut_down = False

    def poll(self, _deadline: float | None) -> object:
        self.events += 1
        kind = cygrpc.CompletionType.queue_shutdown if self.is_shut_down else cygrpc.CompletionType.operation_complete
        return SimpleNamespace(completion_type=kind, tag=lambda event: None)

    def shutdown(self) -> None:
        self.is_shut_down = True


def test_what_is_due_is_done_though_events_never_end():
    transport, events, done = Transport([]), EndlessEvents(), []
    transport._queue = events
    transport.soon(lambda: (done.append(events.events), events.shutdown()))
    transport._serve()
    assert done == [64]


def thread_of(api: RunningApi, request: prediction_pb2.PredictRequest) -> str:
    api.call(PREDICT, request.SerializeToString())
    return api.servicers.threads[-1]


def test_rows_are_answered_by_the_serving_thread_unless_they_may_take_long(tmp_path):
    row = prediction_pb2.PredictRequest(model="toy")
    of_a_version = prediction_pb2.PredictRequest(model="toy", version="1")
    long = prediction_pb2.PredictRequest(model="toy", entity_key="x" * 5000)
    with running_api(tmp_path, threads=1) as api:
        assert [thread_of(api, request) for request in (row, of_a_version, long)] == ["transport", *["scoring-0"] * 2]
    with running_api(tmp_path, threads=1, durability="group") as api:
        assert thread_of(api, row) == "scoring-0"


def test_rows_that_wait_are_answered_together(tmp_path):
    with running_api(tmp_path) as api:
        api.servicers.gate.clear()
        first = api.later(PREDICT, ROW_REQUEST)
        assert api.servicers.entered.acquire(timeout=10)
        others = [api.later(PREDICT, ROW_REQUEST) for _ in range(8)]
        time.sleep(0.5)
        api.servicers.gate.set()
        for call in (first, *others):
            call.result()
    assert sum(api.servicers.groups) == 9
    assert max(api.servicers.groups) > 1


def test_no_call_is_lost_where_no_thread_can_be_started(tmp_path, monkeypatch, caplog):
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    of_a_version = prediction_pb2.PredictRequest(model="toy", version="1").SerializeToString()
    with running_api(tmp_path) as api:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fail)
            assert api.status(BATCH) is grpc.StatusCode.INTERNAL
            assert api.status(PREDICT, of_a_version) is grpc.StatusCode.INTERNAL
            assert api.status(PREDICT, ROW_REQUEST) is grpc.StatusCode.OK
        assert api.status(BATCH) is grpc.StatusCode.OK
        eventually(lambda: api.pools["scoring"].calls == 0, what="freeing")


def test_a_thread_that_is_started_while_its_pool_closes_ends_too():
    pool, call = CallPool("late", threads=2, queue=0), object()
    pool.enter(call)
    pool.run(list)
    assert pool.close(10)
    pool.enter(object())
    pool.run(list)
    assert pool.close(10)
