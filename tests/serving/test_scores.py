"""What a model says of a row is a probability, or the call that asked is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
from onnx import helper

from serving.api.grpc_status import end_of, status_name_of
from serving.call_meter import CallMeter
from serving.client import Client, Row
from serving.errors import ScoreError
from serving.formats.bundle import GoldenRows
from serving.formats.contract import NumberFeature
from serving.formats.release import ReleaseStore
from serving.journal.append import Journal
from serving.metrics import SCORES
from serving.prediction import PredictionAnswer, Predictions
from serving.scoring.predictor import Predictor
from tests.serving.calls import batch_of, call_of
from tests.serving.harness import RunningServer, eventually
from tests.serving.hosts import host_of
from tests.serving.records import sealed
from tests.serving.toy import CONTRACT, MODEL, ROW, append_release, onnx_of, score_of, write_toy_bundle
from tests.signing import signing_store

UNBOUNDED = replace(CONTRACT, numbers=(NumberFeature("distance"), NumberFeature("hour")))
USUAL = ROW | {"distance": 0.0, "hour": 0.0}
BEYOND = USUAL | {"distance": 3e38}
"""The steep graph makes infinity of this, and NaN of that."""


def promote_steep(store: ReleaseStore) -> None:
    """Put a version into production whose contract admits rows that its graph can not add up."""
    model = onnx.load_from_string(onnx_of(1))
    (weights,) = (constant for constant in model.graph.initializer if constant.name == "weights")
    weights.CopyFrom(helper.make_tensor("weights", onnx.TensorProto.FLOAT, [3, 1], [1000.0, 1000.0, 1.0]))
    (added,) = (node for node in model.graph.node if node.op_type == "Add")
    added.input[0] = "steep"
    model.graph.node.insert(3, helper.make_node("Sub", ["linear", "linear"], ["zero_or_nan"]))
    model.graph.node.insert(4, helper.make_node("Add", ["linear", "zero_or_nan"], ["steep"]))
    texts = np.array([["aa", "jfk"]], dtype=object)
    golden = GoldenRows(np.zeros((1, 2)), texts, np.array([score_of(1, 0, 0, "aa")])).to_json()
    graph = model.SerializeToString()
    append_release(store, write_toy_bundle(store.bundles, 1, contract=UNBOUNDED, model=graph, golden=golden))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journals")
    yield journal
    journal.close()


@pytest.fixture
def predictions(tmp_path: Path, journal: Journal) -> Predictions:
    """Answers with the steep graph."""
    promote_steep(signing_store(tmp_path))
    host = host_of(tmp_path)
    host.poll()
    return Predictions(host, journal, CallMeter(), status_of=status_name_of)


def test_only_the_call_whose_row_has_no_probability_is_refused(predictions: Predictions, journal: Journal):
    outcomes = predictions.predict_together([call_of(USUAL), call_of(BEYOND), call_of(USUAL)])
    assert [type(outcome) for outcome in outcomes] == [PredictionAnswer, ScoreError, PredictionAnswer]
    journal.close()
    assert sum(segment.rows for segment in sealed(journal._root)) == 2


def test_a_batch_is_told_its_first_row_without_a_probability(predictions: Predictions):
    with pytest.raises(ScoreError, match="no probability for row 1 and 1 more"):
        predictions.predict(batch_of([0.0, 3e38, 0.0, 3e38]))


@pytest.mark.parametrize(("said", "told"), [(1 + 1e-7, 1.0), (-1e-7, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_what_float32_rounded_beyond_a_probability_is_brought_back(
    predictions: Predictions, monkeypatch: pytest.MonkeyPatch, said: float, told: float
):
    monkeypatch.setattr(Predictor, "scores_of", lambda *_: np.array([said]))
    assert predictions.predict(call_of(USUAL)).probabilities == [told]


@pytest.mark.parametrize("said", [1.1, -0.1, np.inf, np.nan])
def test_what_is_no_probability_is_refused(predictions: Predictions, monkeypatch: pytest.MonkeyPatch, said: float):
    monkeypatch.setattr(Predictor, "scores_of", lambda *_: np.array([said]))
    with pytest.raises(ScoreError):
        predictions.predict(call_of(USUAL))


def test_it_is_internal_and_says_which_rows():
    end = end_of(ScoreError("the model has no probability for row 7"))
    assert (end.code, end.details) == (
        grpc.StatusCode.INTERNAL,
        "the model has no probability for row 7",
    )


def test_what_is_not_finite_spoils_no_histogram():
    before = SCORES.labels("spoiled", "1")
    before.observe_many(np.array([0.25, np.nan, np.inf, 0.5]))
    assert before._sum.get() == 0.75


def test_a_stream_goes_on_behind_a_row_without_a_probability(new_server):
    server: RunningServer = new_server()
    promote_steep(server.store)
    server.start()
    with Client(server.address) as client:
        eventually(lambda: client.health(MODEL), what="health")
        answers = [type(answer).__name__ for answer in client.predict_stream(MODEL, map(Row, [USUAL, BEYOND, USUAL]))]
    assert answers == ["Prediction", "ScoreError", "Prediction"]
    eventually(lambda: server.metric("model_confidence_count", model=MODEL) == 2, what="counted answers")
    assert server.metric("model_predictions_total", status="INTERNAL", model_version="1") == 1
