"""BentoML: a service class with a data frame in and an array out, under `bentoml serve`."""

import os
import sys
from pathlib import Path

import benchmark_model
import bentoml
import numpy as np
import pandas as pd

if benchmark_model.IS_ONNX:

    @bentoml.service(workers=1)
    class Benchmark:
        def __init__(self) -> None:
            self.model = benchmark_model.load()

        @bentoml.api
        async def predict(self, numbers: list[list[float]], texts: list[list[str]]) -> list[list[float]]:
            return self.model.probabilities(numbers, texts).tolist()

else:

    @bentoml.service(workers=1)
    class Benchmark:
        def __init__(self) -> None:
            self.model = benchmark_model.load().pipeline

        @bentoml.api
        def predict(self, frame: pd.DataFrame) -> np.ndarray:
            return self.model.predict_proba(frame)


if __name__ == "__main__":
    options = ["--host", "127.0.0.1", "--port", str(benchmark_model.PORT), "--working-dir", str(Path(__file__).parent)]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", "serve", "server:Benchmark", *options])
