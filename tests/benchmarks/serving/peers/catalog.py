"""The peers: what each is asked and how its answers are read. How each is run stands in its `<folder>/server.py`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from protos.inference import open_inference_pb2 as oip
from tests.benchmarks.serving.answers import ScoresOf
from tests.benchmarks.serving.load import Request, grpc_request
from tests.benchmarks.serving.model import CONTRACT, BenchmarkModel

FormName = Literal["documented", "onnx"]
FORMS: dict[FormName, str] = {
    "documented": "as its documents recommend for scikit-learn",
    "onnx": "handed our ONNX file",
}
NUMBERS = [feature.name for feature in CONTRACT.numbers]
TEXTS = [feature.name for feature in CONTRACT.texts]
_JSON = ("content-type: application/json",)
_MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True)
class Form:
    """One way to ask a peer.

    Attributes:
        request_of: Gives the request of one row, from the server's address, the model and the row's number.
        scores_of: Reads the answer.
    """

    request_of: Callable[[str, BenchmarkModel, int], Request]
    scores_of: ScoresOf


@dataclass(frozen=True)
class Peer:
    """One product.

    Attributes:
        name: As the tables show it.
        folder: Below `peers/`; has `requirements.txt` and `server.py`.
        package: Whose version is shown.
        forms: Documented and with our ONNX file.
        is_python: Whether the server itself is written in Python; only such are compared in the figures.
    """

    name: str
    folder: str
    package: str
    forms: dict[FormName, Form]
    is_python: bool = True


def _json_form(path: str, body_of: Callable[[BenchmarkModel, int], Any], scores_of: Callable[[Any], Any]) -> Form:
    def request_of(address: str, model: BenchmarkModel, row: int) -> Request:
        return Request(f"http://{address}{path}", json.dumps(body_of(model, row)).encode(), _JSON, http1=True)

    return Form(request_of, lambda answer: np.ravel(scores_of(json.loads(answer))).tolist())


def _tensor_form(message_of: Callable[[BenchmarkModel, int], oip.ModelInferRequest]) -> Form:
    def request_of(address: str, model: BenchmarkModel, row: int) -> Request:
        return grpc_request(address, _MODEL_INFER, message_of(model, row).SerializeToString())

    return Form(request_of, _scores_of_tensors)


def _matrices_of(model: BenchmarkModel, row: int) -> dict[str, Any]:
    return {"numbers": [model.numbers[row].tolist()], "texts": [model.texts[row].tolist()]}


def _split_frame(model: BenchmarkModel, row: int) -> dict[str, Any]:
    values = model.row(row)
    return {"dataframe_split": {"columns": list(values), "data": [list(values.values())]}}


def _column_tensors(model: BenchmarkModel, row: int) -> oip.ModelInferRequest:
    """Return one tensor a feature, which MLServer's pandas codec makes a data frame of."""
    request = oip.ModelInferRequest(model_name=CONTRACT.model)
    request.parameters["content_type"].string_param = "pd"
    request.outputs.add(name="predict_proba")
    for name, value in model.row(row).items():
        if isinstance(value, str):
            tensor = request.inputs.add(name=name, datatype="BYTES", shape=[1, 1])
            tensor.parameters["content_type"].string_param = "str"
            tensor.contents.bytes_contents.append(value.encode())
        else:
            request.inputs.add(name=name, datatype="FP64", shape=[1, 1]).contents.fp64_contents.append(value)
    return request


def _matrix_tensors(model: BenchmarkModel, row: int) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name=CONTRACT.model)
    numbers = request.inputs.add(name="numbers", datatype="FP32", shape=[1, len(NUMBERS)])
    numbers.contents.fp32_contents.extend(model.numbers[row].tolist())
    texts = request.inputs.add(name="texts", datatype="BYTES", shape=[1, len(TEXTS)])
    texts.contents.bytes_contents.extend(text.encode() for text in model.texts[row])
    return request


def _scores_of_tensors(answer: bytes) -> list[float]:
    response = oip.ModelInferResponse.FromString(answer)
    (output,) = response.outputs
    if response.raw_output_contents:
        kind = np.float32 if output.datatype == "FP32" else np.float64
        values = np.frombuffer(response.raw_output_contents[0], dtype=kind)
    else:
        values = np.array(output.contents.fp32_contents or output.contents.fp64_contents)
    return values.reshape(-1, 2)[:, 1].tolist()


def _positive(probabilities: Any) -> Any:
    return np.array(probabilities)[:, 1]


_ROW = _json_form("/predict", BenchmarkModel.row, lambda answer: answer["probability"])
_TENSORS = _tensor_form(_matrix_tensors)

PEERS = (
    Peer("FastAPI + uvicorn", "fastapi", "fastapi", dict.fromkeys(FORMS, _ROW)),
    Peer(
        "mlflow models serve",
        "mlflow",
        "mlflow",
        {
            "documented": _json_form("/invocations", _split_frame, lambda answer: _positive(answer["predictions"])),
            "onnx": _json_form(
                "/invocations",
                lambda model, row: {"inputs": [model.features[row].tolist()]},
                lambda answer: _positive(answer["predictions"]["probabilities"]),
            ),
        },
    ),
    Peer(
        "KServe Python server",
        "kserve",
        "kserve",
        {
            "documented": _json_form(
                f"/v1/models/{CONTRACT.model}:predict",
                lambda model, row: {"instances": [{name: [value] for name, value in model.row(row).items()}]},
                lambda answer: _positive(answer["predictions"]),
            ),
            "onnx": _json_form(
                f"/v1/models/{CONTRACT.model}:predict",
                lambda model, row: {"instances": [{name: rows[0] for name, rows in _matrices_of(model, row).items()}]},
                lambda answer: _positive(answer["predictions"]),
            ),
        },
    ),
    Peer(
        "BentoML",
        "bentoml",
        "bentoml",
        {
            "documented": _json_form("/predict", lambda model, row: {"frame": [model.row(row)]}, _positive),
            "onnx": _json_form("/predict", _matrices_of, _positive),
        },
    ),
    Peer(
        "Ray Serve",
        "ray_serve",
        "ray",
        dict.fromkeys(FORMS, _json_form("/", BenchmarkModel.row, lambda answer: answer["probability"])),
    ),
    Peer(
        "MLServer (gRPC)",
        "mlserver",
        "mlserver",
        {"documented": _tensor_form(_column_tensors), "onnx": _TENSORS},
    ),
    Peer("NVIDIA Triton (gRPC)", "triton", "nvidia-pytriton", dict.fromkeys(FORMS, _TENSORS), is_python=False),
)
