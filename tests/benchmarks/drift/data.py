"""Twenty numbers and five categories, distinct in every row, written to Delta tables as the lake writes them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = [f"number_{place:02d}" for place in range(20)]
CATEGORIES = [f"category_{place}" for place in range(5)]
_VALUES = (3, 10, 50, 200, 1000)
_REFERENCE_ROWS = 100_000
_CHUNK = 1_000_000
_BYTES_A_ROW = 175


def rows(n_rows: int, seed: int, *, shift: float = 0.0) -> pa.Table:
    """Return normal, lognormal, uniform, whole, and heavy-tailed numbers with a heap of zeros and missing values."""
    rng = np.random.default_rng(seed)
    columns = {}
    for place, name in enumerate(NUMBERS):
        kind = place % 5
        if kind == 0:
            values = rng.normal(place + shift, 1 + place, n_rows)
        elif kind == 1:
            values = rng.lognormal(shift, 1, n_rows)
        elif kind == 2:
            values = rng.uniform(-5, 5 + shift, n_rows)
        elif kind == 3:
            values = rng.poisson(6 + shift, n_rows).astype(np.float64)
        else:
            values = rng.standard_t(3, n_rows)
            values[rng.random(n_rows) < 0.3] = 0.0
            values[rng.random(n_rows) < 0.02] = np.nan
        columns[name] = pa.array(values, from_pandas=True)
    for name, n_values in zip(CATEGORIES, _VALUES, strict=True):
        shares = 1 / np.arange(1, n_values + 1)
        codes = rng.choice(n_values, n_rows, p=shares / shares.sum()).astype(np.int32)
        texts = pa.array([f"value_{value}" for value in range(n_values)])
        columns[name] = pa.DictionaryArray.from_arrays(codes, texts).cast(pa.string())
    return pa.table(columns)


def write_reference(folder: Path) -> Path:
    """Write the reference rows, once, and return their file."""
    path = folder / "reference.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows(_REFERENCE_ROWS, 1), path)
    return path


def write_window(folder: Path, n_rows: int, report: Callable[[str], None]) -> list[str]:
    """Write a window of slightly shifted rows, once, and return its files.

    Raises:
        OSError: The disk has no room for it.
    """
    from deltalake import DeltaTable, write_deltalake

    path, done = folder / f"window_{n_rows}", folder / f"window_{n_rows}.json"
    if not done.exists():
        shutil.rmtree(path, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        free, needed = shutil.disk_usage(folder).free, int(1.2 * n_rows * _BYTES_A_ROW)
        if free < needed:
            raise OSError(f"{n_rows:,} rows need {needed / 1e9:.0f} GB on disk, {free / 1e9:.0f} are free")
        report(f"writing {n_rows:,} rows")
        for first in range(0, n_rows, _CHUNK):
            chunk = rows(min(_CHUNK, n_rows - first), 100 + first // _CHUNK, shift=0.05)
            write_deltalake(str(path), chunk, mode="append")
        done.write_text(json.dumps(sorted(DeltaTable(str(path)).file_uris())))
    files: list[str] = json.loads(done.read_text())
    return files


def remove_window(folder: Path, n_rows: int) -> None:
    """Give its disk back."""
    (folder / f"window_{n_rows}.json").unlink(missing_ok=True)
    shutil.rmtree(folder / f"window_{n_rows}", ignore_errors=True)
