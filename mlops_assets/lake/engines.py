"""The engines that count windows, named by a URL: DuckDB in this process, a Spark cluster, or a PostgreSQL server."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from mlops_assets.errors import OperationError

if TYPE_CHECKING:
    import ibis

_TABLE = "window_rows"


@contextmanager
def window_table(url: str, files: Sequence[str], columns: Sequence[str]) -> "Iterator[ibis.Table]":
    """Open Parquet files as a table of an engine, until the end of the block.

    Args:
        url: `duckdb://`, `pyspark://` or `postgresql://user@host/database`; what follows the `?` are its settings.
        files: Paths or URIs that the engine can read; for PostgreSQL this process reads them and copies the rows.
        columns: What will be asked for; the files may lack some of them.

    Raises:
        OperationError: The URL names no engine, or its client library is not installed.
    """
    scheme = urlsplit(url).scheme
    opened = {"duckdb": _duckdb, "pyspark": _spark, "postgresql": _postgres}.get(scheme)
    if opened is None:
        raise OperationError(f"MLOPS_ENGINE={url}: no such engine; use duckdb://, pyspark:// or postgresql://")
    try:
        with opened(url, files, columns) as table:
            yield table
    except ModuleNotFoundError as error:
        raise OperationError(
            f"MLOPS_ENGINE={url}: {error.name} is not installed; see docs/how-to/monitor-at-scale.md"
        ) from error


@contextmanager
def _duckdb(url: str, files: Sequence[str], columns: Sequence[str]) -> "Iterator[ibis.Table]":
    import ibis

    with tempfile.TemporaryDirectory(prefix="mlops-duckdb-") as spill:
        # 2**20 counters instead of 2**12: every grid then gets an array and no hash table.
        settings = {"perfect_ht_threshold": 20, "preserve_insertion_order": False, "temp_directory": spill}
        connection = ibis.duckdb.connect(**{**settings, **_settings(url)})
        try:
            yield connection.read_parquet(files, table_name=_TABLE, hive_partitioning=True, union_by_name=True)
        finally:
            connection.disconnect()


@contextmanager
def _spark(url: str, files: Sequence[str], columns: Sequence[str]) -> "Iterator[ibis.Table]":
    import ibis
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("mlops drift counts")
    for name, value in _settings(url).items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.read.option("mergeSchema", "true").parquet(*files).createOrReplaceTempView(_TABLE)
    yield ibis.pyspark.connect(session).table(_TABLE)


@contextmanager
def _postgres(url: str, files: Sequence[str], columns: Sequence[str]) -> "Iterator[ibis.Table]":
    """Copy what will be asked for into a temporary table, batch by batch."""
    import ibis
    import pyarrow.dataset as ds
    from pyarrow import csv

    connection: Any = ibis.connect(url)
    try:
        rows = ds.dataset(list(files), partitioning="hive", schema=_merged_schema(files))
        asked = [name for name in columns if name in rows.schema.names]
        schema = ibis.Schema.from_pyarrow(rows.schema)
        connection.create_table(_TABLE, schema=ibis.schema({name: schema[name] for name in asked}), temp=True)
        options = csv.WriteOptions(include_header=False)
        names = ", ".join(f'"{name}"' for name in asked)
        with connection.con.cursor() as cursor, cursor.copy(f"COPY {_TABLE} ({names}) FROM STDIN (FORMAT csv)") as copy:
            for batch in rows.to_batches(columns=asked):
                csv.write_csv(batch, _Sink(copy), options)
        yield connection.table(_TABLE)
    finally:
        connection.disconnect()


class _Sink:
    """What pyarrow writes into."""

    closed = False

    def __init__(self, copy: Any) -> None:
        self._copy = copy

    def write(self, content: bytes) -> int:
        self._copy.write(bytes(content))
        return len(content)

    def flush(self) -> None:
        """Everything is on its way already."""

    def close(self) -> None:
        """The copy ends with its block."""


def _merged_schema(files: Sequence[str]) -> Any:
    """Return all columns of all files: later ones may have more."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pa.unify_schemas([pq.read_schema(file) for file in files])


def _settings(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))
