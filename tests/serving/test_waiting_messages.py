"""Large messages that wait for a thread: bounded bytes, given back however the call ends."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from protos.mlops.v1 import prediction_pb2
from serving.api.call_pools import CallPool
from serving.api.gate import gate_of
from serving.api.method_handlers import MethodHandlers
from serving.api.methods import METHODS
from serving.api.refusal_log import RefusalLog
from serving.settings import load_settings
from tests.serving.api import BATCH, RunningApi, running_api
from tests.serving.harness import eventually
from tests.serving.test_overload import BATCH_REQUEST, LateCall

ROOM = 8 * 1024 * 1024
LARGE_REQUEST = prediction_pb2.PredictBatchRequest(model="x" * 1_000_000).SerializeToString()
FITTING = ROOM // len(LARGE_REQUEST)


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[RunningApi]:
    """One thread that is taken, many places, and room for eight large messages."""
    with running_api(tmp_path, threads=1, queue=100, maximum_large_bytes=ROOM) as api:
        api.servicers.gate.clear()
        api.held = [api.later(BATCH, BATCH_REQUEST, timeout=30)]
        assert api.servicers.entered.acquire(timeout=10)
        yield api


def queue_large(api: RunningApi, count: int, **options) -> list:
    """Send large messages, one after the other, that wait behind the thread."""
    calls = []
    for number in range(count):
        calls.append(api.later(BATCH, LARGE_REQUEST, **{"timeout": 30} | options))
        free = ROOM - min(number + 1, FITTING) * len(LARGE_REQUEST)
        eventually(lambda free=free: api.server._handlers._large.free_bytes == free, what="claiming")
    return calls


def test_messages_that_wait_for_a_thread_have_bounded_bytes(narrow: RunningApi):
    fitting = queue_large(narrow, FITTING)
    for _ in range(3):
        with pytest.raises(grpc.RpcError) as caught:
            narrow.call(BATCH, LARGE_REQUEST)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert int(dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]) == 200
    eventually(lambda: narrow.pools["scoring"].calls == 1 + FITTING, what="leaving of the refused")
    narrow.servicers.gate.set()
    assert all(call.result() for call in fitting)
    eventually(lambda: narrow.server._handlers._large.free_bytes == ROOM, what="all room")


@pytest.mark.parametrize("ended_by", ["cancellation", "deadline", "stop"])
def test_a_message_that_waits_for_a_thread_gives_its_bytes_back_when_its_call_ends(narrow: RunningApi, ended_by: str):
    calls = queue_large(narrow, 4, timeout=1 if ended_by == "deadline" else 30)
    if ended_by == "cancellation":
        for call in calls:
            call.cancel()
    if ended_by == "stop":
        narrow.server.refuse_new_calls(0)
    eventually(lambda: narrow.server._handlers._large.free_bytes == ROOM, what="all room while the thread is taken")
    assert not narrow.pools["scoring"]._waiting
    narrow.servicers.gate.set()


def test_a_message_that_no_thread_can_take_gives_its_bytes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_thread() -> None:
        raise RuntimeError("can't start new thread")

    settings, method = load_settings(home=tmp_path), prediction_pb2.DESCRIPTOR.services_by_name["PredictionService"]
    handlers = MethodHandlers(settings, gate_of(settings, None), soon=lambda work: work(), refusals=RefusalLog())
    pool = CallPool("test", threads=1, queue=1)
    monkeypatch.setattr(pool, "_start_thread", no_thread)
    call = LateCall(LARGE_REQUEST)
    pool.enter(call)
    handlers.unary(method.methods_by_name["PredictBatch"], print, METHODS[BATCH], pool)(call)
    assert call.ends.get(timeout=10).code is grpc.StatusCode.INTERNAL
    assert handlers._large.free_bytes == settings.maximum_large_bytes
