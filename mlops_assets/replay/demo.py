"""The demo: the whole loop on replayed history, shown while it runs, ending in a table, a summary and a report."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from mlops_assets.core.windows import Window, last_boundary
from mlops_assets.errors import InsufficientDataError, SpecError
from mlops_assets.lake.metrics import history_of
from mlops_assets.lake.tables import Lake
from mlops_assets.replay.comparison import Comparison, compare
from mlops_assets.replay.loop import Loop, Word, sent_predictions
from mlops_assets.replay.orchestration import Orchestration
from mlops_assets.replay.traffic import Replay
from mlops_assets.resources.prediction_server import connect
from mlops_assets.settings import Settings
from mlops_assets.spec import ModelSpec
from serving.client import Client
from serving.formats.release import ReleaseStore

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Story:
    """What happened, window by window."""

    words: list[Word] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)


def replay_history(
    spec: ModelSpec, where: Settings, *, weeks: int, console: Console, check: Callable[[], None]
) -> dict[str, Any]:
    """Replay a model's traffic against the running platform and return the summary.

    Args:
        spec: A model with `traffic`.
        where: The running platform's settings.
        weeks: How many monitoring windows to replay.
        console: Where progress is shown.
        check: Raises if a process of the platform has ended.

    Raises:
        SpecError: The model has no traffic.
        InsufficientDataError: Its traffic is shorter than one window.
        OperationError: The loop does not go on.
    """
    if spec.traffic is None:
        raise SpecError(f"{spec.name} declares no `traffic`, so there is nothing to replay")
    story = Story()
    lake, store = Lake(where.lake), ReleaseStore(where.release_store)
    dagster = Orchestration(where.dagster_url)
    with connect(where, connections=2) as client:
        loop = Loop(spec, lake, store, dagster, client)
        console.print(f"Reading the traffic of [bold]{spec.name}[/bold] …")
        traffic = spec.traffic()
        _first_version(spec, loop, store, client, console)
        windows = replay_windows(spec, traffic, weeks)
        near = traffic["event_time"] < windows[-1].end + spec.windows.length
        replay = Replay(client, spec, traffic[near], sent_predictions(lake, spec))
        already = loop.logged_predictions()
        with _progress(console) as progress:
            task = progress.add_task("replay", total=_rows_until(traffic, windows[-1].end), status="")
            for window in windows:
                horizon = window.end + spec.windows.label_horizon

                def advance(n_rows: int) -> None:
                    check()
                    progress.update(task, advance=n_rows, status="")

                def tell(text: str) -> None:
                    check()
                    progress.update(task, status=f"waiting for {text}")

                replay.play_until(horizon, predictions_before=windows[-1].end, on_slice=advance)
                loop.wait_until_shipped(already + replay.tally.acknowledged)
                replay.confirm_labels(horizon)
                last = window is windows[-1]
                word = loop.wait_for_word(window, tell=tell, send_one=replay.send_one)
                story.words.append(word)
                progress.console.print(window_line(word))
                if last:
                    loop.wait_until_shipped(already + replay.tally.acknowledged)
    comparison = compare(spec, lake, store, windows)
    return summarize(spec, story, replay, comparison, lake, already)


def replay_windows(spec: ModelSpec, traffic: "pd.DataFrame", weeks: int) -> list[Window]:
    """Return the first `weeks` whole windows of the traffic.

    Raises:
        InsufficientDataError: The traffic does not fill one.
    """
    length = spec.windows.length
    first = last_boundary(traffic["event_time"].min().to_pydatetime(), spec.windows)
    available = (traffic["event_time"].max().to_pydatetime() - first) // length
    if available < 1:
        raise InsufficientDataError(f"{spec.name}: the traffic is shorter than one window of {length}")
    return [Window(first + n * length, first + (n + 1) * length) for n in range(min(weeks, available))]


def window_line(word: Word) -> str:
    """Return one window as one line: rows, drifted features, accuracy, version, trigger, verdict."""
    drifted = word.drift["drifted_features"]
    accuracy = word.performance["metrics"].get("accuracy")
    shown = "–" if accuracy is None else f"{accuracy:.4f}"
    names = ", ".join(drifted[:3]) + (" …" if len(drifted) > 3 else "")
    text = (
        f"{word.window.start:%Y-%m-%d}  {word.performance['n_rows']:>6} rows  "
        f"{len(drifted):>2} drifted ({names or 'none'})  accuracy {shown}  "
        f"version {'+'.join(word.performance['versions'])}"
    )
    release = word.release
    if release is None:
        return text
    version = release.candidate.version if release.candidate else "?"
    outcome = "promoted" if release.action == "promote" else "refused"
    text += f"\n            → {release.trigger} retraining: version {version} [bold]{outcome}[/bold]: {release.reason}"
    if word.seconds_to_first_answer is not None:
        text += f" · first answer {word.seconds_to_first_answer:.1f} s after the trigger"
    return text


def summarize(
    spec: ModelSpec, story: Story, replay: Replay, comparison: Comparison, lake: Lake, already: int
) -> dict[str, Any]:
    """Return the summary document of a replay (see the README for its fields)."""
    n_logged, n_ids = _logged(lake, spec)
    return {
        "model": spec.name,
        "remarks": spec.remarks,
        "windows": [_window_entry(word, comparison) for word in story.words],
        "totals": comparison.totals,
        "retrainings": [_retraining_entry(word) for word in story.words if word.release is not None],
        "calls": replay.tally.calls,
        "failed_calls": replay.tally.failed_calls,
        "errors": replay.tally.errors,
        "acknowledged_predictions": already + replay.tally.acknowledged,
        "logged_predictions": n_logged,
        "duplicate_predictions": n_logged - n_ids,
        "wall_seconds": round(time.monotonic() - story.started, 1),
    }


def _window_entry(word: Word, comparison: Comparison) -> dict[str, Any]:
    start = word.window.start
    figures = comparison.windows[start]
    return {
        "start": start.isoformat(),
        "end": word.window.end.isoformat(),
        "rows": word.performance["n_rows"],
        "labels": comparison.n_labels[start],
        "drifted_features": word.drift["drifted_features"],
        "drift_verdict": word.drift["verdict"],
        **figures["loop"],
        "frozen": figures["frozen"],
        "constant": figures["constant"],
        "model_version": "+".join(word.performance["versions"]),
        "trigger": word.release.trigger if word.release else None,
        "verdict": word.release.action if word.release else None,
    }


def _retraining_entry(word: Word) -> dict[str, Any]:
    release = word.release
    if release is None:
        return {}
    return {
        "window_end": word.window.end.isoformat(),
        "trigger": release.trigger,
        "reason": release.reason,
        "candidate_version": release.candidate.version if release.candidate else None,
        "verdict": release.action,
        "evidence": release.evidence,
        "seconds_from_trigger_to_first_answer": word.seconds_to_first_answer,
    }


def write_summary(spec: ModelSpec, where: Settings, summary: dict[str, Any]) -> Path:
    """Write `summary.json` and `report.html` to MLOPS_HOME/demo, each in one atomic step, and return the folder."""
    from mlops_assets.reports.html import demo_html, demo_pictures, write_html

    folder = where.root / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    history = history_of(Lake(where.lake), spec.name, "drift_metrics", "population_stability_index")
    psi = ([f"{start:%Y-%m-%d}" for start in history.index], list(history.columns), history.to_numpy(dtype=float).T)
    temporary = folder / ".summary.json"
    temporary.write_text(json.dumps(summary, indent=1))
    temporary.replace(folder / "summary.json")
    write_html(folder / "report.html", demo_html(summary, demo_pictures(summary, psi=psi), remarks=summary["remarks"]))
    return folder


def _first_version(spec: ModelSpec, loop: Loop, store: ReleaseStore, client: Client, console: Console) -> None:
    if store.latest_generation(spec.name) and loop.served_generation():
        console.print("A version is in production already: going on from there.")
        return
    run = client.trigger_retraining(spec.name, reason="first version", actor="demo")
    with _progress(console) as progress:
        task = progress.add_task("first version", total=None, status="")
        release = loop.wait_for_first_version(run.dagster_run_id, lambda text: progress.update(task, status=text))
    evidence = release.evidence.get("reason", release.reason)
    console.print(f"Version {release.candidate.version if release.candidate else '?'} is in production: {evidence}")


def _rows_until(traffic: "pd.DataFrame", end: datetime) -> int:
    return int((traffic["event_time"] < end).sum())


def _logged(lake: Lake, spec: ModelSpec) -> tuple[int, int]:
    records = lake.dataset(spec.name, "predictions")
    if records is None:
        return 0, 0
    ids = records.to_table(columns=["prediction_id"])["prediction_id"]
    return len(ids), len(ids.unique())


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[status]}"),
        console=console,
    )
