"""What `/metrics` says after known calls."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from protos.inference.open_inference_pb2 import ModelStatisticsRequest
from protos.inference.open_inference_pb2_grpc import GRPCInferenceServiceStub
from serving.api.grpc_status import status_name_of
from serving.build import server_version
from serving.call_meter import CallMeter
from serving.client import Client
from serving.errors import ContractError, ModelNotFoundError
from serving.formats.contract import TextFeature
from serving.formats.release import ReleaseStore
from serving.journal.append import Journal
from serving.metrics import LATENCY, PREDICTIONS
from serving.prediction import Predictions
from serving.scoring.predictor import Predictor
from tests.serving.calls import call_of
from tests.serving.harness import ROOT, RunningServer, eventually
from tests.serving.hosts import host_of
from tests.serving.toy import CONTRACT, MODEL, ROW, append_release, promote, score_of

VERSION = {"model": MODEL, "model_version": "1"}


@pytest.fixture
def server(new_server: Callable[..., RunningServer]) -> RunningServer:
    fresh = new_server(workers=2)
    promote(fresh.store, 1)
    fresh.start()
    with fresh.client() as client:
        eventually(lambda: client.health(MODEL), what="health")
    return fresh


def test_answered_rows_are_counted_over_all_workers(server: RunningServer):
    with Client(server.address, connections=4) as client:
        for _ in range(20):
            client.predict(MODEL, ROW)
        columns = {"distance": [400.0] * 30, "hour": [7] * 30, "carrier": ["aa"] * 30, "origin": ["jfk"] * 30}
        client.predict_batch(MODEL, columns)
    answered = VERSION | {"role": "production", "status": "OK"}
    eventually(lambda: server.metric("model_predictions_total", **answered) == 50, what="50 counted rows")
    assert server.metric("model_prediction_latency_seconds_count", model=MODEL) == 21
    assert server.metric("model_call_rows_sum", model=MODEL) == 50
    assert server.metric("model_call_rows_bucket", model=MODEL, le="1.0") == 20
    score = score_of(1, 400, 7, "aa")
    assert server.metric("model_score_sum", **VERSION) == pytest.approx(50 * score, rel=1e-5)
    assert server.metric("model_confidence_sum", **VERSION) == pytest.approx(50 * max(score, 1 - score), rel=1e-5)


def test_the_build_says_what_answers(server: RunningServer):
    installed = {"version": server_version(), "python": platform.python_version(), "grpcio": grpc.__version__}
    assert server.metric("serving_build_info", **installed) == 1


def test_what_has_not_happened_yet_is_shown_as_0(server: RunningServer):
    shown = server.http("/metrics")[1].splitlines()
    for reason in ("Unauthenticated", "PermissionDenied", "Overload", "MessageLimit", "DeadlineExceeded", "Draining"):
        assert f'serving_calls_refused_total{{reason="{reason}"}} 0.0' in shown
    assert f'model_bundle_failures_total{{model="{MODEL}"}} 0.0' in shown


def test_unusual_values_are_counted_by_feature_also_those_of_refused_calls(server: RunningServer):
    with Client(server.address) as client:
        client.predict(MODEL, ROW | {"hour": None, "origin": "lga"})
        with pytest.raises(ContractError):
            client.predict(MODEL, ROW | {"distance": -5.0, "carrier": "zz", "wing": 1})

    def unusual(feature: str, kind: str) -> float:
        labels = {"model": MODEL, "feature": feature, "kind": kind}
        return server.metric("model_feature_unusual_values_total", **labels)

    eventually(lambda: unusual("hour", "missing") == 1, what="the missing hour")
    assert unusual("origin", "unseen_category") == unusual("carrier", "unseen_category") == 1
    assert unusual("distance", "out_of_range") == 1
    assert server.metric("model_feature_unusual_values_total") == 4
    assert server.metric("model_predictions_total", status="INVALID_ARGUMENT", **VERSION) == 1


def test_names_that_clients_make_up_never_become_labels(server: RunningServer):
    with Client(server.address) as client:
        for number in range(5):
            with pytest.raises(ModelNotFoundError):
                client.predict(f"made_up_{number}", ROW)
        with pytest.raises(ContractError):
            client.predict(MODEL, ROW | {"made_up": 1})
    assert "made_up" not in server.http("/metrics")[1]


def counted(*labels: str) -> float:
    """Return how many calls this process has counted under model, version, role and status."""
    return PREDICTIONS.labels(*labels)._value.get()


def test_every_call_that_is_not_answered_is_counted_by_its_status(
    store: ReleaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = "counted"
    promote(store, 1, contract=replace(CONTRACT, model=model))
    host = host_of(tmp_path)
    host.poll()
    predictions = Predictions(host, Journal(tmp_path / "journals"), CallMeter(), status_of=status_name_of)
    before = counted("", "", "", "NOT_FOUND")
    predictions.predict_together([call_of(ROW, model="made_up"), call_of(ROW, model=model, version="7")])
    assert counted("", "", "", "NOT_FOUND") == before + 1
    assert counted(model, "", "", "NOT_FOUND") == 1
    monkeypatch.setattr(Predictor, "scores_of", lambda *_: 1 / 0)
    predictions.predict_together([call_of(ROW, model=model)] * 3)
    assert counted(model, "1", "production", "INTERNAL") == 3
    append_release(store, None, model=model)
    host.poll()
    predictions.predict_together([call_of(ROW, model=model)])
    assert counted(model, "", "", "UNAVAILABLE") == 1


def test_messages_that_can_not_be_read_are_counted(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel:
        for method in ("PredictionService/Predict", "PredictionService/PredictBatch"):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(f"/mlops.v1.{method}")(b"\xff", timeout=10)
    eventually(lambda: server.metric("serving_calls_refused_total", reason="Contract") == 2, what="two refusals")


def test_calls_without_a_version_are_no_version_of_the_statistics(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel, Client(server.address) as client:
        with pytest.raises(ModelNotFoundError):
            client.predict(MODEL, ROW, version="7")
        name = "model_predictions_total"
        eventually(
            lambda: server.metric(name, model=MODEL, model_version="", status="NOT_FOUND") == 1, what="the count"
        )
        stub = GRPCInferenceServiceStub(channel)
        found = stub.ModelStatistics(ModelStatisticsRequest(name=MODEL), timeout=10).model_stats
    assert [each.version for each in found] == ["1"]


def test_latency_is_counted_from_the_arrival_of_a_call(store: ReleaseStore, tmp_path: Path):
    model = "waited"
    promote(store, 1, contract=replace(CONTRACT, model=model))
    host, meter = host_of(tmp_path), CallMeter()
    host.poll()
    predictions = Predictions(host, Journal(tmp_path / "journals"), meter, status_of=status_name_of)
    now = time.perf_counter()
    calls = [call_of(ROW, model=model)._replace(arrived_at=now - seconds) for seconds in (1, 3)]
    predictions.predict_together(calls)
    meter.flush()
    assert 4 <= LATENCY.labels(model, "1")._sum.get() < 5


def test_an_open_list_that_names_no_category_has_none_that_is_unseen(new_server: Callable[..., RunningServer]):
    server = new_server()
    texts = (CONTRACT.texts[0], TextFeature("origin", open=True, nullable=True))
    promote(server.store, 1, contract=replace(CONTRACT, texts=texts))
    server.start()
    with server.client() as client:
        eventually(lambda: client.health(MODEL), what="health")
        client.predict(MODEL, ROW | {"origin": "lga", "hour": None})
    name = "model_feature_unusual_values_total"
    eventually(lambda: server.metric(name, feature="hour") == 1, what="the missing hour")
    assert server.metric(name) == 1


FORGOTTEN = """
import weakref
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from serving.metrics import SCORES

SCORES.labels("toy", "1").observe(0.5)
bucket = weakref.ref(SCORES.labels("toy", "1")._buckets[0])
SCORES.forget("toy", "1")
SCORES.forget("toy", "unknown")
print(bucket())
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(registry.get_sample_value("model_score_count", {"model": "toy", "model_version": "1"}))
"""


def test_a_forgotten_version_frees_its_memory_and_keeps_its_counts(tmp_path: Path):
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FORGOTTEN]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["None", "1.0"]
