"""Our side, in a process of its own: python -m tests.benchmarks.drift.ours TASK PROFILE URL ROUNDS FILE...

Prints one JSON document: `seconds` of every round, and what else the task gives. The clock runs from the files on disk
to the result.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mlops_assets.core.drift import score_window
from mlops_assets.core.profile import Profile, build_profile, count
from mlops_assets.lake.counting import count_rows
from mlops_assets.lake.engines import window_table
from mlops_assets.spec import Category, DriftPolicy, Number
from serving.formats.contract import Contract, NumberFeature, TextFeature
from tests.benchmarks.drift.data import CATEGORIES, NUMBERS

CONTRACT = Contract(
    model="bench",
    numbers=tuple(NumberFeature(name, nullable=True) for name in NUMBERS),
    texts=tuple(TextFeature(name, (), open=True) for name in CATEGORIES),
    negative="no",
    positive="yes",
    threshold=0.5,
)
FEATURES = (*(Number(name=name) for name in NUMBERS), *(Category(name=name, open=True) for name in CATEGORIES))


def main() -> None:
    """Run one task."""
    task, profile_path, url, rounds, *files = sys.argv[1:]
    print(json.dumps(TASKS[task](Path(profile_path), url, int(rounds), files)))


def build(profile_path: Path, url: str, rounds: int, files: list[str]) -> dict[str, Any]:
    """Profile the reference, as training does."""
    profile_path.write_bytes(build_profile(pq.read_table(files).to_pandas(), CONTRACT).to_json())
    return {}


def scan(profile_path: Path, url: str, rounds: int, files: list[str]) -> dict[str, Any]:
    """Read everything: least, greatest and number of values of every column."""
    with window_table(url, files, ()) as rows:
        names = [*NUMBERS, *CATEGORIES]
        values = {f"{what}_{name}": getattr(rows[name], what)() for name in names for what in ("min", "max", "count")}
        return _timed(rounds, lambda: rows.aggregate(**values).to_pyarrow())


def window_pass(profile_path: Path, url: str, rounds: int, files: list[str]) -> dict[str, Any]:
    """Count the window on the profile."""
    profile = _profile(profile_path)
    with window_table(url, files, ()) as rows:
        return _timed(rounds, lambda: count_rows(rows, profile))


def full_report(profile_path: Path, url: str, rounds: int, files: list[str]) -> dict[str, Any]:
    """Count the window and score all statistics; from an engine that is not connected yet."""
    profile = _profile(profile_path)

    def report() -> None:
        with window_table(url, files, ()) as rows:
            score_window(profile, count_rows(rows, profile), DriftPolicy(), FEATURES, minimum_rows=1000)

    return _timed(rounds, report)


def ks_error(profile_path: Path, url: str, rounds: int, files: list[str]) -> dict[str, Any]:
    """Compare the statistic from the engine's counts with the exact one, the reference being the first of the files."""
    profile = _profile(profile_path)
    reference, current = pq.read_table(files[:1], columns=NUMBERS), pq.read_table(files[1:], columns=NUMBERS)
    with window_table(url, files[1:], ()) as rows:
        counts = count_rows(rows, profile)
    assert counts.numbers[NUMBERS[0]] == count(profile, current.to_pandas()).numbers[NUMBERS[0]]
    drift = score_window(profile, counts, DriftPolicy(), FEATURES, minimum_rows=1000)
    binned = {feature.name: feature.ks_statistic for feature in drift.features}
    errors = {name: abs(_exact(reference[name], current[name]) - (binned[name] or 0.0)) for name in NUMBERS}
    return {"ks_error": max(errors.values()), "by_feature": errors}


def _exact(reference: Any, current: Any) -> float:
    first, second = (np.sort(column.drop_null().to_numpy()) for column in (reference, current))
    points = np.concatenate([first, second])
    shares = (np.searchsorted(values, points, side="right") / len(values) for values in (first, second))
    return float(np.abs(np.subtract(*shares)).max())


def _profile(path: Path) -> Profile:
    return Profile.from_dict(json.loads(path.read_bytes()))


def _timed(rounds: int, run: Callable[[], object]) -> dict[str, Any]:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return {"seconds": seconds}


TASKS = {"build": build, "scan": scan, "pass": window_pass, "report": full_report, "ks_error": ks_error}

if __name__ == "__main__":
    main()
