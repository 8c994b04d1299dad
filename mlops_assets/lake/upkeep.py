"""Upkeep of Delta tables: many small files become few, and files that nobody can ask for any more are removed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from mlops_assets.lake.tables import Lake, TableName

if TYPE_CHECKING:
    from deltalake import DeltaTable

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class TableUpkeep:
    """What was done to one table.

    Attributes:
        table: Its name.
        files_before: Files of its newest version.
        files_after: The same, afterwards.
        bytes_before: Of all its data on disk, older versions included.
        bytes_after: The same, afterwards.
        removed_files: How many were deleted.
    """

    table: TableName
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    removed_files: int


def keep_up(
    lake: Lake, model: str, table: TableName, *, horizon: timedelta, pinned: Collection[int] = ()
) -> TableUpkeep | None:
    """Compact a table and remove what no version within the horizon needs.

    Rows that are appended meanwhile are not touched, nor are the shippers' transactions in the log. A reader goes on
    with the files of the version that it has opened. Whatever is interrupted leaves the table as it was.

    Args:
        lake: Where.
        model: The model's name.
        table: The table.
        horizon: Every version that was the newest within it stays readable; a day at least, so that files that somebody
            is writing just now are safe.
        pinned: Versions that stay readable for good.

    Returns:
        What was done, None if the table does not exist.

    Raises:
        CommitFailedError: Others changed the table again and again; nothing is lost, the next run tries again.
    """
    before = lake.open(model, table)
    if before is None:
        return None
    folder = lake.path(model, table)
    bytes_before = _bytes(lake, model, table)
    compacted = _compact(before)
    hours = int(horizon / timedelta(hours=1))
    options = {"retention_hours": hours, "enforce_retention_duration": False, "full": True, "keep_versions": [*pinned]}
    removed = compacted.vacuum(dry_run=True, **options)
    if removed:  # each vacuum is two entries of the log
        compacted.vacuum(dry_run=False, **options)
    after = lake.open(model, table)
    return TableUpkeep(
        table=table,
        files_before=len(before.file_uris()),
        files_after=len(after.file_uris()) if after else 0,
        bytes_before=bytes_before,
        bytes_after=_bytes(lake, model, table),
        removed_files=sum(1 for name in removed if not (folder / name).exists()),
    )


def _compact(opened: "DeltaTable") -> "DeltaTable":
    from deltalake import DeltaTable
    from deltalake.exceptions import CommitFailedError

    attempts_left = _ATTEMPTS
    while True:
        table = DeltaTable(opened.table_uri)
        try:
            table.optimize.compact()
            return table
        except CommitFailedError:
            attempts_left -= 1
            if not attempts_left:
                raise


def _bytes(lake: Lake, model: str, table: TableName) -> int:
    return sum(file.stat().st_size for file in lake.path(model, table).rglob("*.parquet"))
