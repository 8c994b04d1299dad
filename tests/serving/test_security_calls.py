"""Who may call what, and how often."""

import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from protos.mlops.v1 import control_pb2, prediction_pb2
from serving.api.gate import gate_of
from serving.api.methods import METHODS
from serving.errors import OverloadError
from serving.recent_answers import RecentAnswers
from serving.security.authentication import authenticator_of
from serving.security.tokens import revoke_token
from serving.settings import load_settings
from tests.serving.api import (
    FEEDBACK,
    HEALTH,
    PREDICT,
    READ_BACK,
    REFLECTION,
    RETRAIN,
    WATCH,
    RunningApi,
    Servicers,
    Tokens,
    running_api,
)
from tests.serving.harness import eventually

OK, UNAUTHENTICATED = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED
DENIED, EXHAUSTED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED
UNARY = [PREDICT, FEEDBACK, READ_BACK, RETRAIN]


def test_the_table_has_a_row_for_every_method_that_is_served_and_no_other():
    served = {f"/{service.full_name}/{method.name}" for service in Servicers().table() for method in service.methods}
    assert served == set(METHODS)


def test_what_changes_something_elsewhere_asks_for_an_operator_and_is_audited():
    for name, policy in METHODS.items():
        assert policy.audited == ("ControlService" in name) == (policy.scope in {"operate", "admin"})


@pytest.mark.parametrize(
    ("scope", "open_to_it"),
    [
        ("predict", {PREDICT}),
        ("feedback", {FEEDBACK, READ_BACK}),
        ("operate", {RETRAIN}),
        ("admin", {PREDICT, FEEDBACK, READ_BACK, RETRAIN}),
    ],
)
def test_a_token_opens_the_methods_of_its_scope_and_no_other(
    api: RunningApi, tokens: Tokens, scope: str, open_to_it: set[str]
):
    found = {method: api.status(method, token=tokens.of[scope]) for method in UNARY}
    assert found == {method: OK if method in open_to_it else DENIED for method in UNARY}


@pytest.mark.parametrize("method", UNARY)
def test_a_call_without_a_token_is_refused(api: RunningApi, method: str):
    assert api.status(method) is UNAUTHENTICATED
    assert api.servicers.callers == api.servicers.retrained == []


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x", "Basic YTpi", "mlops_x", "Bearer " + "x" * 4000]
)
def test_a_header_that_proves_nothing_is_refused(api: RunningApi, header: str):
    with pytest.raises(grpc.RpcError) as caught:
        api.channel.unary_unary(PREDICT)(b"", metadata=[("authorization", header)], timeout=5)
    assert caught.value.code() is UNAUTHENTICATED


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header as HPACK writes it without tables and without Huffman's code."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def test_a_header_that_is_no_text_is_neither_an_error_of_the_server_nor_in_its_log(
    api: RunningApi, tokens: Tokens, caplog: pytest.LogCaptureFixture
):
    headers = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": PREDICT.encode(),
        b":authority": b"localhost",
        b"te": b"trailers",
        b"content-type": b"application/grpc",
        b"authorization": f"Bearer {tokens.of['predict']}".encode() + b"\xff",
    }
    block = b"".join(literal(name, value) for name, value in headers.items())
    frames = b"\0\0\0\4\0\0\0\0\0" + len(block).to_bytes(3, "big") + b"\1\5\0\0\0\1" + block
    with socket.create_connection(("127.0.0.1", api.port), timeout=5) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frames)
        connection.settimeout(5)
        answer = b""
        while b"grpc-status" not in answer:
            answer += connection.recv(65536)
    assert b"the token is not good" in answer
    assert tokens.of["predict"] not in caplog.text
    assert api.servicers.callers == []


def test_the_kind_of_the_header_may_be_written_in_any_case(api: RunningApi, tokens: Tokens):
    header = ("authorization", f"bEARER {tokens.of['predict']}")
    api.channel.unary_unary(PREDICT)(b"", metadata=[header], timeout=5)
    assert api.servicers.callers == ["predict"]


def test_refusals_do_not_wait_for_the_message(api: RunningApi):
    def never() -> Iterator[bytes]:
        time.sleep(3)
        yield b""

    began = time.monotonic()
    with pytest.raises(grpc.RpcError) as caught:
        api.channel.stream_unary(PREDICT)(never(), timeout=10)
    assert caught.value.code() is UNAUTHENTICATED
    assert time.monotonic() - began < 2.5
    assert api.pools["scoring"].calls == 0


def test_a_new_token_is_accepted_and_a_revoked_one_refused_while_the_server_runs(api: RunningApi, tokens: Tokens):
    text = tokens.create("late", ["predict"])
    tokens.create("other", ["predict"])
    eventually(lambda: api.status(PREDICT, token=text) is OK, what="acceptance")
    late = next(entry for entry in json.loads(tokens.path.read_text()) if entry["name"] == "late")
    revoke_token(tokens.path, late["sha256"][:12])
    eventually(lambda: api.status(PREDICT, token=text) is UNAUTHENTICATED, what="revocation")


def test_a_token_ends_at_its_time(tmp_path: Path, tokens: Tokens):
    text = tokens.create("brief", ["predict"], timedelta(seconds=2))
    with running_api(tmp_path, tokens=tokens.path) as api:
        assert api.status(PREDICT, token=text) is OK
        eventually(lambda: api.status(PREDICT, token=text) is UNAUTHENTICATED, what="expiry")


def test_a_token_file_that_breaks_leaves_the_tokens_that_were_read(api: RunningApi, tokens: Tokens):
    tokens.path.write_text("[")
    time.sleep(1.5)
    assert api.status(PREDICT, token=tokens.of["predict"]) is OK
    tokens.path.write_text("[]")
    eventually(lambda: api.status(PREDICT, token=tokens.of["predict"]) is UNAUTHENTICATED, what="revocation")


@pytest.mark.parametrize(("access", "status"), [("anyone", OK), ("authenticated", UNAUTHENTICATED)])
def test_the_settings_say_who_may_ask_for_health_and_protos(
    tmp_path: Path, tokens: Tokens, access: str, status: grpc.StatusCode
):
    with running_api(tmp_path, tokens=tokens.path, health_access=access, reflection_access=access) as api:
        assert api.status(HEALTH) is status
        assert api.status(HEALTH, token=tokens.of["feedback"]) is OK
        assert stream_status(api, WATCH) is status
        assert stream_status(api, REFLECTION) is status
        assert stream_status(api, REFLECTION, token=tokens.of["feedback"]) is OK


def stream_status(api: RunningApi, method: str, *, token: str = "") -> grpc.StatusCode:
    headers = [("authorization", f"Bearer {token}")] if token else []
    stream = api.channel.stream_stream(method)(iter([b""]), metadata=headers, timeout=5)
    try:
        next(stream)
    except grpc.RpcError as error:
        return error.code()
    stream.cancel()
    return OK


def test_a_stream_ends_when_its_token_is_revoked(api: RunningApi, tokens: Tokens):
    steps = iter([b"\x3a\x00"] * 1000)

    def slowly() -> Iterator[bytes]:
        for step in steps:
            time.sleep(0.05)
            yield step

    headers = [("authorization", f"Bearer {tokens.of['predict']}")]
    stream = api.channel.stream_stream(REFLECTION)(slowly(), metadata=headers, timeout=30)
    next(stream)
    tokens.path.write_text("[]")
    with pytest.raises(grpc.RpcError) as caught:
        list(stream)
    assert (caught.value.code(), caught.value.details()) == (UNAUTHENTICATED, "the token was revoked")


def test_one_identity_does_not_use_up_the_share_of_another(tmp_path: Path, tokens: Tokens):
    with running_api(tmp_path, tokens=tokens.path, calls_per_second=0.05) as api:
        api.call(PREDICT, token=tokens.of["predict"])
        with pytest.raises(grpc.RpcError) as caught:
            api.call(PREDICT, token=tokens.of["predict"])
        assert caught.value.code() is EXHAUSTED
        assert 1000 < int(dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]) <= 20_000
        assert api.status(PREDICT, token=tokens.of["admin"]) is OK


def test_a_worker_grants_its_part_of_the_share(tmp_path: Path, tokens: Tokens):
    settings = load_settings(home=tmp_path, tokens=tokens.path, calls_per_second=40, workers=4)
    gate = gate_of(settings, authenticator_of(settings))
    headers = [("authorization", f"Bearer {tokens.of['predict']}")]
    for _ in range(10):
        gate.admit(METHODS[PREDICT], headers)
    with pytest.raises(OverloadError):
        gate.admit(METHODS[PREDICT], headers)


def test_messages_of_a_stream_come_in_no_faster_than_the_share_of_its_caller(tmp_path: Path, tokens: Tokens):
    with running_api(tmp_path, tokens=tokens.path, calls_per_second=20) as api:
        headers = [("authorization", f"Bearer {tokens.of['predict']}")]
        began = time.monotonic()
        answers = api.channel.stream_stream(REFLECTION)(iter([b"\x3a\x00"] * 40), metadata=headers, timeout=30)
        assert len(list(answers)) == 40
        assert time.monotonic() - began > 0.8


def test_a_request_id_of_one_caller_says_nothing_about_that_of_another():
    answers = RecentAnswers[int]()
    answers.settle(answers.claim(("alice", "toy", "1"), b"a")[0], 1)
    assert answers.claim(("alice", "toy", "1"), b"a")[1] is False
    assert answers.claim(("bob", "toy", "1"), b"b")[1] is True


def test_without_authentication_everything_is_open_and_nobody_has_a_name(tmp_path: Path):
    with running_api(tmp_path) as api:
        assert {api.status(method) for method in UNARY} == {OK}
        assert api.servicers.callers == [""]


def test_an_unforeseen_error_is_not_told(api: RunningApi, tokens: Tokens):
    broken = control_pb2.TriggerRetrainingRequest(model="broken").SerializeToString()
    with pytest.raises(grpc.RpcError) as caught:
        api.call(RETRAIN, broken, token=tokens.of["operate"])
    assert "secret" not in str(caught.value.details()) + str(caught.value.trailing_metadata())


def test_a_batch_of_hostile_bytes_never_gets_past_the_gate_without_a_token(api: RunningApi):
    content = prediction_pb2.PredictRequest(model="../../etc/passwd").SerializeToString()
    assert {api.status(PREDICT, content), api.status(PREDICT, b"\xff" * 100)} == {UNAUTHENTICATED}
