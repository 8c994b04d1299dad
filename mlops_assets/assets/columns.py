"""Column schemas for the UI: of the rows that a model answers, and of the lake's tables."""

from collections.abc import Iterable, Iterator
from typing import Any

import dagster as dg

from mlops_assets.lake.tables import Lake, TableName
from mlops_assets.spec import ModelSpec
from serving.formats.contract import Contract


def model_columns(spec: ModelSpec, contract: Contract) -> dict[str, Any]:
    """Return the schema of a model's rows: its features with what is possible in them, and the label."""
    told = {feature.name: feature.description for feature in spec.features}
    columns = [
        dg.TableColumn(
            name, kind, told.get(name) or None, dg.TableColumnConstraints(nullable=nullable, other=list(possible))
        )
        for name, kind, nullable, possible in _features(contract)
    ]
    labels = dg.TableColumnConstraints(nullable=False, other=[f"one of {contract.negative}, {contract.positive}"])
    label = dg.TableColumn(spec.label.name, "text", "What is predicted.", labels)
    return {"dagster/column_schema": dg.TableSchema(columns=[*columns, label])}


def lake_columns(lake: Lake, model: str, table: TableName) -> dict[str, Any]:
    """Return the schema of a table of the lake; nothing while there is no table."""
    dataset = lake.dataset(model, table)
    return {} if dataset is None else _columns((field.name, str(field.type)) for field in dataset.schema)


def record_columns(records: Iterable[dg.TableRecord]) -> dict[str, Any]:
    """Return the schema of a table that is shown, from its first record."""
    first = next(iter(records), None)
    return _columns((name, type(value).__name__) for name, value in (first.data if first else {}).items())


def _columns(named: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {"dagster/column_schema": dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in named])}


def _features(contract: Contract) -> Iterator[tuple[str, str, bool, list[str]]]:
    for number in contract.numbers:
        bounds = {"≥": number.minimum, "≤": number.maximum}
        possible = [f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None]
        yield number.name, "integer" if number.integer else "number", number.nullable, possible
    for text in contract.texts:
        listed = [f"one of {', '.join(text.categories)}{' or others' if text.open else ''}"] if text.categories else []
        yield text.name, "text", text.nullable, listed
