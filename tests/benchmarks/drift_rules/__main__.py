"""`python -m tests.benchmarks.drift_rules`: how often each rule of drift is wrong, and how soon it is right."""

import argparse
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from rich.progress import Progress

from mlops_assets.cli import interruption
from tests.benchmarks.drift_rules.report import LIBRARIES, NAME, detections, false_alarms, figures_of, tables
from tests.benchmarks.drift_rules.simulation import REFERENCE_WEEKS, Block, Run, delays_of, verdicts_of
from tests.benchmarks.drift_rules.streams import STREAMS, WINDOWS_A_DAY, WINDOWS_A_WEEK
from tests.benchmarks.page import about, write_section

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / ".mlops" / "bench" / "drift_rules.json"
PAGE = ROOT / "docs" / "benchmarks.md"
SHIFTS = (0.25, 0.5)


def main() -> int:
    """Simulate and write; returns 1 if interrupted."""
    parser = argparse.ArgumentParser(prog=f"make {NAME}", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few weeks and runs, about a minute; leaves the page")
    quick = parser.parse_args().quick
    interruption.listen()
    facts = about(NAME, LIBRARIES)
    blocks, runs = plan(quick=quick)
    try:
        with multiprocessing.Pool(len(os.sched_getaffinity(0)), _ignore_interruptions) as pool:
            verdicts = _simulated(pool, verdicts_of, blocks, "stable streams")
            delays = _simulated(pool, delays_of, runs, "shifted streams")
    except KeyboardInterrupt:
        print(f"{NAME}: interrupted; nothing is written", file=sys.stderr)
        return 1
    alarms, found = false_alarms(verdicts), detections(delays)
    figures = figures_of(alarms, found)
    document = {"figures": figures, "about": facts, "false_alarms": alarms, "detections": found}
    print(f"\n{tables(document)}\n")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1))
    if not quick:
        write_section(PAGE, NAME, tables(document))
    return 0


def plan(*, quick: bool) -> tuple[list[Block], list[Run]]:
    """Return what is simulated: 52 weeks of the promised streams at 1000 rows, one week of the rest, and the shifts."""
    length, n_blocks, n_runs = (WINDOWS_A_WEEK, 1, 25) if quick else (REFERENCE_WEEKS * WINDOWS_A_WEEK, 13, 200)
    promised = [stream for stream in STREAMS if stream != "autocorrelated"]
    blocks = [Block(stream, 1000, number, length) for stream in promised for number in range(n_blocks)]
    blocks += [Block("autocorrelated", 1000, 0, WINDOWS_A_WEEK)]
    blocks += [Block("daily cycle", 1000, 0, WINDOWS_A_WEEK, matched=False)]
    sizes = () if quick else (200, 10_000, 100_000)
    blocks += [
        Block(stream, n_rows, 0, WINDOWS_A_DAY if n_rows > 10_000 else WINDOWS_A_WEEK)
        for n_rows in sizes
        for stream in promised
    ]
    runs = [Run(n_rows, shift, number) for shift in SHIFTS for n_rows in (1000, *sizes[1:]) for number in range(n_runs)]
    return blocks, runs


def _simulated(pool: Pool, simulate: Callable[[Any], Any], tasks: Sequence[Any], what: str) -> dict[Any, Any]:
    with Progress() as progress:
        results = progress.track(pool.imap(simulate, tasks), total=len(tasks), description=what)
        return dict(zip(tasks, results, strict=True))


def _ignore_interruptions() -> None:
    """Leave Ctrl-C to the parent, which ends the pool; and let it end us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main())
