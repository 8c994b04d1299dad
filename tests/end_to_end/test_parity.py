"""Served probabilities are the training pipeline's, on real flights through gRPC."""

import numpy as np
import pytest

from mlops_assets.catalog import find
from mlops_assets.core.pipelines import make_pipeline, scores_of
from mlops_assets.core.schema import binary_labels, frame_matrices
from mlops_assets.core.training import to_onnx
from serving.formats.bundle import GOLDEN_FILE, MODEL_FILE, PROFILE_FILE, GoldenRows, Manifest, write_bundle
from serving.formats.release import Deployed, Release, Routing
from serving.scoring.predictor import Predictor
from tests.conftest import ANCHOR
from tests.serving.harness import RunningServer

pytestmark = pytest.mark.processes
PARAMS = {
    "logistic_regression": {"C": 1.0},
    "random_forest": {"n_estimators": 30, "max_depth": 10, "min_samples_leaf": 5, "max_features": 0.3},
    "hist_gradient_boosting": {"learning_rate": 0.1, "max_iter": 100},
}


@pytest.fixture(scope="module")
def flights():
    return find("flight_delay").source()


@pytest.mark.parametrize("algorithm", sorted(PARAMS))
def test_a_thousand_real_rows_through_grpc_match_the_pipeline(tmp_path, flights, algorithm):
    spec = find("flight_delay")
    rows = flights[flights[spec.label.name].notna()]
    train, served = rows.head(8000), flights.tail(1000)
    pipeline = make_pipeline(algorithm, PARAMS[algorithm], spec.contract)
    numbers, texts = frame_matrices(train, spec.contract)
    from mlops_assets.core.pipelines import one_thread, pipeline_input

    with one_thread():
        pipeline.fit(pipeline_input(numbers, texts), binary_labels(train[spec.label.name], spec.label.positive))
    expected = scores_of(pipeline, served, spec.contract)
    server = RunningServer(tmp_path / "home")
    deploy(server.store, spec, to_onnx(pipeline, spec.contract), served)
    try:
        server.start()
        with server.client() as client:
            assert client.wait_until_healthy(spec.name)
            columns = {name: served[name].tolist() for name in spec.feature_names}
            answers = client.predict_batch(spec.name, columns)
            row = {name: None if values[0] != values[0] else values[0] for name, values in columns.items()}
            single = client.predict(spec.name, row)
        assert server.terminate() == 0
    finally:
        server.destroy()
    difference = np.abs(np.array([answer.probability for answer in answers]) - expected)
    assert len(answers) == 1000
    assert difference.max() <= 1e-5
    assert abs(single.probability - expected[0]) <= 1e-5


def deploy(store, spec, model_bytes, rows):
    numbers, texts = frame_matrices(rows.head(10), spec.contract)
    golden = GoldenRows(numbers, texts, Predictor(model_bytes).scores(numbers, texts))
    manifest = Manifest(
        model=spec.name,
        version="1",
        contract=spec.contract,
        created_at=ANCHOR.isoformat(),
        tuned_until=ANCHOR.isoformat(),
        data_version="",
        code_version="1",
        mlflow_run_id="",
        dagster_run_id="",
        algorithm="test",
        metrics={},
        libraries={},
        files={},
    )
    contents = {MODEL_FILE: model_bytes, PROFILE_FILE: b"{}", GOLDEN_FILE: golden.to_json()}
    deployed = Deployed("1", write_bundle(store.bundles, manifest, contents))
    store.append(
        Release(
            model=spec.name,
            generation=1,
            action="promote",
            reason="test",
            actor="test",
            at=ANCHOR,
            routing=Routing(production=deployed),
        )
    )
