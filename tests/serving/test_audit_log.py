"""What is written down about control calls, and what happens when it can not be."""

import json
import threading
from pathlib import Path

import grpc
import pytest

from protos.mlops.v1 import control_pb2
from tests.serving.api import PREDICT, RETRAIN, RunningApi, Tokens, running_api
from tests.serving.harness import eventually

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
RETRAIN_TOY = control_pb2.TriggerRetrainingRequest(model="toy").SerializeToString()
SLOW = control_pb2.TriggerRetrainingRequest(model="slow").SerializeToString()


def audit_of(home: Path) -> list[dict]:
    log = home / "audit" / "control.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def outcomes_of(home: Path) -> list[tuple[str, str]]:
    return [(entry["who"], entry["outcome"]) for entry in audit_of(home)]


def test_control_calls_are_written_down_before_and_after(tmp_path: Path, api: RunningApi, tokens: Tokens):
    request = control_pb2.TriggerRetrainingRequest(model="toy", reason="drift\n" + "x" * 1000, actor="mallory")
    api.call(RETRAIN, request.SerializeToString(), token=tokens.of["operate"])
    accepted, done = audit_of(tmp_path)
    assert (accepted["outcome"], done["outcome"]) == ("ACCEPTED", "OK")
    assert accepted["call"] == done["call"]
    assert (done["who"], done["what"], done["arguments"]["model"]) == ("operate", RETRAIN, "toy")
    assert len(done["arguments"]["reason"]) == 500
    assert done["peer"].startswith("ipv4:127.0.0.1:")
    assert accepted["at"] <= done["at"]


def test_control_calls_that_fail_or_are_refused_are_written_down(tmp_path: Path, api: RunningApi, tokens: Tokens):
    broken = control_pb2.TriggerRetrainingRequest(model="broken").SerializeToString()
    assert api.status(RETRAIN, broken, token=tokens.of["operate"]) is grpc.StatusCode.INTERNAL
    assert api.status(RETRAIN, token=tokens.of["predict"]) is DENIED
    assert api.status(RETRAIN) is UNAUTHENTICATED
    expected = [
        ("operate", "ACCEPTED"),
        ("operate", "INTERNAL"),
        ("predict", "PERMISSION_DENIED"),
        ("", "UNAUTHENTICATED"),
    ]
    assert outcomes_of(tmp_path) == expected


def test_refusals_do_not_fill_the_disk(tmp_path: Path, api: RunningApi):
    calls = [api.later(RETRAIN) for _ in range(300)]
    for call in calls:
        assert call.exception().code() is UNAUTHENTICATED
    assert 10 <= len(audit_of(tmp_path)) < 300


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b"\xff\xff\xff", "INVALID_ARGUMENT"),
        (control_pb2.TriggerRetrainingRequest(reason="x" * 9000).SerializeToString(), "RESOURCE_EXHAUSTED"),
    ],
    ids=["no such message", "a message too long"],
)
def test_a_control_call_that_cannot_be_read_has_one_line(
    tmp_path: Path, api: RunningApi, tokens: Tokens, content: bytes, outcome: str
):
    assert api.status(RETRAIN, content, token=tokens.of["operate"]).name == outcome
    assert outcomes_of(tmp_path) == [("operate", outcome)]
    (line,) = audit_of(tmp_path)
    assert line["what"] == RETRAIN
    assert line["peer"].startswith("ipv4:127.0.0.1:")


def test_a_control_call_without_a_message_has_one_line(tmp_path: Path, api: RunningApi, tokens: Tokens):
    headers = [("authorization", f"Bearer {tokens.of['operate']}")]
    with pytest.raises(grpc.RpcError):
        api.channel.stream_unary(RETRAIN)(iter(()), metadata=headers, timeout=5)
    assert outcomes_of(tmp_path) == [("operate", "INVALID_ARGUMENT")]


def test_a_control_call_whose_message_the_transport_refuses_has_one_line(
    tmp_path: Path, api: RunningApi, tokens: Tokens
):
    assert api.status(RETRAIN, bytes(5 * 1024 * 1024), token=tokens.of["operate"]) is EXHAUSTED
    eventually(lambda: len(audit_of(tmp_path)) == 1, what="its line")
    assert audit_of(tmp_path)[0]["who"] == "operate"


def test_control_calls_beyond_the_callers_share_have_a_line_each(tmp_path: Path, tokens: Tokens):
    with running_api(tmp_path, tokens=tokens.path, calls_per_second=0.01) as api:
        api.call(PREDICT, token=tokens.of["admin"])
        calls = [api.later(RETRAIN, RETRAIN_TOY, token=tokens.of["admin"]) for _ in range(50)]
        assert {call.code() for call in calls} == {EXHAUSTED}
        assert outcomes_of(tmp_path) == [("admin", "RESOURCE_EXHAUSTED")] * 50
        assert api.servicers.retrained == []


@pytest.mark.parametrize("ended_by", ["cancellation", "deadline", "stop"])
def test_a_control_call_that_ends_while_it_waits_has_one_line(
    tmp_path: Path, api: RunningApi, tokens: Tokens, ended_by: str
):
    api.servicers.gate.clear()
    busy = [api.later(RETRAIN, SLOW, token=tokens.of["admin"], timeout=30) for _ in range(4)]
    for _ in busy:
        assert api.servicers.entered.acquire(timeout=10)
    late = api.later(RETRAIN, RETRAIN_TOY, token=tokens.of["operate"], timeout=1 if ended_by == "deadline" else 30)
    eventually(lambda: api.pools["waiting"].calls == 5, what="waiting")
    if ended_by == "cancellation":
        late.cancel()
    if ended_by == "stop":
        api.server.refuse_new_calls(0)
    outcome = "DEADLINE_EXCEEDED" if ended_by == "deadline" else "CANCELLED"
    expected = [("admin", "ACCEPTED")] * 4 + [("operate", outcome)]
    eventually(lambda: outcomes_of(tmp_path) == expected, what="its line")
    api.servicers.gate.set()
    eventually(lambda: outcomes_of(tmp_path) == expected + [("admin", "OK")] * 4, what="the lines of the others")
    assert api.servicers.retrained == ["slow"] * 4
    assert busy


def test_a_control_call_that_finds_no_place_has_a_line_that_says_whose_it_was(
    tmp_path: Path, api: RunningApi, tokens: Tokens
):
    api.servicers.gate.clear()
    api.held = [api.later(RETRAIN, SLOW, token=tokens.of["admin"], timeout=30) for _ in range(20)]
    eventually(lambda: api.pools["waiting"].full, what="no place")
    assert api.status(RETRAIN, RETRAIN_TOY, token=tokens.of["operate"]) is EXHAUSTED
    assert ("operate", "RESOURCE_EXHAUSTED") in outcomes_of(tmp_path)
    assert len(outcomes_of(tmp_path)) == 5


def test_refused_control_calls_do_not_hold_up_the_serving_thread(
    tmp_path: Path, api: RunningApi, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
):
    disk = threading.Event()
    monkeypatch.setattr("os.fdatasync", lambda handle: disk.wait(30))
    refused = api.later(RETRAIN, RETRAIN_TOY, token=tokens.of["predict"], timeout=30)
    eventually(lambda: len(audit_of(tmp_path)) == 1, what="its line")
    assert api.status(PREDICT, token=tokens.of["predict"]) is grpc.StatusCode.OK
    assert not refused.done()
    disk.set()
    assert refused.exception().code() is DENIED


def test_no_control_call_is_carried_out_that_cannot_be_written_down(tmp_path: Path, tokens: Tokens):
    (tmp_path / "audit").write_text("in the way")
    with running_api(tmp_path, tokens=tokens.path) as api:
        assert api.status(RETRAIN, token=tokens.of["operate"]) is grpc.StatusCode.UNAVAILABLE
        assert api.status(RETRAIN) is UNAUTHENTICATED
        assert api.servicers.retrained == []
