"""Between protos and matrices; every field that breaks the contract is named, not only the first."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from protos.mlops.v1 import prediction_pb2 as pb
from serving.errors import ContractError, Violation
from serving.formats.contract import Contract, Numbers
from serving.formats.texts import TextColumn, Texts, single
from serving.prediction import PredictionAnswer, PredictionCall, Rows
from serving.times import NO_TIME_US

MAXIMUM_ROWS = 1000
_NAN = float("nan")

T = TypeVar("T", float, str)


def call_of_one(request: pb.PredictRequest, identity: str = "", arrived_at: float = 0.0) -> PredictionCall:
    """Read a request for one row."""
    # In the order of the fields: naming them costs 0.3 µs.
    return PredictionCall(
        request.model,
        partial(rows_of_features, request),
        request.request_id,
        [key] if (key := request.entity_key) else [],
        [microseconds_of(request.event_time)] if request.HasField("event_time") else [],
        request.version,
        identity,
        arrived_at,
    )


def call_of_batch(request: pb.PredictBatchRequest, identity: str = "", arrived_at: float = 0.0) -> PredictionCall:
    """Read a request for many rows."""
    return PredictionCall(
        model=request.model,
        rows_of=partial(rows_of_columns, request),
        request_id=request.request_id,
        entity_keys=list(request.entity_keys),
        event_times_us=list(request.event_times_us),
        version=request.version,
        identity=identity,
        arrived_at=arrived_at,
    )


def response_of_one(answer: PredictionAnswer) -> pb.PredictResponse:
    """Write the answer to one row."""
    response = pb.PredictResponse()  # filled in field by field: 0.3 µs less than from keywords
    response.prediction_id = answer.prediction_ids[0]
    response.label = answer.labels[0]
    response.probability = answer.probabilities[0]
    response.confidence = answer.confidences[0]
    response.model_version = answer.model_version
    response.generation = answer.generation
    return response


def response_of_batch(answer: PredictionAnswer) -> pb.PredictBatchResponse:
    """Write the answers to many rows."""
    return pb.PredictBatchResponse(
        prediction_ids=answer.prediction_ids,
        labels=answer.labels,
        probabilities=answer.probabilities,
        confidences=answer.confidences,
        model_version=answer.model_version,
        generation=answer.generation,
    )


def rows_of_features(request: pb.PredictRequest, contract: Contract) -> Rows:
    """Decode and check one row.

    Raises:
        ContractError: One violation for every offending field.
    """
    row = contract.admitted(request.numbers, request.texts)
    if row is not None:
        numbers, texts = row
        return [numbers], texts
    return _row_with_violations(request.numbers, request.texts, contract)


def rows_of_columns(request: pb.PredictBatchRequest, contract: Contract) -> Rows:
    """Decode and check a batch.

    Raises:
        ContractError: One violation for every offending field and rule.
    """
    found: list[Violation] = []
    columns: dict[str, pb.Column] = {}
    for column in request.columns:
        if column.name in columns:
            found.append(Violation(column.name[:80], "is there twice"))
        columns[column.name] = column
    found.extend(unknown_features(columns, contract))
    n_rows = max((_length(columns[name]) for name in contract.names if name in columns), default=0)
    if not 1 <= n_rows <= MAXIMUM_ROWS:
        raise ContractError([*found, Violation("columns", f"must have 1 to {MAXIMUM_ROWS} rows", value=str(n_rows))])
    numbers = np.full((n_rows, len(contract.numbers)), np.nan)
    texts = dict.fromkeys(contract.text_names, TextColumn([""], np.zeros(n_rows, dtype=np.int32)))
    for place, number in enumerate(contract.numbers):
        if _fits(columns.get(number.name), number.name, "numbers", n_rows, found):
            numbers[:, place] = _doubles(columns[number.name].numbers)
    for text in contract.texts:
        if _fits(columns.get(text.name), text.name, "texts", n_rows, found):
            texts[text.name] = _text_column(columns[text.name], found) or texts[text.name]
    return checked((numbers, tuple(texts[text.name] for text in contract.texts)), contract, found)


def microseconds_of(time: Timestamp) -> int:
    """Return a proto's time in microseconds since 1970-01-01 UTC, or `NO_TIME_US`."""
    if not 0 <= time.nanos < 1_000_000_000:
        return NO_TIME_US
    return time.seconds * 1_000_000 + time.nanos // 1000


def timestamp_of(microseconds: int) -> Timestamp:
    """Return microseconds since 1970-01-01 UTC as a proto."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return Timestamp(seconds=seconds, nanos=rest * 1000)


def _row_with_violations(numbers: Mapping[str, float], texts: Mapping[str, str], contract: Contract) -> Rows:
    found = _misplaced(numbers, texts, contract)
    numbers, texts = _fillers(numbers, contract.number_names, _NAN), _fillers(texts, contract.text_names, "")
    row = np.array([[numbers[feature.name] for feature in contract.numbers]])
    return checked((row, tuple(single(texts[feature.name]) for feature in contract.texts)), contract, found)


def _misplaced(numbers: Mapping[str, float], texts: Mapping[str, str], contract: Contract) -> list[Violation]:
    found = unknown_features([*numbers, *texts], contract)
    for feature in contract.numbers:
        if feature.name in texts:
            value = repr(texts[feature.name][:40])
            found.append(Violation(feature.name, "is a text, must be a number", value=value))
        elif feature.name not in numbers:
            found.append(Violation(feature.name, "is missing"))
    for category in contract.texts:
        if category.name in numbers:
            value = repr(numbers[category.name])
            found.append(Violation(category.name, "is a number, must be a text", value=value))
        elif category.name not in texts:
            found.append(Violation(category.name, "is missing"))
    return found


def _fillers(given: Mapping[str, T], names: Iterable[str], filler: T) -> dict[str, T]:
    return dict.fromkeys(names, filler) | dict(given)


def unknown_features(given: Iterable[str], contract: Contract) -> list[Violation]:
    """Return a violation for every name that is no feature."""
    known = frozenset(contract.names)
    return [Violation(name[:80], "is not a feature of this model") for name in sorted(set(given) - known)]


def _length(column: pb.Column) -> int:
    return len(column.texts.codes) if column.WhichOneof("values") == "texts" else len(column.numbers.values)


def _fits(column: pb.Column | None, name: str, kind: str, n_rows: int, found: list[Violation]) -> bool:
    if column is None or column.WhichOneof("values") is None:
        found.append(Violation(name, "is missing"))
    elif column.WhichOneof("values") != kind:
        found.append(Violation(name, f"is a column of {column.WhichOneof('values')}, must be {kind}"))
    elif _length(column) != n_rows:
        found.append(Violation(name, f"has {_length(column)} rows, others have {n_rows}"))
    else:
        return True
    return False


def _doubles(column: pb.NumberColumn) -> Numbers:
    # On the wire, packed doubles are little-endian float64 behind a tag and their length in bytes: taking them whole is
    # ten times faster than one by one.
    n_bytes = 8 * len(column.values)
    header = 1 + (n_bytes.bit_length() + 6) // 7
    return np.frombuffer(column.SerializeToString(), dtype="<f8", offset=header, count=len(column.values))


def _codes(column: pb.TextColumn) -> NDArray[np.integer[Any]]:
    # Packed codes under 128 are one byte each; taken whole they are ten times faster, as above.
    only_codes = pb.TextColumn()
    only_codes.CopyFrom(column)
    only_codes.ClearField("dictionary")
    only_codes.DiscardUnknownFields()
    wire = only_codes.SerializeToString()
    n_bytes = len(column.codes)
    if len(wire) == 1 + (n_bytes.bit_length() + 6) // 7 + n_bytes:
        return np.frombuffer(wire, dtype=np.uint8, offset=len(wire) - n_bytes)
    return np.array(column.codes, dtype=np.int64)


def _text_column(column: pb.Column, found: list[Violation]) -> TextColumn | None:
    values = ["", *column.texts.dictionary]
    codes = _codes(column.texts)
    foreign = codes >= len(values)
    if not foreign.any():
        return TextColumn(values, codes)
    row = int(np.argmax(foreign))
    rule = f"has a code beyond its dictionary of {len(values) - 1}"
    found.append(Violation(column.name, rule, row, str(codes[row]), int(foreign.sum())))
    return None


def checked(rows: tuple[Numbers, Texts], contract: Contract, found: list[Violation]) -> Rows:
    """Return rows that satisfy the contract.

    Args:
        rows: With fillers in the fields that are already known to be wrong.
        contract: What every row must satisfy.
        found: What is already known to be wrong.

    Raises:
        ContractError: With `found` and what else is wrong, in the order of the contract.
    """
    if not found:
        contract.check(*rows)
        return rows
    named = {violation.field for violation in found}
    try:
        contract.check(*rows)
    except ContractError as error:
        found.extend(violation for violation in error.violations if violation.field not in named)
    order = {name: place for place, name in enumerate(contract.names)}
    raise ContractError(sorted(found, key=lambda violation: order.get(violation.field, len(order))))
