"""The figures of `.mlops/bench/serving.json`, from what the parts measured, and what each must reach."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.serving.rounds import Rounds, from_document, median, median_ratio

Parts = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Figure:
    """One line of the result.

    Attributes:
        name: Key in the JSON file.
        part: Whose measurements it is made of.
        meaning: For readers.
        target: What it must reach, as text.
        is_met: Says whether a value does.
        value_of: Computes it from the part's document; None if nothing was there to compare with.
    """

    name: str
    part: str
    meaning: str
    target: str
    is_met: Callable[[float], bool]
    value_of: Callable[[dict[str, Any]], float | None]


def _single(server: str, case: str, value: str) -> Callable[[dict[str, Any]], float]:
    def ratio(part: dict[str, Any]) -> float:
        rounds = from_document(part)
        return median_ratio(rounds["ours"][case], rounds[server][case], value)

    return ratio


def _over_best_peer(form: str) -> Callable[[dict[str, Any]], float | None]:
    def ratio(part: dict[str, Any]) -> float | None:
        rows = [row for row in part["rows"] if row["form"] == form and row["is_python"] and "rounds" in row]
        return min(map(ours_over, rows), default=None)

    return ratio


def ours_over(row: dict[str, Any]) -> float:
    """Return our calls/s over a peer's in the same rounds, one row a call at concurrency 16."""
    rounds: Rounds = from_document(row["rounds"])
    return median_ratio(rounds["ours"]["single_16"], rounds["peer"]["single_16"], "calls_per_second")


def _batch(part: dict[str, Any]) -> float:
    return statistics.median(pair["ours"]["p50"] / pair["in_process_p50"] for pair in part["pairs"])


def _workers(part: dict[str, Any]) -> float:
    rounds = from_document(part)
    return median_ratio(rounds["2 workers"]["single_32"], rounds["1 workers"]["single_32"], "calls_per_second")


FIGURES = (
    Figure(
        "single_row_over_echo",
        "single",
        "calls/s over an echo on grpcio's server, one row, concurrency 16",
        "≥ 0.65",
        lambda value: value >= 0.65,
        _single("echo", "single_16", "calls_per_second"),
    ),
    Figure(
        "single_row_over_transport",
        "single",
        "calls/s over an echo on our own transport, one row, concurrency 16",
        "reported",
        lambda value: True,
        _single("transport", "single_16", "calls_per_second"),
    ),
    Figure(
        "over_best_peer_documented",
        "peers",
        "calls/s over the best Python peer as documented, one row, concurrency 16",
        "≥ 20",
        lambda value: value >= 20,
        _over_best_peer("documented"),
    ),
    Figure(
        "over_best_peer_same_onnx",
        "peers",
        "calls/s over the best Python peer with our ONNX file, one row, concurrency 16",
        "≥ 2",
        lambda value: value >= 2,
        _over_best_peer("onnx"),
    ),
    Figure(
        "p99_over_echo",
        "single",
        "p99 over the echo's, one row, concurrency 1",
        "≤ 2",
        lambda value: value <= 2,
        _single("echo", "single_1", "p99"),
    ),
    Figure(
        "batch_over_onnxruntime",
        "batch",
        "p50 of 1000 rows over ONNX Runtime in-process, concurrency 1",
        "≤ 1.4",
        lambda value: value <= 1.4,
        _batch,
    ),
    Figure(
        "two_workers_over_one",
        "workers",
        "calls/s of two workers over one, one row, concurrency 32, nothing pinned",
        "reported",
        lambda value: True,
        _workers,
    ),
    Figure(
        "everything_over_bare",
        "single",
        "calls/s over decode and score alone, one row, concurrency 16",
        "≥ 0.85",
        lambda value: value >= 0.85,
        _single("bare", "single_16", "calls_per_second"),
    ),
    Figure(
        "p95_ms_during_retraining_and_swaps",
        "swaps",
        "p95 of one row in ms, while a retraining runs and 20 swaps happen",
        "< 50",
        lambda value: value < 50,
        lambda part: part["p95"],
    ),
    Figure(
        "promotion_to_last_old_answer_p99_seconds",
        "promotions",
        "seconds from a promotion to the last answer by the old version, two workers, p99",
        "≤ 1",
        lambda value: value <= 1,
        lambda part: float(np.percentile(part["seconds"], 99)),
    ),
    Figure(
        "memory_growth_200_swaps",
        "memory",
        "resident memory of the worker after 200 swaps over after 10",
        "≤ 1.05",
        lambda value: value <= 1.05,
        lambda part: part["mib_by_swaps"]["200"] / part["mib_by_swaps"]["10"],
    ),
)


def figures_of(parts: Parts) -> dict[str, float]:
    """Return every figure whose part is there and could be measured."""
    found = {figure.name: figure.value_of(parts[figure.part]) for figure in FIGURES if figure.part in parts}
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def summary_of(rounds: Rounds, server: str, case: str) -> dict[str, float]:
    """Return the medians of one server in one case."""
    return {value: median(rounds[server][case], value) for value in ("calls_per_second", "p50", "p99", "cpu_us")}
