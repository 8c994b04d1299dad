"""Commands that are gRPC clients: `predict` and `feedback`."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import click

from mlops_assets.catalog import find
from mlops_assets.errors import DataError
from mlops_assets.resources.prediction_server import connect
from mlops_assets.settings import settings
from mlops_assets.spec import ModelSpec, Number
from serving.client import Label

RETRY_SECONDS = 2.0


@click.command()
@click.argument("model")
@click.argument("rows", type=click.File("r"))
@click.option("--version-info", is_flag=True, help="First describe the version in production.")
def predict(model: str, rows: TextIO, version_info: bool) -> None:
    """Score rows from a file or standard input.

    ROWS is a file, or - for standard input: CSV with a header, or one JSON object a line. Empty cells and nulls are
    missing values. A column `entity_key` is passed on. Prints one JSON object a row.
    """
    examples = list(_rows(find(model), rows))
    with connect(settings(), retry_seconds=RETRY_SECONDS) as client:
        if version_info:
            info = client.model_info(model)
            click.echo(f"{model} version {info.model_version}, generation {info.generation}", err=True)
        for row in examples:
            key = row.pop("entity_key", None)
            answer = client.predict(model, row, entity_key=str(key or ""))
            click.echo(
                json.dumps(
                    {
                        "prediction_id": answer.prediction_id,
                        "label": answer.label,
                        "probability": answer.probability,
                        "confidence": answer.confidence,
                        "model_version": answer.model_version,
                    }
                )
            )


@click.command()
@click.argument("model")
@click.argument("labels", nargs=-1, required=True, metavar="PREDICTION_ID=LABEL...")
@click.option("--source", default="command line", show_default=True, help="Where the labels come from.")
def feedback(model: str, labels: tuple[str, ...], source: str) -> None:
    """Send labels, each as PREDICTION_ID=LABEL."""
    find(model)
    pairs = []
    for text in labels:
        prediction_id, separator, label = text.partition("=")
        if not separator:
            raise click.BadParameter(f"{text!r} is not PREDICTION_ID=LABEL")
        pairs.append(Label(prediction_id=prediction_id, label=label, source=source))
    with connect(settings(), retry_seconds=RETRY_SECONDS) as client:
        accepted = client.feedback(model, pairs)
    click.echo(f"{accepted} labels accepted")


def _rows(spec: ModelSpec, source: TextIO) -> Iterator[dict[str, Any]]:
    text = source.read()
    name = Path(getattr(source, "name", "-")).name
    if text.lstrip().startswith("{"):
        for place, line in enumerate(filter(str.strip, text.splitlines()), start=1):
            try:
                yield dict(json.loads(line))
            except ValueError:
                raise DataError(f"{name}: line {place} is not a JSON object") from None
        return
    numbers = {feature.name for feature in spec.features if isinstance(feature, Number)}
    for place, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        yield {column: _value(column, cell, numbers, f"{name}: line {place}") for column, cell in row.items()}


def _value(column: str, cell: str | None, numbers: set[str], where: str) -> float | str | None:
    if cell is None or cell == "":
        return None
    if column not in numbers:
        return cell
    try:
        return float(cell)
    except ValueError:
        raise DataError(f"{where}: {column} is {cell!r}, not a number") from None


COMMANDS: tuple[Any, ...] = (predict, feedback)
