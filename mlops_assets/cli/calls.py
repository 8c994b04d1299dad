"""Commands that are gRPC clients: `predict` and `feedback`."""

import json
from typing import Any, TextIO

import click

from mlops_assets.catalog import find
from mlops_assets.cli.mends import mends
from mlops_assets.cli.rows import read_rows
from mlops_assets.errors import DataError
from mlops_assets.resources.prediction_server import connect
from mlops_assets.settings import settings
from serving.client import Label
from serving.errors import ContractError

RETRY_SECONDS = 2.0


@click.command()
@click.argument("model")
@click.argument("rows", type=click.File("r", encoding="utf-8-sig"))
@click.option("--version-info", is_flag=True, help="First describe the version in production.")
def predict(model: str, rows: TextIO, version_info: bool) -> None:
    """Score rows from a file or standard input.

    ROWS is a file, or - for standard input: CSV with a header, or one JSON object a line. Empty cells and nulls are
    missing values. A column `entity_key` is passed on. Prints one JSON object a row.
    """
    examples = read_rows(find(model), rows)
    with mends(model), connect(settings(), retry_seconds=RETRY_SECONDS) as client:
        if version_info:
            info = client.model_info(model)
            click.echo(f"{model} version {info.model_version}, generation {info.generation}", err=True)
        for place, row in examples:
            key = row.pop("entity_key", None)
            try:
                answer = client.predict(model, row, entity_key="" if key is None else str(key))
            except ContractError as error:
                raise DataError(f"{place}: {error}") from None
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
    with mends(model), connect(settings(), retry_seconds=RETRY_SECONDS) as client:
        accepted = client.feedback(model, pairs)
    click.echo(f"{accepted} label{'' if accepted == 1 else 's'} accepted")


COMMANDS: tuple[Any, ...] = (predict, feedback)
