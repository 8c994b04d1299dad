"""Between the Open Inference Protocol's requests and calls: one input tensor a feature, one element a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.inference import open_inference_pb2 as pb
from serving.api.codec import checked, unknown_features
from serving.api.tensors import Column, column_of, contents_of, raw_of
from serving.errors import ContractError, Violation
from serving.formats.contract import Contract
from serving.formats.texts import TextMatrix, columns_of
from serving.prediction import MAXIMUM_KEY_LENGTH, PredictionAnswer, PredictionCall, Rows

ENTITY_KEY, EVENT_TIME = "entity_key", "event_time"
"""Inputs that may stand beside the features: BYTES, and INT64 in microseconds since 1970-01-01 UTC."""

REQUEST_ID, GENERATION = "request_id", "generation"
"""A parameter of the request, which makes a retry safe, and one of the answer."""

MAXIMUM_INPUTS = 10_000
_SENT_OTHERWISE = ("classification", "shared_memory_region")


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of an answer; its first dimension is the number of rows."""

    datatype: str
    shape: tuple[int, ...]
    values_of: Callable[[PredictionAnswer], Sequence[str] | NDArray[np.float64]]


def _both_probabilities(answer: PredictionAnswer) -> NDArray[np.float64]:
    positive = np.asarray(answer.probabilities, dtype=np.float64)
    return np.stack([1 - positive, positive], axis=1)


OUTPUTS = {
    "label": Output("BYTES", (-1,), lambda answer: answer.labels),
    "probabilities": Output("FP64", (-1, 2), _both_probabilities),
    "prediction_id": Output("BYTES", (-1,), lambda answer: answer.prediction_ids),
}
"""`probabilities` are those of the negative and of the positive label."""


def call_of_tensors(request: pb.ModelInferRequest, identity: str = "", arrived_at: float = 0.0) -> PredictionCall:
    """Read a request; what is wrong with it is raised by `rows_of`, together with what breaks the contract."""
    columns, found = _columns_of(request)
    keys = _taken(columns, ENTITY_KEY, "BYTES", found)
    times = _taken(columns, EVENT_TIME, "INT64", found)
    found.extend(_envelope_violations(request))
    return PredictionCall(
        model=request.model_name,
        rows_of=partial(rows_of_tensors, columns, found),
        request_id=request.parameters[REQUEST_ID].string_param if REQUEST_ID in request.parameters else "",
        entity_keys=keys,
        event_times_us=times,
        version=request.model_version,
        identity=identity,
        arrived_at=arrived_at,
    )


def rows_of_tensors(columns: dict[str, Column], found: list[Violation], contract: Contract) -> Rows:
    """Put columns into the order of the contract and check them.

    Args:
        columns: What could be read, all of one length.
        found: What is wrong with the rest of the request.
        contract: Of the version that answers.

    Raises:
        ContractError: One violation for every offending tensor and rule.
    """
    if found and not columns:
        raise ContractError(found)
    found = [*found, *unknown_features(columns, contract)]
    n_rows = len(next(iter(columns.values()), ()))
    numbers = np.full((n_rows, len(contract.numbers)), np.nan)
    texts: TextMatrix = np.full((n_rows, len(contract.texts)), "", dtype=object)
    _fill(numbers, [feature.name for feature in contract.numbers], columns, found)
    _fill(texts, [feature.name for feature in contract.texts], columns, found)
    return checked((numbers, columns_of(texts)), contract, found)


def response_of(request: pb.ModelInferRequest, answer: PredictionAnswer) -> pb.ModelInferResponse:
    """Write the requested outputs, or all of them; raw if the request was."""
    is_raw = bool(request.raw_input_contents)
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=answer.model_version, id=request.id)
    response.parameters[GENERATION].int64_param = answer.generation
    for name in dict.fromkeys(output.name for output in request.outputs) or OUTPUTS:
        output = OUTPUTS[name]
        shape = (len(answer.labels), *output.shape[1:])
        tensor = response.outputs.add(name=name, datatype=output.datatype, shape=shape)
        if is_raw:
            response.raw_output_contents.append(raw_of(output.values_of(answer)))
        else:
            tensor.contents.CopyFrom(contents_of(output.values_of(answer)))
    return response


def _columns_of(request: pb.ModelInferRequest) -> tuple[dict[str, Column], list[Violation]]:
    inputs, raw = request.inputs, request.raw_input_contents
    if found := _form_violations(request):
        return {}, found
    columns: dict[str, Column] = {}
    seen: set[str] = set()
    n_rows = 0
    for place, tensor in enumerate(inputs):
        name = tensor.name
        try:
            column = column_of(tensor, raw[place] if raw else None)
        except ContractError as error:
            found.extend(error.violations)
            continue
        n_rows = n_rows or len(column)
        if name in seen:
            found.append(Violation(name[:80], "is there twice"))
        elif len(column) != n_rows:
            found.append(Violation(name[:80], f"has {len(column)} rows, others have {n_rows}"))
        else:
            columns[name] = column
        seen.add(name)
    return columns, found


def _form_violations(request: pb.ModelInferRequest) -> list[Violation]:
    """Return why no tensor can be read."""
    inputs, raw = request.inputs, request.raw_input_contents
    if max(len(inputs), len(raw)) > MAXIMUM_INPUTS:
        return [Violation("inputs", f"are more than {MAXIMUM_INPUTS}")]
    if not raw:
        return []
    found = [
        Violation(t.name[:80], "has contents beside raw_input_contents") for t in inputs if t.contents.ListFields()
    ]
    if len(raw) != len(inputs):
        found.append(Violation("raw_input_contents", f"has {len(raw)} entries for {len(inputs)} inputs"))
    return found


def _envelope_violations(request: pb.ModelInferRequest) -> list[Violation]:
    """Return what is wrong beside the inputs."""
    found = []
    if len(request.id) > MAXIMUM_KEY_LENGTH:
        found.append(Violation("id", f"is longer than {MAXIMUM_KEY_LENGTH} characters"))
    if REQUEST_ID in request.parameters and not request.parameters[REQUEST_ID].HasField("string_param"):
        found.append(Violation(REQUEST_ID, "must be a string parameter"))
    if len(request.outputs) > len(OUTPUTS):
        found.append(Violation("outputs", f"are {len(request.outputs)} of {len(OUTPUTS)}"))
    for output in request.outputs[: len(OUTPUTS)]:
        if output.name not in OUTPUTS:
            found.append(Violation(output.name[:80], f"is not an output, these are: {', '.join(OUTPUTS)}"))
        for parameter in _SENT_OTHERWISE:
            if parameter in output.parameters:
                found.append(Violation(output.name[:80], f"can not be sent with the parameter {parameter}"))
    return found


def _taken(columns: dict[str, Column], name: str, datatype: str, found: list[Violation]) -> list[Any]:
    """Take an input that is no feature out of the columns."""
    column = columns.pop(name, None)
    if column is None:
        return []
    if column.dtype != (object if datatype == "BYTES" else np.int64):
        found.append(Violation(name, f"must have the datatype {datatype}"))
        return []
    values: list[Any] = column.tolist()
    return values


@np.errstate(invalid="ignore")  # a signaling NaN is missing like any other
def _fill(matrix: NDArray[Any], names: list[str], columns: dict[str, Column], found: list[Violation]) -> None:
    unread = {violation.field for violation in found}
    holds_texts = matrix.dtype == object
    for place, name in enumerate(names):
        column = columns.get(name)
        if column is None:
            if name not in unread:
                found.append(Violation(name, "is missing"))
        elif (column.dtype == object) is holds_texts:
            matrix[:, place] = column
        else:
            kinds = "numbers, must have texts (BYTES)" if holds_texts else "texts, must have numbers"
            found.append(Violation(name, f"has {kinds}"))
