"""Servers under the same load in turn, again and again: what disturbs the machine disturbs all of them alike."""

import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import psutil

from tests.benchmarks.serving.answers import measured
from tests.benchmarks.serving.load import Load, Request
from tests.benchmarks.serving.servers import Endpoint

N_PROBING_CALLS = 100
_MINIMUM_CALLS = 60

Report = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One kind of load.

    Attributes:
        name: Key of its rounds.
        concurrency: Connections, one call at a time on each.
        request_of: Gives the request for a server and a round.
    """

    name: str
    concurrency: int
    request_of: Callable[[Endpoint, int], Request]


@dataclass(frozen=True)
class Round:
    """One server in one round; times in milliseconds of a call, CPU in microseconds of all its processes a call."""

    calls: int
    calls_per_second: float
    p50: float
    p95: float
    p99: float
    cpu_us: float


Rounds = dict[str, dict[str, list[Round]]]
"""Server and case to its rounds, in order."""

SINGLE_ROW = (
    Case("single_1", 1, lambda endpoint, round_: endpoint.single(round_)),
    Case("single_16", 16, lambda endpoint, round_: endpoint.single(round_)),
)


def alternate(
    endpoints: Sequence[Endpoint], cases: Sequence[Case], load: Load, *, rounds: int, seconds: float, report: Report
) -> Rounds:
    """Measure every server in every case, in turn, and then again.

    Args:
        endpoints: The servers; they run already.
        cases: The loads.
        load: Sends them.
        rounds: How often.
        seconds: Length of one measurement.
        report: Told one line per measurement.

    Raises:
        LoadError: An answer was wrong or missing.
    """
    found: Rounds = {endpoint.name: {case.name: [] for case in cases} for endpoint in endpoints}
    for number in range(rounds):
        for case in cases:
            for endpoint in endpoints:
                one = _measure(endpoint, case, load, number, seconds)
                found[endpoint.name][case.name].append(one)
                report(
                    f"round {number + 1}/{rounds}  {case.name:10} {endpoint.name:24} "
                    f"{one.calls_per_second:8.0f} calls/s  p50 {one.p50:8.3f} ms  p99 {one.p99:8.3f} ms  "
                    f"CPU {one.cpu_us:7.0f} µs/call"
                )
    return found


def median(rounds: Sequence[Round], value: str) -> float:
    """Return the median of one value over the rounds."""
    return statistics.median(getattr(one, value) for one in rounds)


def median_ratio(upper: Sequence[Round], lower: Sequence[Round], value: str) -> float:
    """Return the median over the rounds of one server's value over the other's in the same round."""
    pairs = zip(upper, lower, strict=True)
    return statistics.median(getattr(one, value) / getattr(other, value) for one, other in pairs)


def as_document(found: Rounds) -> dict[str, Any]:
    """Return what `from_document` reads."""
    return {
        name: {case: [asdict(one) for one in rounds] for case, rounds in cases.items()} for name, cases in found.items()
    }


def from_document(document: dict[str, Any]) -> Rounds:
    """Read the JSON form."""
    return {
        name: {case: [Round(**one) for one in rounds] for case, rounds in cases.items()}
        for name, cases in document.items()
    }


def _measure(endpoint: Endpoint, case: Case, load: Load, number: int, seconds: float) -> Round:
    request = case.request_of(endpoint, number)
    probe = measured(load, request, concurrency=case.concurrency, calls=N_PROBING_CALLS)
    calls = max(_MINIMUM_CALLS, int(probe.calls_per_second * seconds))
    before = cpu_seconds(endpoint.pid)
    sample = measured(load, request, concurrency=case.concurrency, calls=calls)
    used = cpu_seconds(endpoint.pid) - before
    return Round(
        calls=calls,
        calls_per_second=float(sample.calls_per_second),
        p50=sample.percentile(50),
        p95=sample.percentile(95),
        p99=sample.percentile(99),
        cpu_us=used / calls * 1e6,
    )


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its descendants have used."""
    process = psutil.Process(pid)
    used = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it ended while it was looked at
            times = one.cpu_times()
            used += times.user + times.system
    return used
