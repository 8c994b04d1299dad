"""Scores rows with a bundle's ONNX graph; both sides use it, so what is evaluated is what is served."""

import numpy as np
import onnxruntime as ort

from serving.errors import BundleError
from serving.formats.bundle import Bundle
from serving.formats.contract import Numbers
from serving.formats.encoding import METADATA_KEY, Encoding
from serving.formats.onnx_graph import check_graph
from serving.formats.texts import TextMatrix, Texts, columns_of

GOLDEN_TOLERANCE = 1e-5
_OUTPUTS = ["probabilities"]


class Predictor:
    """An ONNX Runtime session behind its encoding, one thread, safe to call from many threads."""

    def __init__(self, model_bytes: bytes) -> None:
        """Load a graph with the input `features` (float32), the output `probabilities` and its encoding as metadata.

        Raises:
            BundleError: It is not such a graph, or would do more than compute on what it holds.
        """
        check_graph(model_bytes)
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The runtime has a format of its own too, which `check_graph` has not seen.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self._session = ort.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises bare exceptions of many kinds
            raise BundleError(f"the ONNX graph does not load: {error}") from error
        inputs = [node.name for node in self._session.get_inputs()]
        outputs = [node.name for node in self._session.get_outputs()]
        if inputs != ["features"] or "probabilities" not in outputs:
            raise BundleError(f"the ONNX graph has inputs {inputs} and outputs {outputs}")
        try:
            self._encoding = Encoding.from_json(self._session.get_modelmeta().custom_metadata_map[METADATA_KEY])
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"the ONNX graph has no readable {METADATA_KEY}: {error!r}") from error
        self._options = ort.RunOptions()  # without it every run makes its own, which costs 1 µs

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> "Predictor":
        """Load a verified bundle and prove it on its golden rows.

        Raises:
            BundleError: The graph does not load or does not answer its golden rows within 1e-5.
        """
        predictor = cls(bundle.model_bytes)
        golden = bundle.golden
        difference = float(np.max(np.abs(predictor.scores(golden.numbers, golden.texts) - golden.scores), initial=0))
        if not difference <= GOLDEN_TOLERANCE:
            raise BundleError(f"bundle {bundle.digest[:12]} misses its golden answers by {difference:.2g}")
        return predictor

    def scores(self, numbers: Numbers, texts: TextMatrix) -> Numbers:
        """Return the probability of the positive label for rows as two matrices.

        Args:
            numbers: Shape (n_rows, n_numbers), NaN where missing.
            texts: Shape (n_rows, n_texts), "" where missing.

        Returns:
            Shape (n_rows,), each in 0 to 1.
        """
        return self.scores_of(numbers, columns_of(texts))

    def scores_of(self, numbers: Numbers, texts: Texts) -> Numbers:
        """Return the same for texts in columns, as requests bring them."""
        features = self._encoding.features(numbers, texts)
        (probabilities,) = self._session.run(_OUTPUTS, {"features": features}, self._options)
        scores: Numbers = probabilities[:, 1].astype(np.float64)
        return scores
