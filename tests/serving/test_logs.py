"""Logs name what happened and to which request, never with what values, and stay small under a flood."""

import io
import json
import logging
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from protos.inference.open_inference_pb2 import ModelInferRequest
from protos.mlops.v1 import prediction_pb2 as pb
from protos.mlops.v1.prediction_pb2_grpc import PredictionServiceStub
from serving.api import codec
from serving.api.grpc_status import end_of, status_name_of
from serving.api.refusal_log import RefusalLog
from serving.call_meter import CallMeter
from serving.errors import (
    BundleError,
    BundleUnreadableError,
    ContractError,
    JournalError,
    LakeError,
    OrchestratorError,
    SignatureError,
    Violation,
)
from serving.formats.release import ReleaseStore
from serving.journal.append import Journal
from serving.logs import JsonFormatter, LogFormat, TextFormatter
from serving.prediction import Predictions
from serving.scoring.host import ModelHost
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW, promote

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
METADATA = [("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")]
SECRET = "wxyzzy"


@pytest.fixture
def written(request: pytest.FixtureRequest):
    """What is logged, as it stands in the log."""
    log_format: LogFormat = getattr(request, "param", "json")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter({"json": JsonFormatter, "text": TextFormatter}[log_format]("worker"))
    logger = logging.getLogger("serving")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: stream.getvalue().splitlines()
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def entries(lines: list[str]) -> list[dict]:
    return [json.loads(line) for line in lines]


def test_a_refusal_names_method_status_request_and_trace_but_no_value(written: Callable[[], list[str]]):
    error = ContractError([Violation("carrier", "is not one of its categories", value=SECRET)])
    request = pb.PredictRequest(request_id="r-1", texts={"carrier": SECRET})
    RefusalLog().note(error, method="/a/B", metadata=METADATA, request=request)
    (entry,) = entries(written())
    shown = {name: entry[name] for name in ("level", "method", "status", "reason", "request_id", "trace_id", "role")}
    assert shown == {
        "level": "INFO",
        "method": "/a/B",
        "status": "INVALID_ARGUMENT",
        "reason": "ContractError",
        "request_id": "r-1",
        "trace_id": TRACE,
        "role": "worker",
    }
    assert SECRET not in str(written())


def test_a_refusal_over_the_open_inference_protocol_names_its_request(written: Callable[[], list[str]]):
    request = ModelInferRequest(model_name=MODEL, model_version="2", id="constant")
    request.parameters["request_id"].string_param = "r-1"
    RefusalLog().note(JournalError("full"), method="/a/B", metadata=[], request=request)
    (entry,) = entries(written())
    assert (entry["request_id"], entry["model"], entry["model_version"]) == ("r-1", MODEL, "2")


@pytest.mark.parametrize("name", ["x" * 64, "../toy", SECRET.upper() + " ", ""])
def test_what_can_not_be_a_name_is_not_logged_as_one(written: Callable[[], list[str]], name: str):
    RefusalLog().note(JournalError("full"), method="/a/B", metadata=[], request=pb.PredictRequest(model=name))
    assert "model" not in entries(written())[0]


def test_a_refusal_names_the_version_that_was_to_answer(
    written: Callable[[], list[str]], store: ReleaseStore, host: ModelHost, tmp_path: Path
):
    promote(store, 3)
    host.poll()
    predictions = Predictions(host, Journal(tmp_path / "journals"), CallMeter(), status_of=status_name_of)
    request = pb.PredictRequest(model=MODEL)
    (refused,) = predictions.predict_together([codec.call_of_one(request)])
    RefusalLog().note(refused, method="/a/B", metadata=[], request=request)
    *_, entry = entries(written())
    assert (entry["model"], entry["model_version"], entry["reason"]) == (MODEL, "3", "ContractError")


@pytest.mark.parametrize("kind", [LakeError, OrchestratorError, BundleError, SignatureError, BundleUnreadableError])
def test_the_words_of_others_stand_in_the_log_and_not_in_the_answer(written: Callable[[], list[str]], kind: type):
    error = kind(f"can not read /{SECRET}")
    RefusalLog().note(error, method="/a/B", metadata=[])
    assert entries(written())[0]["cause"] == f"can not read /{SECRET}"
    assert end_of(error).details == kind.told
    assert SECRET not in str(end_of(error))


def test_an_unforeseen_error_is_logged_with_its_place_and_without_its_text(written: Callable[[], list[str]]):
    def convert() -> float:
        return float(SECRET)

    try:
        convert()
    except ValueError as error:
        RefusalLog().note(error, method="/a/B", metadata=[])
    (entry,) = entries(written())
    assert (entry["level"], entry["status"]) == ("ERROR", "INTERNAL")
    assert "in convert" in entry["stack"]
    assert entry["stack"].endswith("builtins.ValueError")
    assert SECRET not in str(written())


def test_a_flood_of_refusals_is_one_line_a_second_for_each_kind(
    written: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    log = RefusalLog()
    for _ in range(1000):
        log.note(JournalError("full"), method="/a/B", metadata=[])
    log.note(JournalError("full"), method="/a/C", metadata=[])
    now[0] += 1
    log.note(JournalError("full"), method="/a/B", metadata=[])
    assert [(entry["method"], entry.get("unlogged")) for entry in entries(written())] == [
        ("/a/B", None),
        ("/a/C", None),
        ("/a/B", 999),
    ]


@pytest.mark.parametrize("written", ["text", "json"], indirect=True)
def test_what_a_client_chose_stays_on_its_line(written: Callable[[], list[str]]):
    request = pb.PredictRequest(request_id="x\n2030-01-01 ERROR forged")
    RefusalLog().note(JournalError("full"), method="/a/B", metadata=METADATA, request=request)
    (line,) = written()
    assert r"x\n2030" in line


@pytest.mark.parametrize("value", ["", "00-x-y-01", f"00-{TRACE}-00f067aa0ba902b7-01\n", f"00-{TRACE.upper()}-0-01"])
def test_a_malformed_trace_is_left_out(written: Callable[[], list[str]], value: str):
    RefusalLog().note(JournalError("full"), method="/a/B", metadata=[("traceparent", value), ("b-bin", b"\xff")])
    assert "trace_id" not in entries(written())[0]


def test_a_servers_log_is_json_tells_its_life_and_says_nothing_of_answered_calls(
    new_server: Callable[..., RunningServer],
):
    server = new_server(log_format="json", workers=1)
    promote(server.store, 1)
    server.start()
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
        eventually(lambda: "ready: toy" in server.log, what="the line of readiness")
        before = server.log
        for _ in range(20):
            client.predict(MODEL, ROW)
        assert server.log == before
    request = pb.PredictRequest(model=MODEL, texts={"carrier": SECRET}, request_id="r-2")
    with grpc.insecure_channel(server.address) as channel:
        stub = PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError):
            stub.Predict(request, metadata=METADATA, timeout=20)
        broken = pb.PredictRequest(model=MODEL, request_id="r-3")
        (answer,) = stub.PredictStream(iter([broken]), metadata=METADATA, timeout=20)
        assert answer.WhichOneof("outcome") == "error"
    assert server.terminate() == 0
    lines = entries(server.log.splitlines())
    refusals = [line for line in lines if line["message"] == "a call was refused"]
    assert [(line["request_id"], line["model_version"], line["trace_id"]) for line in refusals] == [
        ("r-2", "1", TRACE),
        ("r-3", "1", TRACE),
    ]
    assert SECRET not in server.log
    messages = [line["message"] for line in lines]
    for event in ("toy: version 1 answers", "serving at", "ready: toy", "draining", "not ready: draining", "stopped"):
        assert any(message.startswith(event) for message in messages), event
    assert {line["role"] for line in lines} >= {"supervisor", "worker"}
