"""From a fitted pipeline to ONNX bytes, and the proof that both answer alike."""

import warnings
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mlops_assets.core.pipelines import one_thread, pipeline_input
from mlops_assets.core.schema import frame_matrices
from mlops_assets.errors import ConversionError
from serving.formats.contract import Contract, Numbers
from serving.formats.encoding import METADATA_KEY, Encoding, TextTable
from serving.formats.texts import TextMatrix

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

TOLERANCE = 1e-5
UNSEEN = "never seen"
N_PROBED_ROWS = 20


class Scorer(Protocol):
    """What answers for a converted pipeline: `serving.scoring.predictor.Predictor`."""

    def scores(self, numbers: Numbers, texts: TextMatrix) -> Numbers:
        """Return the probability of the positive label, shape (n_rows,)."""
        ...


def to_onnx(pipeline: "Pipeline", contract: Contract) -> bytes:
    """Convert a fitted pipeline.

    Args:
        pipeline: Its first step makes one number of every column (`make_pipeline`); it becomes the graph's encoding.
        contract: Names the graph.

    Returns:
        A graph with the input `features` (float32), whose metadata say how to make them, and the output
        `probabilities`, shape (n_rows, 2).

    Raises:
        ConversionError: The pipeline can not be converted.
    """
    from onnx.helper import set_model_props
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.pipeline import Pipeline

    try:
        encoding = encoding_of(pipeline)
        rest = Pipeline(pipeline.steps[1:])
        inputs = [("features", FloatTensorType([None, encoding.width]))]
        with warnings.catch_warnings():
            # skl2onnx hands truth values to integer fields; protobuf 7.34 will refuse that, 6 takes them.
            warnings.filterwarnings("ignore", "Field onnx", DeprecationWarning)
            graph = convert_sklearn(
                rest, name=contract.model, initial_types=inputs, options={id(rest): {"zipmap": False}}
            )
    except Exception as error:  # the converters of many estimators raise whatever they like
        reason = f"{type(error).__name__}: {str(error)[:300]}"  # some print the whole forest
        raise ConversionError(f"{contract.model}: the pipeline does not convert: {reason}") from error
    set_model_props(graph, {METADATA_KEY: encoding.to_json()})
    content: bytes = graph.SerializeToString()
    return content


def encoding_of(pipeline: "Pipeline") -> Encoding:
    """Return what the first step of a fitted pipeline does."""
    columns = {name: (transformer, list(places)) for name, transformer, places in pipeline[0].transformers_}
    _, numbers = columns.get("numbers", (None, []))
    encoder, _ = columns.get("texts", (None, []))
    if encoder is None:
        return Encoding(tuple(numbers), ())
    if hasattr(encoder, "encodings_"):  # a target encoder
        values, unseen = encoder.encodings_, float(encoder.target_mean_)
    else:
        values, unseen = [range(len(known)) for known in encoder.categories_], float(encoder.unknown_value)
    tables = (
        TextTable(column, {text: float(value) for text, value in zip(known, numbers_of, strict=True)}, unseen)
        for column, (known, numbers_of) in enumerate(zip(encoder.categories_, values, strict=True))
    )
    return Encoding(tuple(numbers), tuple(tables))


def parity(
    pipeline: "Pipeline", predictor: Scorer, frame: "pd.DataFrame", contract: Contract, *, tolerance: float = TOLERANCE
) -> float:
    """Compare a pipeline with its conversion on real rows and on rows at the bounds of the contract.

    Returns:
        The largest difference of two probabilities, 0 to 1.

    Raises:
        ConversionError: It exceeds the tolerance, or an answer is not a number.
    """
    numbers, texts = frame_matrices(frame, contract)
    probes = boundary_rows(numbers, texts, contract)
    numbers, texts = np.concatenate([numbers, probes[0]]), np.concatenate([texts, probes[1]])
    with one_thread():
        expected = pipeline.predict_proba(pipeline_input(numbers, texts))[:, 1]
    differences = np.abs(predictor.scores(numbers, texts) - expected)
    largest = float(np.max(differences, initial=0.0))
    if not largest <= tolerance:
        n_rows = int((~(differences <= tolerance)).sum())
        raise ConversionError(
            f"{contract.model}: the ONNX graph differs from the pipeline by up to {largest:.2g} in probability "
            f"({n_rows} of {len(differences)} rows by more than {tolerance:g})"
        )
    return largest


def boundary_rows(numbers: Numbers, texts: TextMatrix, contract: Contract) -> tuple[Numbers, TextMatrix]:
    """Return copies of real rows, each with one feature at an edge of what the contract admits.

    Numbers go to their bounds (without one: ten times the largest magnitude seen) and to missing, texts to missing and
    to a value never seen, where the contract admits it.
    """
    base = np.arange(min(N_PROBED_ROWS, len(numbers)))
    edges: list[tuple[int, bool, object]] = []
    for column, number in enumerate(contract.numbers):
        far = 10 * float(np.nanmax(np.abs(numbers[:, column]), initial=1.0))
        edges.append((column, True, -far if number.minimum is None else number.minimum))
        edges.append((column, True, far if number.maximum is None else number.maximum))
        edges += [(column, True, np.nan)] if number.nullable else []
    for column, text in enumerate(contract.texts):
        edges += [(column, False, "")] if text.nullable else []
        edges += [(column, False, UNSEEN)] if text.open else []
    probed_numbers = np.repeat(numbers[base][np.newaxis], len(edges), axis=0)
    probed_texts = np.repeat(texts[base][np.newaxis], len(edges), axis=0)
    for place, (column, is_number, value) in enumerate(edges):
        probed: Any = probed_numbers if is_number else probed_texts
        probed[place, :, column] = value
    n_rows = len(edges) * len(base)
    return probed_numbers.reshape(n_rows, numbers.shape[1]), probed_texts.reshape(n_rows, texts.shape[1])
