"""The command `backtest`: which retraining policy would have been the best, before one is switched on."""

import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mlops_assets.catalog import find
from mlops_assets.core.backtest import DEFAULT_POLICIES
from mlops_assets.policies import MAXIMUM_SEED
from mlops_assets.settings import settings


@click.command()
@click.argument("model")
@click.option(
    "--policies",
    default=",".join(DEFAULT_POLICIES),
    help="Separated by commas; by default each of these and drift+accuracy.",
)
@click.option(
    "--sweep",
    "sweeps",
    multiple=True,
    metavar="FIELD=V,V",
    help="Try each value, as in drift.votes=1,2; may be repeated.",
)
@click.option("--weeks", type=click.IntRange(1), help="Only so many monitoring windows, the oldest.")
@click.option("--seed", type=click.IntRange(0, MAXIMUM_SEED), help="Of all training; the spec's by default.")
@click.option("--search", is_flag=True, help="Search at every retraining instead of refitting the champion's recipe.")
@click.option("--jobs", type=click.IntRange(1), help="Processes at a time; one for each core by default.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the result here.")
def backtest(
    model: str,
    policies: str,
    sweeps: tuple[str, ...],
    weeks: int | None,
    seed: int | None,
    search: bool,
    jobs: int | None,
    json_file: Path | None,
) -> None:
    """Say which retraining policy would have been the best.

    Replays policies over the labeled history of MODEL: the spec's source and traffic or, without traffic, the lake's
    labeled predictions. A run that was stopped goes on where it was.

    \b
    Policies:
      static               never retrain
      weekly               the spec's schedule
      drift                drifted windows in a row
      drift-no-seasonal    drift, features declared seasonal not counted
      accuracy             accuracy under its threshold

    \b
    Join them by + and change their settings in brackets:
      'drift+accuracy[drift.consecutive_windows=2;gate.metric=auc]'

    The trigger by new data is not replayed: no history tells when the source has changed.
    """
    from mlops_assets.assets.backtest_history import load_history
    from mlops_assets.assets.backtest_report import write_backtest_report
    from mlops_assets.assets.backtest_runs import reproducible, run_backtest
    from mlops_assets.core.backtest import parse_policy, spec_under, sweep
    from mlops_assets.lake.tables import Lake

    # A log file or a pipe gets lines of 120 columns.
    spec, console = find(model), Console(width=None if sys.stdout.isatty() else 120)
    asked = [parse_policy(text) for text in ("static", *policies.split(","))]
    chosen = {policy.name: policy for policy in sweep(asked, sweeps)}
    for policy in chosen.values():
        spec_under(spec, policy)
    console.print(f"Reading the history of [bold]{model}[/bold] …")
    if spec.source_version is not None and "new_data" in spec.retraining.triggers:
        console.print("Its trigger by new data is not replayed: no history tells when the source has changed.")
    history = load_history(reproducible(spec, seed=seed), Lake(settings().lake), n_windows=weeks)
    with _progress(console) as progress:
        total = len(history.windows)
        tasks = {name: progress.add_task(name, total=total) for name in chosen}
        document = run_backtest(
            history,
            list(chosen.values()),
            root=settings().backtests,
            search=search,
            jobs=jobs,
            on_progress=lambda name, settled: progress.update(tasks[name], completed=settled),
        )
        for task in tasks.values():
            progress.update(task, completed=total)
    page, _ = write_backtest_report(spec, settings().reports / model, document)
    print_backtest(console, document)
    console.print(f"\nReport:  {page}", soft_wrap=True)
    if json_file is not None:
        _write_json(json_file, document)
        console.print(f"JSON:    {json_file}", soft_wrap=True)


def print_backtest(console: Console, document: dict[str, Any]) -> None:
    """Print every policy's figures, the constant predictor's, and the recommendation."""
    history = document["history"]
    title = f"{document['model']}: {history['n_windows']} windows, {history['n_labels']} labels, {document['training']}"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("policy", overflow="fold", min_width=16)
    for column in ("log loss", "against static", "acc.", "AUC", "retr.", "prom.", "false", "days", "fit s"):
        table.add_column(column, justify="right")
    for policy in document["policies"]:
        table.add_row(*_cells(policy, document["timing"]["policies"][policy["name"]]["fit_seconds"]))
    constant = document["constant"]
    table.add_row("constant", _share(constant["log_loss"]), "", _share(constant["accuracy"]))
    console.print(table)
    console.print(
        "retr.: retrainings · prom.: promoted · false: false alarms of the alarms · days: mean days to recover",
        style="dim",
    )
    recommended = document["recommended"]
    console.print(f"\nRun [bold]{escape(recommended['policy'])}[/bold]: {escape(recommended['reason'])}")


def _cells(policy: dict[str, Any], fit_seconds: float) -> list[str]:
    totals, loss = policy["totals"], policy["against_static"]["log_loss"]
    days = policy["mean_days_to_recover"]
    return [
        escape(policy["name"]),
        _share(totals["log_loss"]["value"]),
        f"{loss['value']:+.4f} ±{_share(loss['high'] - loss['value'])}",
        _share(totals["accuracy"]["value"]),
        _share(totals["auc"]["value"]) if totals["auc"] else "–",
        str(policy["retrainings"]),
        str(policy["promotions"]),
        f"{policy['false_alarms']}/{policy['alarms']}",
        "–" if days is None else f"{days:.1f}",
        f"{fit_seconds:.1f}",
    ]


def _share(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


def _write_json(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


COMMANDS: tuple[Any, ...] = (backtest,)
"""The command of this module."""
