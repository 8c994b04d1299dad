"""What is written down about control calls, and what happens when it can not be."""

import json
from pathlib import Path

import grpc

from protos.mlops.v1 import control_pb2
from tests.serving.api import RETRAIN, RunningApi, Tokens, running_api

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


def audit_of(home: Path) -> list[dict]:
    return [json.loads(line) for line in (home / "audit" / "control.jsonl").read_text().splitlines()]


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
    found = [(entry["who"], entry["outcome"]) for entry in audit_of(tmp_path)]
    expected = [
        ("operate", "ACCEPTED"),
        ("operate", "INTERNAL"),
        ("predict", "PERMISSION_DENIED"),
        ("", "UNAUTHENTICATED"),
    ]
    assert found == expected


def test_refusals_do_not_fill_the_disk(tmp_path: Path, api: RunningApi):
    calls = [api.later(RETRAIN) for _ in range(300)]
    for call in calls:
        assert call.exception().code() is UNAUTHENTICATED
    assert 10 <= len(audit_of(tmp_path)) < 300


def test_no_control_call_is_carried_out_that_cannot_be_written_down(tmp_path: Path, tokens: Tokens):
    (tmp_path / "audit").write_text("in the way")
    with running_api(tmp_path, tokens=tokens.path) as api:
        assert api.status(RETRAIN, token=tokens.of["operate"]) is grpc.StatusCode.UNAVAILABLE
        assert api.status(RETRAIN) is UNAUTHENTICATED
        assert api.servicers.retrained == []
