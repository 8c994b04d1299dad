"""The parts of the benchmark: each starts what it needs, measures, ends it, and returns a JSON document."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.serving.load import Load
from tests.benchmarks.serving.model import BenchmarkModel
from tests.benchmarks.serving.rounds import SINGLE_ROW, Report, alternate, as_document
from tests.benchmarks.serving.servers import running_bare, running_echo, running_ours

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
        report: Told one line per step.
    """

    folder: Path
    model: BenchmarkModel
    load: Load
    rounds: int
    seconds: float
    report: Report


def single_row(bench: Bench) -> Document:
    """Ours, echo and bare on one core, one row a call, at concurrency 1 and 16."""
    with ExitStack() as running:
        ours, _ = running.enter_context(running_ours(bench.folder / "single", bench.model))
        echo = running.enter_context(running_echo(bench.model, ours, bench.folder))
        bare = running.enter_context(running_bare(bench.model))
        endpoints = (echo, bare, ours)
        for endpoint in endpoints:
            endpoint.check(bench.model)
        found = alternate(
            endpoints, SINGLE_ROW, bench.load, rounds=bench.rounds, seconds=bench.seconds, report=bench.report
        )
        ours.check(bench.model)
    return as_document(found)


PARTS: dict[str, Callable[[Bench], Document]] = {"single": single_row}
