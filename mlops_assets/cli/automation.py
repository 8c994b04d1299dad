"""Commands that steer: `retrain`, `pause`, `resume`, `release`, `status`, `doctor`."""

import getpass
import json
from datetime import UTC, datetime
from typing import Any

import click

from mlops_assets.catalog import find, specs
from mlops_assets.cli.doctor import findings
from mlops_assets.cli.mends import mends
from mlops_assets.errors import OperationError
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.lake.tables import Lake
from mlops_assets.replay.orchestration import Orchestration
from mlops_assets.resources.prediction_server import connect
from mlops_assets.settings import settings
from serving.errors import ModelNotFoundError
from serving.formats.release import Release, ReleaseStore


@click.command()
@click.argument("model")
@click.option("--reason", default="asked for on the command line", help="Recorded with the run.")
def retrain(model: str, reason: str) -> None:
    """Launch one retraining, or name the one that is under way."""
    find(model)
    with mends(model), connect(settings()) as client:
        try:
            run = client.trigger_retraining(model, reason=reason, actor=getpass.getuser())
        except ModelNotFoundError as error:
            raise OperationError(f"{error}; start Dagster with the MLOPS_MODELS that names the model") from error
    state = "already under way" if run.already_running else "launched"
    click.echo(f"{model}: retraining {run.dagster_run_id} {state}: {settings().dagster_url}/runs/{run.dagster_run_id}")


@click.command()
@click.argument("model")
def pause(model: str) -> None:
    """Stop a model's sensors and schedule.

    `mlops retrain` still works.
    """
    _switch(model, running=False)
    click.echo(f"{model}: automation is paused; `mlops resume {model}` starts it again")


@click.command()
@click.argument("model")
def resume(model: str) -> None:
    """Start a model's sensors and schedule again."""
    _switch(model, running=True)
    click.echo(f"{model}: automation is running")


def _switch(model: str, *, running: bool) -> None:
    spec = find(model)
    triggers = spec.retraining.triggers
    without_sensor = {"schedule"} if spec.source_version else {"schedule", "new_data"}
    sensors = ["monitoring_windows", *(trigger for trigger in triggers if trigger not in without_sensor)]
    dagster = Orchestration(settings().dagster_url)
    for sensor in sensors:
        dagster.set_sensor(f"{model}_{sensor}_sensor", running=running)
    if "schedule" in triggers and (settings().clock == "wall" or not running):
        dagster.set_schedule(f"{model}_weekly_schedule", running=running)


@click.group()
def release() -> None:
    """Read what was in production when, why and by whom."""


@release.command("list")
@click.argument("model")
def list_releases(model: str) -> None:
    """List all entries, newest first; refusals are entries too."""
    find(model)
    chain = _store().history(model)
    for entry in reversed(chain):
        click.echo(_line(entry))
    if not chain:
        click.echo(f"{model}: nothing has been released yet; `mlops retrain {model}` makes a first version")


@release.command()
@click.argument("model")
@click.argument("generation", type=click.IntRange(1))
def show(model: str, generation: int) -> None:
    """Print one entry with its evidence as JSON."""
    find(model)
    click.echo(_store().read(model, generation).to_json().decode())


@release.command()
@click.argument("model")
@click.argument("time", metavar="TIME", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]))
def at(model: str, time: datetime) -> None:
    """Say what was in production at a time (UTC).

    TIME is 2013-03-01, 2013-03-01T12:30 or 2013-03-01T12:30:15.
    """
    find(model)
    moment = time.replace(tzinfo=UTC)
    entries = [entry for entry in _store().history(model) if entry.at <= moment]
    if not entries or entries[-1].routing.production is None:
        raise OperationError(f"{model}: nothing was in production at {moment:%Y-%m-%d %H:%M} UTC")
    click.echo(_line(entries[-1]))


@click.command()
@click.argument("model", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for machines.")
def status(model: str | None, as_json: bool) -> None:
    """Say what is in production and what the last windows said.

    Of all models, unless one is named.
    """
    names = [find(model).name] if model else sorted(specs())
    documents = [_status_of(name) for name in names]
    if as_json:
        click.echo(json.dumps(documents, indent=1, default=str))
        return
    for document in documents:
        click.echo(f"{document['model']}: " + (document["release"] or "nothing has been released yet"))
        for window in document["windows"]:
            click.echo(f"  {window['start']:%Y-%m-%d %H:%M}  {window['drift']}  accuracy {window['accuracy']}")


def _status_of(model: str) -> dict[str, Any]:
    lake = Lake(settings().lake)
    latest = _store().latest(model)
    performance = {row["window_start"]: row for row in latest_summaries(lake, model, "performance_metrics")}
    windows = [
        {
            "start": row["window_start"],
            "drift": row["verdict"],
            "drifted_features": row["drifted_features"],
            "accuracy": performance.get(row["window_start"], {}).get("metrics", {}).get("accuracy"),
        }
        for row in latest_summaries(lake, model, "drift_metrics")[-5:]
    ]
    return {"model": model, "release": _line(latest) if latest else None, "windows": windows}


@click.command()
def doctor() -> None:
    """Say what is wrong with this installation and how to mend it."""
    found = findings(settings())
    for finding in found:
        click.echo(f"{'ok  ' if finding.good else 'BAD '} {finding.what}")
        if not finding.good:
            click.echo(f"     → {finding.mend}")
    if not all(finding.good for finding in found):
        raise SystemExit(1)


def _store() -> ReleaseStore:
    return ReleaseStore(settings().release_store)


def _line(entry: Release) -> str:
    production = entry.routing.production.version if entry.routing.production else "none"
    candidate = entry.candidate.version if entry.candidate else "none"
    return (
        f"generation {entry.generation}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.action} {candidate}  "
        f"production {production}  by {entry.actor} ({entry.trigger}): {entry.reason}"
    )


COMMANDS: tuple[Any, ...] = (retrain, pause, resume, release, status, doctor)
