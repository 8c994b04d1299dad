"""The rows that `mlops predict` is given, as CSV with a header or one JSON object a line."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mlops_assets.errors import DataError
from mlops_assets.spec import ModelSpec

EXPECTED = "give CSV with a header and rows, or one JSON object a line"

Value = float | str | None


def read_rows(spec: ModelSpec, source: TextIO) -> list[tuple[str, dict[str, Value]]]:
    """Return each row, by column, with the place that it was read from.

    Raises:
        DataError: The file is not what is expected, or holds no rows; names the place.
    """
    name = Path(getattr(source, "name", "-")).name
    try:
        text = source.read()
    except UnicodeDecodeError:
        raise DataError(f"{name} is not text in UTF-8; {EXPECTED}") from None
    read = _json_rows if text.lstrip().startswith(("{", "[")) else _csv_rows
    rows = [(f"{name}: line {line}", row) for line, row in read(spec, text, name)]
    if not rows:
        raise DataError(f"{name} holds no rows; {EXPECTED}")
    return rows


def _json_rows(_: ModelSpec, text: str, name: str) -> Iterator[tuple[int, dict[str, Value]]]:
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise DataError(f"{name}: line {line} is not a JSON object; {EXPECTED}")
        for column, value in row.items():
            _require_plain(value, f"{name}: line {line}: {column}")
        yield line, row


def _require_plain(value: Any, where: str) -> None:
    try:
        if isinstance(value, str):
            value.encode()
        elif value is not None:
            float(value)
    except (ValueError, TypeError, OverflowError):
        raise DataError(f"{where} is {json.dumps(value)[:60]}, not a number, a text or null") from None


def _csv_rows(spec: ModelSpec, text: str, name: str) -> Iterator[tuple[int, dict[str, Value]]]:
    numbers = {number.name for number in spec.numbers}
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            place = f"{name}: line {reader.line_num}"
            if None in row or None in row.values():
                raise DataError(f"{place} does not have as many cells as the header; {EXPECTED}")
            yield reader.line_num, {column: _value(column, cell, numbers, place) for column, cell in row.items()}
    except csv.Error as error:
        raise DataError(f"{name} is not CSV after line {reader.line_num} ({error}); {EXPECTED}") from None


def _value(column: str, cell: str, numbers: set[str], where: str) -> Value:
    if cell == "":
        return None
    if column not in numbers:
        return cell
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{where}: {column} is {cell!r}, not a number") from None
