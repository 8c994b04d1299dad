"""The model as the peers' servers use it; runs in their environments, so it imports nothing of this project."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

PORT = int(os.environ["BENCH_PORT"])
FOLDER = Path(os.environ["BENCH_MODEL"])
IS_ONNX = os.environ["BENCH_FORM"] == "onnx"
ONNX_FILE, PIPELINE_FILE = FOLDER / "model.onnx", FOLDER / "model.joblib"
NUMBERS, TEXTS = json.loads((FOLDER / "features.json").read_text())


class Pipeline:
    """The scikit-learn pipeline on data frames."""

    def __init__(self) -> None:
        import joblib

        self.pipeline = joblib.load(PIPELINE_FILE)

    def probability(self, row: dict[str, Any]) -> float:
        """Return the probability of the positive label of one row."""
        import pandas as pd

        return float(self.pipeline.predict_proba(pd.DataFrame([row]))[0, 1])


class Graph:
    """The ONNX file, with the session options of the project's own server."""

    def __init__(self) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(str(ONNX_FILE), options, providers=["CPUExecutionProvider"])
        encoding = json.loads(self._session.get_modelmeta().custom_metadata_map["encoding"])
        self._tables = [(table["values"], table["unseen"]) for table in encoding["texts"]]

    def probability(self, row: dict[str, Any]) -> float:
        """Return the probability of the positive label of one row."""
        found = self.probabilities([[row[name] for name in NUMBERS]], [[row[name] for name in TEXTS]])
        return float(found[0, 1])

    def probabilities(self, numbers: Any, texts: Any) -> np.ndarray:
        """Return both probabilities, shape (n_rows, 2), of rows of numbers and rows of texts."""
        features = np.empty((len(numbers), len(NUMBERS) + len(TEXTS)), dtype=np.float32)
        features[:, : len(NUMBERS)] = numbers
        for place, values in enumerate(texts):
            codes = [known.get(text, unseen) for (known, unseen), text in zip(self._tables, values, strict=True)]
            features[place, len(NUMBERS) :] = codes
        return self._session.run(["probabilities"], {"features": features})[0]


def load() -> Pipeline | Graph:
    """Return the form that this server was asked to serve."""
    return Graph() if IS_ONNX else Pipeline()
