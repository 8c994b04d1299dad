"""The parts of the benchmark: each starts what it needs, measures, ends it, and returns a JSON document."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.serving import stages
from tests.benchmarks.serving.cores import ALL_CORES
from tests.benchmarks.serving.in_process import running_scorer
from tests.benchmarks.serving.load import Load
from tests.benchmarks.serving.model import BenchmarkModel, make_model
from tests.benchmarks.serving.peers.comparison import Row, compare
from tests.benchmarks.serving.rounds import BATCH, SINGLE_ROW, Case, Report, alternate, as_document
from tests.benchmarks.serving.servers import running_bare, running_echo, running_ours
from tests.benchmarks.serving.swaps import (
    calls_during_swaps,
    memory_during_swaps,
    retraining,
    seconds_to_last_old_answer,
)

Document = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """What every part has at hand.

    Attributes:
        folder: For homes of servers and files; empty at the start.
        model: Version 1.
        load: Sends load.
        rounds: Of every comparison.
        seconds: Length of one measurement.
        promotions: How many are timed.
        may_install: Whether peers' environments that are not there are made.
        report: Told one line per step.
        keep: Given what a long part has so far, so that an interrupted run loses little.
    """

    folder: Path
    model: BenchmarkModel
    load: Load
    rounds: int
    seconds: float
    promotions: int
    may_install: bool
    report: Report
    keep: Callable[[Document], object]

    def versions(self) -> list[BenchmarkModel]:
        """Return the two versions that are swapped."""
        return [self.model, make_model(self.folder / "bundles", version=2)]


def single_row(bench: Bench) -> Document:
    """Ours and the yardsticks, one row a call."""
    with ExitStack() as running:
        ours, _ = running.enter_context(running_ours(bench.folder / "single", bench.model))
        echo = running.enter_context(running_echo(bench.model, ours, bench.folder))
        transport = running.enter_context(running_echo(bench.model, ours, bench.folder, kind="transport"))
        bare = running.enter_context(running_bare(bench.model))
        endpoints = (echo, transport, bare, ours)
        for endpoint in endpoints:
            endpoint.check(bench.model)
        found = alternate(
            endpoints, SINGLE_ROW, bench.load, rounds=bench.rounds, seconds=bench.seconds, report=bench.report
        )
        ours.check(bench.model)
    return as_document(found)


def stages_of_a_row(bench: Bench) -> Document:
    """What one row costs inside the worker, by stage."""
    return stages.measure(bench.model, bench.folder / "stages")


def batch(bench: Bench) -> Document:
    """1000 rows a call, beside ONNX Runtime without a server."""
    with ExitStack() as running:
        ours, _ = running.enter_context(running_ours(bench.folder / "batch", bench.model))
        score = running.enter_context(running_scorer(bench.model, bench.folder / "in_process"))
        ours.check(bench.model)
        pairs = []
        for number in range(bench.rounds):
            alone = score(max(20, int(bench.seconds * 100)))
            found = alternate([ours], [BATCH], bench.load, rounds=1, seconds=bench.seconds, report=lambda line: None)
            (served,) = found["ours"]["batch"]
            bench.report(f"round {number + 1}/{bench.rounds}  p50 {served.p50:.2f} ms, in-process {alone:.2f} ms")
            pairs.append({"in_process_p50": alone, "ours": asdict(served)})
    return {"pairs": pairs}


def two_workers(bench: Bench) -> Document:
    """One worker and two, on all cores, the load in a process of its own beside them."""
    case = Case("single_32", 32, lambda endpoint, round_: endpoint.single(round_))
    with ExitStack() as running:
        named = []
        for workers in (1, 2):
            home = bench.folder / f"workers-{workers}"
            ours, _ = running.enter_context(
                running_ours(home, bench.model, workers=workers, cores=tuple(ALL_CORES), name=f"{workers} workers")
            )
            named.append(ours)
        found = alternate(
            named,
            [case],
            bench.load,
            rounds=bench.rounds,
            seconds=bench.seconds,
            report=bench.report,
            load_cores=ALL_CORES,
        )
    return as_document(found)


def retraining_and_swaps(bench: Bench) -> Document:
    """One row a call while a search runs and 20 promotions happen; nothing is pinned."""
    models = bench.versions()
    with (
        running_ours(bench.folder / "swaps", bench.model, workers=2, cores=tuple(ALL_CORES)) as (ours, server),
        retraining(),
    ):
        bench.report("20 swaps while a retraining runs")
        milliseconds = calls_during_swaps(ours, server, models, bench.load, swaps=20)
    percentiles = {f"p{percent}": float(np.percentile(milliseconds, percent)) for percent in (50, 95, 99)}
    return {"calls": len(milliseconds), **percentiles, "maximum": float(np.max(milliseconds))}


def promotions(bench: Bench) -> Document:
    """From the commit of a promotion to the last answer by the old version, of two workers."""
    models = bench.versions()
    with running_ours(bench.folder / "promotions", bench.model, workers=2, cores=tuple(ALL_CORES)) as (_, server):
        bench.report(f"{bench.promotions} promotions under load")
        return {"seconds": seconds_to_last_old_answer(server, models, bench.promotions)}


def memory(bench: Bench) -> Document:
    """The worker's resident memory over 200 swaps."""
    models = bench.versions()
    with running_ours(bench.folder / "memory", bench.model, cores=tuple(ALL_CORES)) as (_, server):
        bench.report("200 swaps under a light load")
        return {"mib_by_swaps": memory_during_swaps(server, models, 200)}


def peers(bench: Bench) -> Document:
    """Every peer beside ours, one row a call."""
    with running_ours(bench.folder / "peers", bench.model) as (ours, _):
        rows: list[Row] = []
        for row in compare(
            ours,
            bench.model,
            bench.load,
            bench.folder / "peers_artifacts",
            rounds=bench.rounds,
            seconds=bench.seconds,
            may_install=bench.may_install,
            report=bench.report,
        ):
            rows.append(row)
            bench.keep({"rows": rows})
    return {"rows": rows}


PARTS: dict[str, Callable[[Bench], Document]] = {
    "single": single_row,
    "stages": stages_of_a_row,
    "batch": batch,
    "workers": two_workers,
    "swaps": retraining_and_swaps,
    "promotions": promotions,
    "memory": memory,
    "peers": peers,
}
