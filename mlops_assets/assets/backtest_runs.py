"""Runs a backtest: a process for each policy, as many at a time as there are cores, and one document at the end."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.assets.backtest_folder import BacktestFolder, portable
from mlops_assets.assets.backtest_history import scheduled_times
from mlops_assets.core.backtest import (
    BacktestPolicy,
    History,
    Trained,
    Version,
    compare_with_static,
    parse_policy,
    recommend,
    replay_policy,
    spec_under,
    train_first_version,
)
from mlops_assets.core.candidates import split_labelled
from mlops_assets.core.pipelines import one_thread
from mlops_assets.core.training import Recipe, fit_final, search
from mlops_assets.core.windows import Window
from mlops_assets.errors import MlopsError, OperationError
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "mlops.backtest/1"
STATIC = parse_policy("static")

OnProgress = Callable[[str, int], None]
"""Called with a policy's name and how many of its windows are settled."""


@dataclass
class Trainer:
    """Fits candidates, keeps what searches find, and adds up the seconds of both."""

    spec: ModelSpec
    folder: BacktestFolder
    seconds: float = 0.0

    def __call__(self, snapshot: "pd.DataFrame", end: datetime, recipe: Recipe | None) -> Trained:
        """Fit by the recipe if there is one, else by the best of a search."""
        parts = split_labelled(snapshot, self.spec, end=end)
        if recipe is None:
            found = self.folder.found(snapshot)
            if found is None:
                with _stopwatch() as taken:
                    best = search(parts.train, parts.validation, self.spec)
                found = best, taken[0]
                self.folder.store_found(snapshot, *found)
            recipe, seconds = Recipe(algorithm=found[0].algorithm, params=found[0].params), found[1]
            self.seconds += seconds
        with _stopwatch() as taken:
            pipeline = fit_final(recipe, parts.train, parts.validation, self.spec)
        self.seconds += taken[0]
        return recipe, parts, pipeline


def reproducible(spec: ModelSpec, *, seed: int | None) -> ModelSpec:
    """Return the spec with that seed and with searches that end by trials alone: seconds differ between runs."""
    training = replace(spec.training, seconds=float("inf"), seed=spec.training.seed if seed is None else seed)
    return replace(spec, training=training)


def run_backtest(
    history: History,
    policies: Sequence[BacktestPolicy],
    *,
    root: Path,
    search: bool = False,
    jobs: int | None = None,
    on_progress: OnProgress = lambda _name, _n_windows: None,
) -> dict[str, Any]:
    """Replay every policy and return the document, JSON-serializable, the same for the same history and code.

    Args:
        history: Of a spec that `reproducible` returned.
        policies: The static policy is added if it is not among them.
        root: Folder of all backtests; what an interrupted run has finished there is not done again.
        search: Whether a retraining searches again; else it fits the champion's recipe on the newer rows.
        jobs: Processes at a time; by default one for each core.
        on_progress: See `OnProgress`.

    Raises:
        SpecError: A policy's override does not fit.
        DataError: The first version can not be trained, or is refused.
        OperationError: A process ended before its policy was done.
    """
    started = time.monotonic()
    unique = list({policy.name: policy for policy in (STATIC, *policies)}.values())
    for policy in unique:
        spec_under(history.spec, policy)
    folder = BacktestFolder.of(root, history, search=search)
    with one_thread():
        first = train_first_version(history, train=Trainer(history.spec, folder))
    missing = [policy for policy in unique if folder.policy_result(policy) is None]
    jobs = jobs or os.cpu_count() or 1
    _run_all(folder, history, missing, search=search, jobs=jobs, on_progress=on_progress)
    results = [result for policy in unique if (result := folder.policy_result(policy))]
    policy_timing = {result["name"]: result.pop("timing") for result in results}
    wall_seconds = round(time.monotonic() - started, 1)
    return {
        **_document(history, first, results, search=search),
        "timing": {"wall_seconds": wall_seconds, "jobs": jobs, "policies": policy_timing},
    }


def _document(history: History, first: Version, results: list[dict[str, Any]], *, search: bool) -> dict[str, Any]:
    """Return what is the same in every run."""
    totals = results[0]["totals"]
    return {
        "schema": SCHEMA,
        "model": history.spec.name,
        "seed": history.spec.training.seed,
        "training": "search" if search else "refit",
        "history": {
            "start": history.windows[0].start.isoformat(),
            "end": history.windows[-1].end.isoformat(),
            "n_windows": len(history.windows),
            "n_rows": len(history.rows),
            "n_labels": int(history.labeled.sum()),
            "n_source_rows": len(history.source),
        },
        "gate": asdict(history.spec.gate),
        "first_version": {**asdict(first.recipe), "holdout": first.holdout.metrics()},
        "constant": {"accuracy": totals["constant_accuracy"], "log_loss": totals["constant_log_loss"]},
        "policies": results,
        "recommended": asdict(recommend(results, history.spec.gate)),
    }


def _run_all(
    folder: BacktestFolder,
    history: History,
    policies: Sequence[BacktestPolicy],
    *,
    search: bool,
    jobs: int,
    on_progress: OnProgress,
) -> None:
    """Run a process for each policy; whatever ends this ends them."""
    waiting = list(policies)
    running: dict[Connection, tuple[BacktestPolicy, SpawnProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                policy = waiting.pop(0)
                arguments = (folder, portable(history.spec), history.windows, policy, search)
                connection, process = _start(arguments)
                running[connection] = policy, process
            for connection in [known for known in wait(list(running)) if isinstance(known, Connection)]:
                policy, process = running[connection]
                try:
                    on_progress(policy.name, _received(connection, policy))
                except EOFError:
                    running.pop(connection)
                    connection.close()
                    process.join()
                    if folder.policy_result(policy) is None:
                        raise OperationError(
                            f"the process of policy {policy.name!r} ended with code {process.exitcode} before it was "
                            f"done; run the command again, it goes on from there"
                        ) from None
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _received(connection: Connection, policy: BacktestPolicy) -> int:
    message: int | str = connection.recv()
    if isinstance(message, str):
        raise OperationError(f"policy {policy.name!r}: {message}")
    return message


def _start(arguments: tuple[Any, ...]) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, *arguments), daemon=True)
    # Ctrl-C goes to the whole group; a child inherits the mask and leaves the ending to its parent.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sender.close()
    return receiver, process


def _work(
    sender: Connection,
    folder: BacktestFolder,
    spec: ModelSpec,
    windows: tuple[Window, ...],
    policy: BacktestPolicy,
    search: bool,
) -> None:
    """Replay one policy in a process of its own and leave its result in the folder."""
    try:
        with one_thread():
            history = folder.history(spec, windows)
            result = replay_to_result(history, policy, folder, search=search, send=sender.send)
        folder.store_policy_result(policy, result)
    except MlopsError as error:
        sender.send(str(error))
    except BrokenPipeError:
        return  # the parent was killed: nobody waits for this any more


def replay_to_result(
    history: History,
    policy: BacktestPolicy,
    folder: BacktestFolder,
    *,
    search: bool,
    send: Callable[[int], None],
) -> dict[str, Any]:
    """Replay one policy and return its part of the document, with its timing."""
    trainer = Trainer(history.spec, folder)
    first = train_first_version(history, train=trainer)
    trainer.seconds = 0.0
    scheduled = scheduled_times(spec_under(history.spec, policy), history)
    with _stopwatch() as taken:
        replay = replay_policy(
            history, policy, first, train=trainer, search=search, scheduled=scheduled, on_window=send
        )
        figures = compare_with_static(history, replay, first.scores(history.rows), first)
    return {
        "name": policy.name,
        "triggers": sorted(policy.triggers),
        "count_seasonal": policy.count_seasonal,
        "overrides": dict(policy.overrides),
        **figures,
        "timing": {"fit_seconds": round(trainer.seconds, 2), "seconds": round(taken[0], 2)},
    }


@contextmanager
def _stopwatch() -> Iterator[list[float]]:
    """Yield a list that holds, afterwards, the seconds of processor time: a busy machine does not change them much."""
    taken: list[float] = []
    started = time.process_time()
    yield taken
    taken.append(time.process_time() - started)
