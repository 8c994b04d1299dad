"""The Delta tables of all models: `<lake>/<model>/<table>`, addressed by version, never rewritten in place."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import unquote

from mlops_assets.errors import InsufficientDataError, OperationError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

TableName = Literal[
    "source", "reference", "predictions", "feedback", "quarantine", "drift_metrics", "performance_metrics", "releases"
]
TABLES: tuple[TableName, ...] = get_args(TableName)
# A version can be read only as long as its entry of the log is there; entries are small.
_CONFIGURATION = {"delta.logRetentionDuration": "interval 36500 days"}


class Lake:
    """Reads and writes the tables below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, model: str, table: TableName) -> Path:
        """Return the folder of a table."""
        return self.root / model / table

    def open(self, model: str, table: TableName, version: int | None = None) -> "DeltaTable | None":
        """Return the table at a version (the newest by default), or None if it does not exist yet.

        Raises:
            OperationError: Its log is damaged.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(str(self.path(model, table)), version=version)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise _damaged(self.path(model, table), error) from error

    def dataset(self, model: str, table: TableName, version: int | None = None) -> "ds.Dataset | None":
        """Return the table as an Arrow dataset, or None if it does not exist yet.

        Read through Arrow's own file system: with deltalake's, the process often aborts when it exits.
        """
        from pyarrow import fs

        opened = self.open(model, table, version)
        if opened is None:
            return None
        files = fs.SubTreeFileSystem(str(self.path(model, table)), fs.LocalFileSystem())
        return opened.to_pyarrow_dataset(filesystem=files)

    def scan(
        self,
        model: str,
        table: TableName,
        version: int | None = None,
        *,
        columns: Sequence[str] | None = None,
        rows: "ds.Expression | None" = None,
    ) -> "pa.Table | None":
        """Return all columns and rows of a table or only some, or None if it does not exist yet.

        Raises:
            OperationError: Its log or a file of it is damaged.
        """
        from pyarrow import ArrowException

        dataset = self.dataset(model, table, version)
        if dataset is None:
            return None
        try:
            return dataset.to_table(columns=None if columns is None else list(columns), filter=rows)
        except (ArrowException, OSError) as error:
            raise _damaged(self.path(model, table), error) from error

    def version(self, model: str, table: TableName) -> int | None:
        """Return the newest version number, or None if the table does not exist yet."""
        opened = self.open(model, table)
        return None if opened is None else opened.version()

    def read(
        self, model: str, table: TableName, version: int | None = None, *, rows: "ds.Expression | None" = None
    ) -> "pd.DataFrame":
        """Return a whole table, or those of its rows that satisfy an expression.

        Raises:
            InsufficientDataError: The table does not exist.
            OperationError: Its log or a file of it is damaged.
        """
        found = self.scan(model, table, version, rows=rows)
        if found is None:
            raise InsufficientDataError(f"{model}: the lake has no table {table!r} yet; materialize what writes it")
        frame: pd.DataFrame = found.to_pandas()
        return frame

    def append(self, model: str, table: TableName, rows: "pa.Table") -> int:
        """Append rows and return the version that holds them."""
        return self._write(model, table, rows, "append")

    def replace(self, model: str, table: Literal["source", "reference"], rows: "pa.Table") -> int:
        """Write the table anew as its next version; older versions stay readable."""
        return self._write(model, table, rows, "overwrite")

    def files(self, model: str, table: TableName, column: str, *, start: datetime, end: datetime) -> list[str]:
        """Return the Parquet files that may hold rows with a time in [start, end), from the statistics in the log.

        Args:
            model: The model's name.
            table: The table; none of its files are returned if it does not exist.
            column: A time column of it.
            start: Of the window.
            end: Of the window.
        """
        import pyarrow as pa

        opened = self.open(model, table)
        if opened is None:
            return []
        root = self.path(model, table)
        return [
            str(root / unquote(action["path"]))
            for action in pa.table(opened.get_add_actions(flatten=True)).to_pylist()
            if (action.get(f"max.{column}") or start) >= start and (action.get(f"min.{column}") or start) < end
        ]

    def newest(self, model: str, table: TableName, column: str) -> datetime | None:
        """Return the greatest value of a time column, from the files' statistics alone."""
        opened = self.open(model, table)
        return None if opened is None else _extreme(opened, f"max.{column}", max)

    def oldest(self, model: str, table: TableName, column: str) -> datetime | None:
        """Return the least value of a time column, from the files' statistics alone."""
        opened = self.open(model, table)
        return None if opened is None else _extreme(opened, f"min.{column}", min)

    def _write(self, model: str, table: TableName, rows: "pa.Table", mode: Literal["append", "overwrite"]) -> int:
        from deltalake import DeltaTable, write_deltalake

        path = self.path(model, table)
        path.mkdir(parents=True, exist_ok=True)
        schema_mode: Literal["merge", "overwrite"] = "merge" if mode == "append" else "overwrite"
        write_deltalake(str(path), rows, mode=mode, schema_mode=schema_mode, configuration=_CONFIGURATION)
        return int(DeltaTable(str(path)).version())


def content_hash(frame: "pd.DataFrame") -> str:
    """Return a hash of the rows, 16 hex digits; neither their order nor a way through the lake changes it."""
    import numpy as np
    import pandas as pd

    ordered = frame.reindex(columns=sorted(frame.columns))
    for name in ordered.select_dtypes(["datetime", "datetimetz"]):
        ordered[name] = ordered[name].dt.as_unit("us")
    rows = np.sort(pd.util.hash_pandas_object(ordered, index=False).to_numpy())
    digest = hashlib.sha256(rows.tobytes())
    digest.update(repr([(name, kind.kind) for name, kind in ordered.dtypes.items()]).encode())
    return digest.hexdigest()[:16]


def _damaged(path: Path, error: Exception) -> OperationError:
    why = str(error).partition("\n")[0]
    return OperationError(f"the table {path} can not be read ({why}); restore it from a backup, or move it away")


def _extreme(table: "DeltaTable", column: str, pick: Callable[[Iterable[datetime]], datetime]) -> datetime | None:
    import pyarrow as pa

    actions = pa.table(table.get_add_actions(flatten=True))
    if column not in actions.column_names:
        return None
    values = [value for value in actions[column].to_pylist() if value is not None]
    return pick(values) if values else None
