"""The figures that the targets name, computed from what was measured."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Results = dict[str, Any]
"""`windows`: by rows, `scan`, `pass` and `report` (each `seconds` and `peak_bytes`); `ks`; `peers`: a list of rows."""

MILLION = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One figure: its name, what it is, what it must reach, and how it is found; None where it was not measured."""

    name: str
    meaning: str
    target: str
    is_met: Callable[[float], bool]
    value_of: Callable[[Results], float | None]


def seconds(results: Results, n_rows: int, task: str) -> float | None:
    """Return the median seconds of a task on a window."""
    found = results["windows"].get(str(n_rows), {}).get(task)
    return statistics.median(found["seconds"]) if found else None


def _pass_over_scan(results: Results) -> float | None:
    counted, scanned = (seconds(results, 10 * MILLION, task) for task in ("pass", "scan"))
    return counted / scanned if counted and scanned else None


def _report_over_peer(results: Results) -> float | None:
    ours = seconds(results, MILLION, "report")
    exact = [statistics.median(row["seconds"]) for row in results["peers"] if row["is_exact"] and "seconds" in row]
    return ours / min(exact) if ours and exact else None


def _peak(results: Results) -> float | None:
    found = results["windows"].get(str(100 * MILLION), {}).get("pass")
    return found["peak_bytes"] / 1e9 if found else None


def _growth(results: Results) -> float | None:
    """Compare slopes: what every pass costs before its first row, mostly making the SQL, is in neither."""
    found = [seconds(results, millions * MILLION, "pass") for millions in (1, 10, 100)]
    small, middle, large = found
    return (large - middle) / 90 / ((middle - small) / 9) if small and middle and large else None


FIGURES = (
    Figure(
        "pass_10m_over_scan",
        "window pass over a plain scan, 10M rows, warm",
        "≤ 2.5",
        lambda v: v <= 2.5,
        _pass_over_scan,
    ),
    Figure(
        "report_1m_over_fastest_peer",
        "full report over the fastest exact peer, 1M rows; the peer's loading is not counted, ours is",
        "≤ 0.5",
        lambda v: v <= 0.5,
        _report_over_peer,
    ),
    Figure("peak_gb_100m", "peak memory in GB, 100M distinct rows", "≤ 1", lambda v: v <= 1, _peak),
    Figure(
        "growth_1m_to_100m",
        "seconds a row from 10M to 100M rows over those from 1M to 10M rows",
        "0.8 to 1.2",
        lambda v: 0.8 <= v <= 1.2,
        _growth,
    ),
    Figure(
        "ks_error",
        "greatest difference from the exact Kolmogorov-Smirnov statistic, 20 numbers, 1M rows",
        "≤ 3e-4",
        lambda v: v <= 3e-4,
        lambda results: results["ks"].get("ks_error"),
    ),
)


def figures_of(results: Results) -> dict[str, float]:
    """Return every figure that could be measured."""
    found = {figure.name: figure.value_of(results) for figure in FIGURES}
    return {name: round(value, 6) for name, value in found.items() if value is not None}
