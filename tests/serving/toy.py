"""A toy model with an exact answer in numpy, so that a test knows what each version must say."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper

from serving.formats.bundle import GOLDEN_FILE, MODEL_FILE, PROFILE_FILE, GoldenRows, Manifest, write_bundle
from serving.formats.contract import Contract, NumberFeature, TextFeature
from serving.formats.encoding import METADATA_KEY, Encoding, TextTable
from serving.formats.release import Action, Deployed, Release, ReleaseStore, Routing

MODEL = "toy"
CONTRACT = Contract(
    model=MODEL,
    numbers=(
        NumberFeature("distance", minimum=0, maximum=1000),
        NumberFeature("hour", minimum=0, maximum=23, integer=True, nullable=True),
    ),
    texts=(TextFeature("carrier", ("aa", "bb")), TextFeature("origin", ("jfk",), open=True, nullable=True)),
    negative="on_time",
    positive="late",
)
ROW = {"distance": 400.0, "hour": 7, "carrier": "aa", "origin": "jfk"}
_WEIGHTS = np.array([0.001, 0.05, 1.0], dtype=np.float32)
_CARRIERS = {"aa": 0.4, "bb": -0.4}


def score_of(version: int, distance: float, hour: float | None, carrier: str) -> float:
    """What version `version` answers."""
    logit = distance * 0.001 + (hour or 0.0) * 0.05 + _CARRIERS.get(carrier, 0.0) + bias_of(version)
    return float(1 / (1 + np.exp(-logit)))


def bias_of(version: int) -> float:
    return (version % 50) * 0.05 - 1


def onnx_of(version: int) -> bytes:
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["linear"]),
        helper.make_node("Add", ["linear", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["negative"]),
        helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("weights", TensorProto.FLOAT, [3, 1], _WEIGHTS),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias_of(version)]),
    ]
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: Encoding((0, 1), (TextTable(0, _CARRIERS, 0.0),)).to_json()})
    checker.check_model(model)
    return model.SerializeToString()


def write_toy_bundle(
    bundles: Path,
    version: int,
    *,
    contract: Contract = CONTRACT,
    golden_error: float = 0.0,
    model: bytes = b"",
    golden: bytes = b"",
    libraries: dict[str, str] | None = None,
) -> Deployed:
    """Write version `version` into a bundle folder."""
    numbers = np.array([[400.0, 7.0], [100.0, np.nan]])
    texts = np.array([["aa", "jfk"], ["bb", ""]], dtype=object)
    scores = np.array([score_of(version, 400, 7, "aa"), score_of(version, 100, None, "bb")]) + golden_error
    manifest = Manifest(
        model=contract.model,
        version=str(version),
        contract=contract,
        created_at=datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        tuned_until=datetime(2025, 12, 1, tzinfo=UTC).isoformat(),
        data_version="d1",
        code_version="c1",
        mlflow_run_id="m1",
        dagster_run_id="r1",
        algorithm="toy",
        metrics={"accuracy": 0.75},
        libraries=libraries or {},
        files={},
    )
    contents = {
        MODEL_FILE: model or onnx_of(version),
        PROFILE_FILE: b"{}",
        GOLDEN_FILE: golden or GoldenRows(numbers, texts, scores).to_json(),
    }
    return Deployed(str(version), write_bundle(bundles, manifest, contents))


def append_release(
    store: ReleaseStore, deployed: Deployed | None, *, action: Action = "promote", model: str = MODEL
) -> Release:
    """Append an entry that puts `deployed` into production."""
    release = Release(
        model=model,
        generation=store.latest_generation(model) + 1,
        action=action,
        reason="test",
        actor="test",
        at=datetime.now(UTC),
        routing=Routing(production=deployed),
        candidate=deployed,
    )
    return store.append(release)


def promote(store: ReleaseStore, version: int, *, contract: Contract = CONTRACT, golden_error: float = 0.0) -> Release:
    """Write and promote a version."""
    deployed = write_toy_bundle(store.bundles, version, contract=contract, golden_error=golden_error)
    return append_release(store, deployed, model=contract.model)
