"""Appends rows of segments to a Delta table, each segment exactly once.

A commit carries, for every journal in it, the application transaction `<table>:<journal id>` with the last segment
number. delta-rs stores these but does not enforce them, so they are read and checked here, on the very `DeltaTable`
that is then written: if somebody else commits in between, that write fails and everything is read again.
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


def commit(lake: Path, table: str, pieces: list[Piece]) -> int:
    """Append the pieces that the table does not hold yet, in one commit, and return their rows.

    Args:
        lake: The folder of all tables.
        table: `<model>/predictions` or `<model>/feedback`.
        pieces: At least one; those of one journal in the order of their segments, and none left out before them.

    Raises:
        DeltaError: The table can not be written now.
        OSError: The same.
    """
    path = lake / table
    for attempt in range(_ATTEMPTS):
        delta = _open_or_create(path, pieces[0].rows.schema)
        fresh = [piece for piece in pieces if piece.segment.number > _last_number(delta, table, piece.segment)]
        if not fresh:
            return 0
        rows = pa.concat_tables([piece.rows for piece in fresh], promote_options="default")
        try:
            write_deltalake(
                delta,
                rows,
                mode="append",
                schema_mode="merge",
                commit_properties=CommitProperties(app_transactions=_transactions(table, fresh)),
            )
            return int(rows.num_rows)
        except CommitFailedError:
            _log.warning("%s changed while it was written: reading again (%d)", path, attempt + 1)
    raise DeltaError(f"{path} changed {_ATTEMPTS} times in a row")


def _open_or_create(path: Path, schema: pa.Schema) -> DeltaTable:
    if not DeltaTable.is_deltatable(str(path)):
        path.mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(
            str(path), schema, mode="ignore", partition_by=["received_date"], configuration=_CONFIGURATION
        )
    return DeltaTable(str(path))


def _last_number(delta: DeltaTable, table: str, segment: Segment) -> int:
    version = delta.transaction_version(f"{table}:{segment.journal}")
    return -1 if version is None else version


def _transactions(table: str, pieces: list[Piece]) -> list[Transaction]:
    now = int(time.time() * 1000)
    last = {piece.segment.journal: piece.segment.number for piece in pieces}
    return [Transaction(f"{table}:{journal}", number, now) for journal, number in last.items()]
