"""Moves sealed segments into the lake, each exactly once.

A Delta commit carries, for every journal in it, the application transaction `<table>:<journal id>` with the last
segment number. delta-rs stores these but does not enforce them, so they are read and checked here, on the very
`DeltaTable` that is then written: if somebody else commits in between, that write fails and everything is read again.
"""

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from serving.journal.decode import tables_of
from serving.journal.recover import adopt, journal_folders, quarantine, remove_unborn
from serving.journal.segment import Segment, read_records, segments_of

_ROUND_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Piece:
    """The rows that one segment has for one table."""

    segment: Segment
    rows: pa.Table


@dataclass(frozen=True, slots=True)
class Shipment:
    """What one round did."""

    segments: int
    rows: int
    failed: int
    """Segments that are kept because a table could not be written."""


class Shipper:
    """The one process that moves journals into the lake."""

    def __init__(self, journals: Path, lake: Path) -> None:
        self._journals, self._lake = journals, lake

    def ship(self) -> Shipment:
        """Take over the journals of the dead, ship what is sealed, and remove what has arrived."""
        if self._journals.is_dir():
            remove_unborn(self._journals)
        folders = journal_folders(self._journals)
        for folder in folders:
            adopt(folder)
        segments, pieces = self._read(folders)
        n_rows = 0
        late: set[Path] = set()
        for table, found in sorted(pieces.items()):
            try:
                n_rows += self._commit(table, found)
            except (DeltaError, OSError, pa.ArrowException) as error:
                _log.error("%s can not be written, %d segments are kept: %s", self._lake / table, len(found), error)
                late.update(piece.segment.path for piece in found)
        shipped = [segment for segment in segments if segment.path not in late]
        for segment in shipped:
            segment.path.unlink()
        return Shipment(len(shipped), n_rows, len(late))

    def _read(self, folders: list[Path]) -> tuple[list[Segment], dict[str, list[_Piece]]]:
        segments: list[Segment] = []
        pieces: dict[str, list[_Piece]] = defaultdict(list)
        room = _ROUND_BYTES
        for segment in (s for folder in folders if folder.is_dir() for s in segments_of(folder) if s.sealed):
            content = segment.path.read_bytes()
            records = read_records(content)
            try:
                if not records.whole:
                    raise ValueError(f"bad record at byte {records.valid_bytes} of {len(content)}")
                tables = tables_of(records.payloads, journal=segment.journal, segment=segment.number)
            except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
                quarantine(segment, str(error))
                continue
            segments.append(segment)
            for name, parts in tables.items():
                pieces[name].extend(_Piece(segment, part) for part in parts)
            room -= len(content)
            if room < 0:
                break
        return segments, pieces

    def _commit(self, table: str, pieces: list[_Piece]) -> int:
        path = self._lake / table
        for attempt in range(_ATTEMPTS):
            delta = _open_or_create(path, pieces[0].rows.schema)
            fresh = [piece for piece in pieces if piece.segment.number > _last_shipped(delta, table, piece.segment)]
            if not fresh:
                return 0
            last: dict[str, int] = {}
            for piece in fresh:
                app = f"{table}:{piece.segment.journal}"
                last[app] = max(last.get(app, 0), piece.segment.number)
            rows = pa.concat_tables([piece.rows for piece in fresh], promote_options="default")
            marks = [Transaction(app, number) for app, number in last.items()]
            try:
                write_deltalake(
                    delta,
                    rows,
                    mode="append",
                    schema_mode="merge",
                    commit_properties=CommitProperties(app_transactions=marks),
                )
                return int(rows.num_rows)
            except CommitFailedError:
                _log.warning("%s changed while it was written: reading again (%d)", path, attempt + 1)
        raise DeltaError(f"{path} changed {_ATTEMPTS} times in a row")


def _open_or_create(path: Path, schema: pa.Schema) -> DeltaTable:
    if not DeltaTable.is_deltatable(str(path)):
        path.mkdir(parents=True, exist_ok=True)
        return DeltaTable.create(str(path), schema, mode="ignore", partition_by=["received_date"])
    return DeltaTable(str(path))


def _last_shipped(delta: DeltaTable, table: str, segment: Segment) -> int:
    version = delta.transaction_version(f"{table}:{segment.journal}")
    return -1 if version is None else version
