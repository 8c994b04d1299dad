"""Counts the log of a lake with the engine of a URL and prints the counts: python count_log.py LAKE URL."""

import json
import sys
from pathlib import Path

from mlops_assets.lake.queries import window_counts
from mlops_assets.lake.tables import Lake
from tests.lake.engines.log import END, START, as_document, hard_profile, hard_spec

if __name__ == "__main__":
    lake = Lake(Path(sys.argv[1]))
    counts = window_counts(lake, hard_spec(), hard_profile(), start=START, end=END, engine=sys.argv[2])
    print(json.dumps(as_document(counts)))
