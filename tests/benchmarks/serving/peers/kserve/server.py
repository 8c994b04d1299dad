"""KServe's Python server with a custom model that does what its scikit-learn runtime does.

That runtime is not in the package registry; its `predict` is `get_predict_input`, `predict_proba`,
`get_predict_response`.
"""

import benchmark_model
from kserve import Model, ModelServer
from kserve.protocol.rest import server as rest_server
from kserve.utils.utils import get_predict_input, get_predict_response

NAME = "benchmark"


class SklearnModel(Model):
    def load(self):
        self.model = benchmark_model.load().pipeline
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        result = self.model.predict_proba(get_predict_input(payload))
        return get_predict_response(payload, result, self.name)


class OnnxModel(Model):
    def load(self):
        self.model = benchmark_model.load()
        self.ready = True

    async def predict(self, payload, headers=None, response_headers=None):
        rows = payload["instances"]
        found = self.model.probabilities([row["numbers"] for row in rows], [row["texts"] for row in rows])
        return {"predictions": found.tolist()}


class LoopbackConfig(rest_server.uvicorn.Config):
    """The server names 0.0.0.0 in its code; this machine's benchmark stays on the machine."""

    def __init__(self, app, **options):
        super().__init__(app, **options | {"host": "127.0.0.1"})


if __name__ == "__main__":
    rest_server.uvicorn.Config = LoopbackConfig
    model = OnnxModel(NAME) if benchmark_model.IS_ONNX else SklearnModel(NAME)
    model.load()
    ModelServer(http_port=benchmark_model.PORT, enable_grpc=False, workers=1).start([model])
