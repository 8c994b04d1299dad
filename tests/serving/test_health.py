"""Health of the server and of each model, asked once and watched; neither is a way to hold the server up."""

import socket
import struct
import time
from collections.abc import Callable, Iterator

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos.inference import open_inference_pb2 as pb
from protos.inference import open_inference_pb2_grpc as pb_grpc
from serving.api.call_pools import MAXIMUM_WATCHES
from serving.client import Client
from serving.errors import JournalError
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW, append_release, promote

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture
def changing(new_server: Callable[..., RunningServer]) -> RunningServer:
    """A server with one worker whose model a test may take away."""
    server = new_server(grace_seconds=20)
    promote(server.store, 1)
    server.start()
    with server.client() as client:
        eventually(lambda: client.health(MODEL), what="health")
    return server


@pytest.fixture
def channel(changing: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(changing.address) as opened:
        yield opened


def watch(channel: grpc.Channel, name: str) -> Iterator[health_pb2.HealthCheckResponse]:
    return health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=name), timeout=60)


def is_unknown(channel: grpc.Channel, name: str) -> bool:
    try:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.NOT_FOUND
    return False


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def watch_without_reading(address: str, name: str) -> socket.socket:
    """Open a watch over HTTP/2 by hand, with a window of zero bytes: the server can never send its first message."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": address,
        "content-type": "application/grpc",
        "te": "trailers",
    }
    literals = [text.encode() for field in fields.items() for text in field]
    headers = b"".join((b"" if i % 2 else b"\0") + bytes([len(text)]) + text for i, text in enumerate(literals))
    request = health_pb2.HealthCheckRequest(service=name).SerializeToString()
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + frame(4, 0, 0, struct.pack(">HI", 4, 0))  # settings: the initial window is 0
        + frame(1, 4, 1, headers)
        + frame(0, 1, 1, struct.pack(">BI", 0, len(request)) + request)
    )
    while b"application/grpc" not in connection.recv(65536):
        """Until the answer's headers are there: then the server is about to send the message."""
    return connection


def test_a_watch_sees_a_model_come_go_and_return(changing: RunningServer, channel: grpc.Channel):
    model, server, other = watch(channel, MODEL), watch(channel, ""), watch(channel, "other")
    assert [next(each).status for each in (model, server, other)] == [SERVING, SERVING, SERVICE_UNKNOWN]
    append_release(changing.store, None, action="rollback")
    assert [next(each).status for each in (model, server)] == [NOT_SERVING, NOT_SERVING]
    promote(changing.store, 2)
    assert [next(each).status for each in (model, server)] == [SERVING, SERVING]


def test_the_open_inference_protocol_tells_the_same(changing: RunningServer, channel: grpc.Channel):
    stub = pb_grpc.GRPCInferenceServiceStub(channel)
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name=MODEL)).ready
    (worker,) = changing.children("worker")
    worker.rlimit(psutil.RLIMIT_FSIZE, (1, psutil.RLIM_INFINITY))  # the disk of its journal is full
    with changing.client(retry_seconds=0) as client, pytest.raises(JournalError):
        client.predict(MODEL, ROW)
    eventually(lambda: not stub.ModelReady(pb.ModelReadyRequest(name=MODEL)).ready, what="not ready")
    assert not stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ServerLive(pb.ServerLiveRequest()).live


def test_a_name_that_is_no_model_is_not_found(changing: RunningServer, channel: grpc.Channel):
    assert is_unknown(channel, "other")
    assert not is_unknown(channel, MODEL)


def test_many_watches_take_no_thread_from_predictions(changing: RunningServer, channel: grpc.Channel):
    watches = [watch(channel, MODEL) for _ in range(MAXIMUM_WATCHES)]
    assert {next(each).status for each in watches} == {SERVING}
    with changing.client(timeout_seconds=5, retry_seconds=0) as client:
        assert client.predict(MODEL, ROW).label == "late"
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(channel, MODEL))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    watches[0].cancel()
    eventually(lambda: can_watch(channel), what="a free place")


def can_watch(channel: grpc.Channel) -> bool:
    try:
        return next(watch(channel, MODEL)).status == SERVING
    except grpc.RpcError:
        return False


def test_a_watch_ends_with_the_server_and_does_not_hold_it_up(changing: RunningServer, channel: grpc.Channel):
    seen = watch(channel, MODEL)
    assert next(seen).status == SERVING
    began = time.monotonic()
    assert changing.terminate() == 0
    assert time.monotonic() - began < 10
    assert [response.status for response in seen] == [NOT_SERVING]


def test_a_client_that_does_not_read_its_watch_stops_nobody(changing: RunningServer):
    with watch_without_reading(changing.address, MODEL):
        time.sleep(0.5)
        with Client(changing.address, timeout_seconds=5, retry_seconds=0) as client:
            assert client.health(MODEL)
            append_release(changing.store, None, action="rollback")
            eventually(lambda: not client.health(MODEL), what="the change")
