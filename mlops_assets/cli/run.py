"""Commands that run something: `demo`, `up`, `serve`, `replay`."""

import os
import shutil
import sys
import time
from typing import Any

import click
from rich.console import Console

from mlops_assets.catalog import find
from mlops_assets.cli.mends import mends
from mlops_assets.cli.platform import Ports, start_platform
from mlops_assets.cli.processes import Processes
from mlops_assets.errors import OperationError
from mlops_assets.settings import STATE_PARTS, Settings, settings

PORT = click.IntRange(1, 65535)


@click.command()
@click.option("--model", default="flight_delay", show_default=True, help="A model whose spec declares traffic.")
@click.option("--weeks", default=10, show_default=True, type=click.IntRange(1), help="Monitoring windows to replay.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 16), help="gRPC worker processes.")
@click.option("--exit", "leave", is_flag=True, help="Stop everything at the end even in a terminal.")
@click.option("--resume", is_flag=True, help="Go on with the state of the last run instead of starting clean.")
def demo(model: str, weeks: int, workers: int, leave: bool, resume: bool) -> None:
    """Run the whole loop on replayed history and show it.

    Starts Dagster and the gRPC server on free ports, trains and promotes a first version, replays the weeks that
    follow as an ordinary gRPC client, and lets drift, accuracy, gate and hot swap do their work. Writes summary.json
    and report.html to MLOPS_HOME/demo. In a terminal the pages stay open at the end until Ctrl-C.
    """
    from mlops_assets.replay.demo import replay_history, write_summary
    from mlops_assets.replay.table import print_summary

    console = _console()
    spec = find(model)
    where = _demo_settings(resume=resume)
    ports = Ports.free()
    where = where.model_copy(
        update={"server": f"127.0.0.1:{ports.server}", "dagster_url": f"http://127.0.0.1:{ports.dagster}"}
    )
    with Processes(where.root / "logs") as processes:
        console.print(f"Starting Dagster and the gRPC server over {where.root} …")
        start_platform(processes, where, ports, workers=workers)
        _print_addresses(console, where, ports, with_mlflow=False)
        summary = replay_history(spec, where, weeks=weeks, console=console, check=processes.check)
        folder = write_summary(spec, where, summary)
        print_summary(console, summary)
        console.print(f"\nReport:  {folder / 'report.html'}\nSummary: {folder / 'summary.json'}")
        if sys.stdout.isatty() and not leave:
            _print_addresses(console, where, ports, with_mlflow=False)
            console.print("Everything keeps running. Ctrl-C stops it.")
            _wait(processes)


@click.command()
@click.option("--dagster-port", default=3000, show_default=True, type=PORT, help="Of Dagster's pages.")
@click.option("--mlflow-port", default=5000, show_default=True, type=PORT, help="Of MLflow's pages.")
@click.option("--port", default=50051, show_default=True, type=PORT, help="Of the gRPC server.")
@click.option("--metrics-port", default=50052, show_default=True, type=PORT, help="Of /metrics, /livez and /readyz.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 16), help="gRPC worker processes.")
def up(dagster_port: int, mlflow_port: int, port: int, metrics_port: int, workers: int) -> None:
    """Start Dagster, MLflow's pages and the gRPC server, until Ctrl-C."""
    ports = Ports(dagster_port, mlflow_port, port, metrics_port)
    console = Console()
    with Processes(settings().root / "logs") as processes:
        start_platform(processes, settings(), ports, workers=workers, with_mlflow=True)
        _print_addresses(console, settings(), ports, with_mlflow=True)
        console.print("Ctrl-C stops everything.")
        _wait(processes)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> None:
    """Run the gRPC server alone.

    It is `python -m serving`. Its settings are SERVING_* variables; `mlops serve -- --help` lists them.
    """
    os.execv(sys.executable, [sys.executable, "-m", "serving", *arguments])


@click.command()
@click.argument("model")
@click.option("--weeks", default=10, show_default=True, type=click.IntRange(1), help="Monitoring windows to replay.")
def replay(model: str, weeks: int) -> None:
    """Replay a model's history against a platform that is up.

    The platform must run on the event clock (MLOPS_CLOCK=event), or the windows of the past would all be closed.
    """
    from mlops_assets.replay.demo import replay_history, write_summary
    from mlops_assets.replay.table import print_summary

    if settings().clock != "event":
        raise OperationError("a replay needs the event clock: set MLOPS_CLOCK=event here and for `mlops up`")
    console = _console()
    spec = find(model)
    with mends(model):
        summary = replay_history(spec, settings(), weeks=weeks, console=console, check=lambda: None)
    write_summary(spec, settings(), summary)
    print_summary(console, summary)


def _demo_settings(*, resume: bool) -> Settings:
    """Return the settings of the demo, with a clean home unless the last run is resumed."""
    where = settings().model_copy(update={"clock": "event", "shipping_lag_seconds": 0.0})
    if not resume and where.root.exists():
        _remove_state(where)
    return where


def _remove_state(where: Settings) -> None:
    foreign = sorted({entry.name for entry in where.root.iterdir()} - STATE_PARTS)
    if foreign:
        raise OperationError(
            f"{where.root} holds {foreign[0]!r}, which is not of this platform; set another MLOPS_HOME"
        )
    address = where.root / "serving" / "address.json"
    if address.exists():
        raise OperationError(
            f"a server runs over {where.root} ({address} exists); stop it, or remove that file if it crashed"
        )
    shutil.rmtree(where.root)


def _print_addresses(console: Console, where: Settings, ports: Ports, *, with_mlflow: bool) -> None:
    console.print(f"  Dagster  http://127.0.0.1:{ports.dagster}")
    if with_mlflow:
        console.print(f"  MLflow   http://127.0.0.1:{ports.mlflow}")
    console.print(f"  gRPC     127.0.0.1:{ports.server}   metrics http://127.0.0.1:{ports.metrics}/metrics")
    console.print(f"  logs     {where.root / 'logs'}")


def _wait(processes: Processes) -> None:
    while True:
        processes.check()
        time.sleep(1)


def _console() -> Console:
    """Return the console; a log file or a pipe gets lines of 120 columns."""
    return Console(width=None if sys.stdout.isatty() else 120)


COMMANDS: tuple[Any, ...] = (demo, up, serve, replay)
