"""MLServer over gRPC with its scikit-learn runtime and one parallel worker, its default.

The ONNX form is a custom runtime in the server's own process (`parallel_workers: 0`), which is faster.
"""

import json
import os
import socket
import sys
from pathlib import Path

import benchmark_model
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

NAME = "benchmark"


class OnnxModel(MLModel):
    async def load(self) -> bool:
        self.model = benchmark_model.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        numbers, texts = payload.inputs
        found = self.model.probabilities(NumpyCodec.decode_input(numbers), [StringCodec.decode_input(texts)])
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("probabilities", found)])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    folder = benchmark_model.FOLDER / f"mlserver-{'onnx' if benchmark_model.IS_ONNX else 'sklearn'}"
    folder.mkdir(exist_ok=True)
    settings = {
        "host": "127.0.0.1",
        "grpc_port": benchmark_model.PORT,
        "http_port": _free_port(),
        "metrics_port": _free_port(),
        "parallel_workers": 0 if benchmark_model.IS_ONNX else 1,
        "debug": False,
    }
    model = {
        "name": NAME,
        "implementation": "server.OnnxModel" if benchmark_model.IS_ONNX else "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(benchmark_model.PIPELINE_FILE)},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    paths = [str(Path(__file__).parent), os.environ["PYTHONPATH"]]
    os.chdir(folder)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    program = str(Path(sys.executable).with_name("mlserver"))
    os.execve(program, [program, "start", "."], environment)
