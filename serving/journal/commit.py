"""Appends rows of segments to a Delta table, each segment exactly once.

A commit carries, for every journal in it, the application transaction `<table>:<journal id>` with the last segment
number. delta-rs stores these but does not enforce them, so they are read and checked here, on the very `DeltaTable`
that is then written, after it was brought up to date: if somebody else commits in between, that write fails and all is
read again.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from serving.journal.segment import Segment

_ATTEMPTS = 5
# Far longer than a segment can lie between its commit and its removal; without it, every journal stays in the log.
_CONFIGURATION = {"delta.setTransactionRetentionDuration": "interval 90 days"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows that one segment has for one table."""

    segment: Segment
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class _Opened:
    delta: DeltaTable
    last_entry: tuple[int, int] | None


class LakeWriter:
    """Writes to the tables of one lake, and keeps them open: reading a table's log anew takes longer than a commit."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._open: dict[str, _Opened] = {}

    def commit(self, table: str, pieces: list[Piece]) -> int:
        """Append the pieces that the table does not hold yet, in one commit, and return their rows.

        Args:
            table: `<model>/predictions` or `<model>/feedback`.
            pieces: At least one; those of one journal in the order of their segments, and none left out before them.

        Raises:
            DeltaError: The table can not be written now.
            OSError: The same.
        """
        path = self._lake / table
        for attempt in range(_ATTEMPTS):
            delta = self._latest(table, pieces[0].rows.schema)
            fresh = [piece for piece in pieces if piece.segment.number > _last_number(delta, table, piece.segment)]
            if fresh:
                rows = pa.concat_tables([piece.rows for piece in fresh], promote_options="default")
                try:
                    write_deltalake(
                        delta,
                        rows,
                        mode="append",
                        schema_mode="merge",
                        commit_properties=CommitProperties(app_transactions=_transactions(table, fresh)),
                    )
                except CommitFailedError:
                    _log.warning("%s changed while it was written: reading again (%d)", path, attempt + 1)
                    continue
            self._open[table] = _Opened(delta, _last_entry(path, delta))
            return sum(piece.rows.num_rows for piece in fresh)
        raise DeltaError(f"{path} changed {_ATTEMPTS} times in a row")

    def _latest(self, table: str, schema: pa.Schema) -> DeltaTable:
        """Return a table as it stands now: the one that is open, unless another has come in its place."""
        path, opened = self._lake / table, self._open.pop(table, None)
        if opened is not None and opened.last_entry and opened.last_entry == _last_entry(path, opened.delta):
            opened.delta.update_incremental()
            return opened.delta
        if DeltaTable.is_deltatable(str(path)):
            return DeltaTable(str(path))
        path.mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(
            str(path), schema, mode="ignore", partition_by=["received_date"], configuration=_CONFIGURATION
        )


def _last_entry(path: Path, delta: DeltaTable) -> tuple[int, int] | None:
    """Return what tells the last entry of a table's log from one that another table has under the same name."""
    try:
        entry = (path / "_delta_log" / f"{delta.version():020d}.json").stat()
    except FileNotFoundError:
        return None
    return entry.st_ino, entry.st_mtime_ns


def _last_number(delta: DeltaTable, table: str, segment: Segment) -> int:
    version = delta.transaction_version(f"{table}:{segment.journal}")
    return -1 if version is None else version


def _transactions(table: str, pieces: list[Piece]) -> list[Transaction]:
    now = int(time.time() * 1000)
    last = {piece.segment.journal: piece.segment.number for piece in pieces}
    return [Transaction(f"{table}:{journal}", number, now) for journal, number in last.items()]
