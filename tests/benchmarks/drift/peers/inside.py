"""What every peer's script does around its report: load both sets of rows, run it in rounds, print the seconds."""

import json
import sys
import time
import warnings
from collections.abc import Callable

import pandas as pd

NUMBERS = [f"number_{place:02d}" for place in range(20)]
CATEGORIES = [f"category_{place}" for place in range(5)]
_ENOUGH_SECONDS = 60.0


def run(report: Callable[[pd.DataFrame, pd.DataFrame], object]) -> None:
    """Time a report on data frames that are loaded before: python run.py ROUNDS REFERENCE FILE..."""
    warnings.simplefilter("ignore")
    rounds, reference_file, *files = sys.argv[1:]
    reference = pd.read_parquet(reference_file)
    began = time.perf_counter()
    current = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    load_seconds = time.perf_counter() - began
    seconds: list[float] = []
    while len(seconds) < int(rounds) and sum(seconds) < _ENOUGH_SECONDS:
        began = time.perf_counter()
        report(reference, current)
        seconds.append(time.perf_counter() - began)
    print("\n" + json.dumps({"seconds": seconds, "load_seconds": load_seconds}))
