"""Python values as the client sends them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from protos.mlops.v1 import prediction_pb2 as pb

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def maps_of(row: Mapping[str, Any], kind_of: Callable[[str], str]) -> tuple[dict[str, float], dict[str, str]]:
    """Return the numbers and the texts of a row.

    Args:
        row: Feature name to value; None and NaN are missing.
        kind_of: Tells "number" or "text" for a missing value.
    """
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, str):
            texts[name] = value
        elif not _is_missing(value):
            numbers[name] = value
        elif kind_of(name) == "text":
            texts[name] = ""
        else:
            numbers[name] = float("nan")
    return numbers, texts


def column_of(name: str, values: Sequence[Any], kind_of: Callable[[str], str]) -> pb.Column:
    """Return one column of a batch.

    Args:
        name: The feature.
        values: A sequence or numpy array; None and NaN are missing.
        kind_of: Tells "number" or "text" for a column that holds missing values only.
    """
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    first = next((value for value in plain if not _is_missing(value)), None)
    is_text = kind_of(name) == "text" if first is None else isinstance(first, str)
    if not is_text:
        numbers = [float("nan") if value is None else value for value in plain]
        return pb.Column(name=name, numbers=pb.NumberColumn(values=numbers))
    texts = ["" if _is_missing(value) else value for value in plain]
    dictionary = {text: code for code, text in enumerate(sorted(set(texts) - {""}), start=1)} | {"": 0}
    codes = [dictionary[text] for text in texts]
    del dictionary[""]
    return pb.Column(name=name, texts=pb.TextColumn(dictionary=list(dictionary), codes=codes))


def microseconds_of(time: datetime) -> int:
    """Return microseconds since 1970-01-01 UTC.

    Raises:
        ValueError: The time has no time zone, so nobody knows when it is.
    """
    if time.tzinfo is None:
        raise ValueError(f"{time.isoformat()} has no time zone")
    return (time - _EPOCH) // timedelta(microseconds=1)


def _is_missing(value: Any) -> bool:
    return value is None or value != value  # noqa: PLR0124  (only NaN differs from itself)
