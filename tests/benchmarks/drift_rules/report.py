"""The tables of false alarms and detection delays, and the figures that the default rule must reach."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_assets.policies import DriftRule
from tests.benchmarks.drift_rules.simulation import RULES, Block, Run, retrainings
from tests.benchmarks.drift_rules.streams import WINDOWS_A_WEEK
from tests.benchmarks.page import facts_line, table

NAME = "bench-drift-rules"
DEFAULT: DriftRule = "vote"
LIBRARIES = ("numpy", "scipy", "pandas")
YEAR_WEEKS = 52
PROMISED_STREAMS = ("independent", "discrete", "heavy-tailed", "correlated", "daily cycle, same hour")
PROMISED_ROWS, PROMISED_SHIFT, IN_TIME_WINDOWS = 1000, 0.5, 4


def false_alarms(blocks: Mapping[Block, Mapping[DriftRule, Sequence[bool]]]) -> list[dict[str, Any]]:
    """Return flagged windows and retrainings of every stream, window size and rule."""
    joined: dict[tuple[str, int], dict[DriftRule, list[bool]]] = {}
    for block in sorted(blocks, key=lambda block: block.number):
        rules = joined.setdefault((_title(block), block.n_rows), {rule: [] for rule in RULES})
        for rule, drifted in blocks[block].items():
            rules[rule].extend(drifted)
    return [
        {
            "stream": stream,
            "n_rows": n_rows,
            "rule": rule,
            "weeks": len(drifted) / WINDOWS_A_WEEK,
            "flagged_windows": sum(drifted),
            "retrainings": len(list(retrainings(drifted, RULES[rule]))),
        }
        for (stream, n_rows), rules in joined.items()
        for rule, drifted in rules.items()
    ]


def detections(runs: Mapping[Run, Mapping[DriftRule, int | None]]) -> list[dict[str, Any]]:
    """Return how many runs of every shift, window size and rule asked for a retraining in time, and how soon."""
    joined: dict[tuple[float, int, DriftRule], list[int | None]] = {}
    for run, delays in runs.items():
        for rule, delay in delays.items():
            joined.setdefault((run.shift, run.n_rows, rule), []).append(delay)
    return [
        {
            "shift": shift,
            "n_rows": n_rows,
            "rule": rule,
            "runs": len(delays),
            "asked": sum(delay is not None for delay in delays),
            "within_4_windows": sum(delay is not None and delay <= IN_TIME_WINDOWS for delay in delays),
            "median_delay": statistics.median([delay for delay in delays if delay is not None] or [0]),
        }
        for (shift, n_rows, rule), delays in joined.items()
    ]


def figures_of(alarms: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return what the default rule must reach: the worst promised stream, and the promised shift at 1000 rows."""
    promised = [
        row["retrainings"] * YEAR_WEEKS / row["weeks"]
        for row in alarms
        if row["rule"] == DEFAULT and row["n_rows"] >= PROMISED_ROWS and row["stream"] in PROMISED_STREAMS
    ]
    shares = [
        row["within_4_windows"] / row["runs"]
        for row in found
        if row["rule"] == DEFAULT and row["n_rows"] >= PROMISED_ROWS and row["shift"] == PROMISED_SHIFT
    ]
    return {"false_retrainings_52_weeks": max(promised), "detected_within_4_windows_share": min(shares)}


def tables(document: Mapping[str, Any]) -> str:
    """Return the section of the page."""
    figures = document["figures"]
    reached = table(
        ("figure of the default rule", "must reach", "measured", "met"),
        [
            _figure("false_retrainings_52_weeks", "< 1", figures, figures["false_retrainings_52_weeks"] < 1),
            _figure(
                "detected_within_4_windows_share", "≥ 0.95", figures, figures["detected_within_4_windows_share"] >= 0.95
            ),
        ],
    )
    parts = [facts_line(document["about"]), reached, _alarms(document["false_alarms"]), _found(document["detections"])]
    return "\n\n".join(parts)


def _figure(name: str, target: str, figures: Mapping[str, float], met: bool) -> tuple[str, ...]:
    return f"`{name}`", target, f"{figures[name]:.3g}", "yes" if met else "**no**"


def _alarms(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return flagged windows a week and retrainings of the simulated time, one column per rule."""
    lines: dict[tuple[str, int, float], dict[str, str]] = {}
    for row in rows:
        a_week = row["flagged_windows"] / row["weeks"]
        cell = f"{a_week:.3g} / {row['retrainings']}"
        lines.setdefault((row["stream"], row["n_rows"], row["weeks"]), {})[row["rule"]] = cell
    head = ("stable stream", "rows", "weeks", *(f"`{rule}`" for rule in RULES))
    body = [
        (stream, f"{n_rows:,}", f"{weeks:.2g}", *(cells[rule] for rule in RULES))
        for (stream, n_rows, weeks), cells in lines.items()
    ]
    return "Flagged windows a week / retrainings in all weeks:\n\n" + table(head, body)


def _found(rows: Sequence[Mapping[str, Any]]) -> str:
    lines: dict[tuple[float, int], dict[str, str]] = {}
    for row in rows:
        in_time = f"{row['within_4_windows'] / row['runs']:.1%}"
        cell = f"{in_time}, {row['median_delay']:g}" if row["asked"] else in_time
        lines.setdefault((row["shift"], row["n_rows"]), {})[row["rule"]] = cell
    head = ("one feature shifted by", "rows", *(f"`{rule}`" for rule in RULES))
    body = [
        (f"{shift:g} sd", f"{n_rows:,}", *(cells[rule] for rule in RULES)) for (shift, n_rows), cells in lines.items()
    ]
    return "Share of runs that asked for a retraining within 4 windows, median delay of those that asked:\n\n" + table(
        head, body
    )


def _title(block: Block) -> str:
    if block.stream != "daily cycle":
        return block.stream
    return f"{block.stream}, {'same hour' if block.matched else 'pooled'}"
