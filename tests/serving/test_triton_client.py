"""What an unmodified tritonclient, in a process and an environment of its own, gets from a running server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.client import Client
from tests.serving.harness import RunningServer
from tests.serving.toy import MODEL, score_of

pytestmark = pytest.mark.processes

HERE = Path(__file__).parent / "triton"
SCORES = [score_of(1, 400, 7, "aa"), score_of(1, 100, None, "bb"), score_of(1, 900, 23, "aa")]


def run(*command: object) -> str:
    """Run a command without this environment's Python path; its error output is the failure's text."""
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    ended = subprocess.run(
        [str(part) for part in command], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds tritonclient and not this project."""
    folder = tmp_path_factory.mktemp("triton") / "venv"
    run(sys.executable, "-m", "uv", "venv", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    requirements = HERE / "requirements.txt"
    run(sys.executable, "-m", "uv", "pip", "install", "--no-deps", "--python", python, "-r", requirements)
    return python


@pytest.fixture(scope="module")
def said(python: Path, server: RunningServer) -> dict[str, Any]:
    """What the server answered, by call."""
    answers: dict[str, Any] = json.loads(run(python, "-I", HERE / "calls.py", server.address))
    return answers


def test_server_and_model_are_live_and_ready_and_others_are_not(said: dict[str, Any]):
    assert said["live"] is said["ready"] is True
    assert said["models_ready"] == [True, True, False, False]
    assert said["server"]["name"] == "mlops-assets"
    assert said["server"]["extensions"] == ["model_configuration", "statistics"]


def test_metadata_name_one_input_a_feature(said: dict[str, Any]):
    metadata = said["metadata"]
    assert (metadata["name"], metadata["versions"], metadata["platform"]) == (MODEL, ["1"], "onnxruntime_onnx")
    assert metadata["inputs"] == [
        {"name": "distance", "datatype": "FP64", "shape": ["-1", "1"]},
        {"name": "hour", "datatype": "FP64", "shape": ["-1", "1"]},
        {"name": "carrier", "datatype": "BYTES", "shape": ["-1", "1"]},
        {"name": "origin", "datatype": "BYTES", "shape": ["-1", "1"]},
    ]
    assert metadata["outputs"] == [
        {"name": "label", "datatype": "BYTES", "shape": ["-1"]},
        {"name": "probabilities", "datatype": "FP64", "shape": ["-1", "2"]},
        {"name": "prediction_id", "datatype": "BYTES", "shape": ["-1"]},
    ]


def test_the_configuration_describes_one_row_and_the_greatest_batch(said: dict[str, Any]):
    config = said["config"]["config"]
    assert (config["name"], config["max_batch_size"], config["backend"]) == (MODEL, 1000, "onnxruntime")
    assert config["input"][0] == {"name": "distance", "data_type": "TYPE_FP64", "dims": ["1"]}
    assert config["output"][1] == {"name": "probabilities", "data_type": "TYPE_FP64", "dims": ["2"]}


@pytest.mark.parametrize("call", ["infer", "shape_n_1", "fp32", "keyed", "async", "awaited"])
def test_every_way_of_asking_gets_the_models_answer(said: dict[str, Any], call: str):
    answer = said[call]
    np.testing.assert_allclose(answer["probabilities"], [[1 - score, score] for score in SCORES], atol=1e-6)
    assert answer["label"] == ["late" if score >= 0.5 else "on_time" for score in SCORES]
    assert len(set(answer["prediction_id"])) == 3


def test_whole_numbers_may_come_as_integers(said: dict[str, Any]):
    expected = [score_of(1, 400, 7, "aa"), score_of(1, 100, 0, "bb"), score_of(1, 900, 23, "aa")]
    np.testing.assert_allclose([row[1] for row in said["int64"]["probabilities"]], expected, atol=1e-6)


def test_only_requested_outputs_are_sent(said: dict[str, Any]):
    assert said["requested"]["label"] is None
    assert said["requested"]["prediction_id"] is None
    assert len(said["requested"]["probabilities"]) == 3


def test_the_answer_names_the_requests_id_the_version_and_its_generation(said: dict[str, Any]):
    response = said["identified"]
    assert (response["id"], response["model_name"], response["model_version"]) == ("echo", MODEL, "1")
    assert response["parameters"] == {"generation": {"int64_param": "1"}}
    assert (said["awaited"]["id"], said["awaited"]["name"]) == ("awaited", MODEL)


def test_a_retry_with_the_same_request_id_gets_the_same_predictions(said: dict[str, Any]):
    first, second = said["retried"]
    assert first == second
    assert first["prediction_id"] != said["infer"]["prediction_id"]


def test_a_prediction_can_be_read_back_by_its_id(said: dict[str, Any], client: Client):
    found = client.prediction(MODEL, said["keyed"]["prediction_id"][1])
    assert (found.entity_key, dict(found.numbers), dict(found.texts)) == ("b", {"distance": 100.0}, {"carrier": "bb"})


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        ("missing_input", "StatusCode.INVALID_ARGUMENT", "hour: is missing"),
        ("unknown_output", "StatusCode.INVALID_ARGUMENT", "score: is not an output"),
        ("wrong_type", "StatusCode.INVALID_ARGUMENT", "carrier: has numbers, must have texts (BYTES)"),
        ("classes", "StatusCode.INVALID_ARGUMENT", "label: can not be sent with the parameter classification"),
        ("other_version", "StatusCode.NOT_FOUND", "'2'"),
        ("unknown_model", "StatusCode.NOT_FOUND", "no model 'no' here"),
        ("unknown_metadata", "StatusCode.NOT_FOUND", "no model 'no' here"),
        ("unknown_statistics", "StatusCode.NOT_FOUND", "no model 'no' here"),
        ("repository", "StatusCode.UNIMPLEMENTED", "Method not found!"),
    ],
)
def test_what_can_not_be_answered_is_refused_with_its_status(
    said: dict[str, Any], call: str, status: str, message: str
):
    assert said[call][0] == status
    assert message in said[call][1]


def test_statistics_are_those_of_the_version_in_production(said: dict[str, Any]):
    version = said["statistics"]["model_stats"][0]
    assert (version["name"], version["version"]) == (MODEL, "1")
    assert int(version["inference_count"]) >= 30
    success = version["inference_stats"]["success"]
    assert success["count"] == version["execution_count"]
    assert int(success["ns"]) > 1000
