"""Moves sealed segments into the lake: reads them in their order, commits table by table, removes what has arrived."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
from deltalake.exceptions import DeltaError
from google.protobuf.message import DecodeError

from serving.journal.append import Durability
from serving.journal.commit import LakeWriter, Piece
from serving.journal.decode import tables_of
from serving.journal.recover import adopt, journal_folders, quarantine, remove_unborn
from serving.journal.segment import Segment, read_records, segments_of

_BATCH_BYTES = 64 * 1024 * 1024
_DECORATION = re.compile(r"\x1b\[\d*m|↳")
"""Of delta-rs's messages, which are several lines in colours."""
# Whatever decoding can raise: one segment that this release can not read must not hold up the others for ever.
_UNREADABLE = (ArithmeticError, AttributeError, DecodeError, LookupError, TypeError, ValueError, pa.ArrowException)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shipment:
    """What one round did."""

    segments: int
    rows: int
    failed: int
    """Segments that are kept, because they could not be read or a table could not be written."""


@dataclass
class _Batch:
    """Segments that are committed together, with their rows by table."""

    segments: list[Segment] = field(default_factory=list)
    pieces: dict[str, list[Piece]] = field(default_factory=lambda: defaultdict(list))
    n_bytes: int = 0

    def add(self, segment: Segment, tables: dict[str, list[pa.Table]], n_bytes: int) -> None:
        self.segments.append(segment)
        self.n_bytes += n_bytes
        for name, parts in tables.items():
            self.pieces[name].extend(Piece(segment, part) for part in parts)


class Shipper:
    """The one process that moves journals into the lake."""

    def __init__(self, journals: Path, lake: Path, *, durability: Durability = "process") -> None:
        self._journals, self._lake = journals, lake
        self._writer = LakeWriter(lake)
        self._syncs = durability == "group"
        self._waiting: dict[Path, set[str]] = {}
        """Segments that were read before, with the tables that still lack their rows."""

    def ship(self) -> Shipment:
        """Take over the journals of the dead, ship what is sealed, and remove what has arrived."""
        broken: set[str] = set()
        unread: list[Path] = []
        n_segments = n_rows = 0
        for batch in self._batches(broken, unread):
            n_rows += self._commit(batch, broken)
            n_segments += self._remove_arrived(batch)
        return Shipment(n_segments, n_rows, len(self._waiting) + len(unread))

    def _batches(self, broken: set[str], unread: list[Path]) -> Iterator[_Batch]:
        """Read what is sealed, journal by journal and in order; what waits for broken tables only is left alone."""
        batch = _Batch()
        for folder in self._folders(unread):
            try:
                for segment in segments_of(folder):
                    waiting = self._waiting.get(segment.path)
                    if not segment.sealed or (waiting and waiting <= broken):
                        continue
                    self._read(segment, batch)
                    if batch.n_bytes >= _BATCH_BYTES:
                        yield batch
                        batch = _Batch()
            except OSError as error:
                # The rest of this journal waits too: a table that has a later segment takes no earlier one.
                _log.error("journal %s can not be read, it is kept: %s", folder, error)
                unread.append(folder)
        if batch.segments:
            yield batch

    def _folders(self, unread: list[Path]) -> Iterator[Path]:
        if self._journals.is_dir():
            remove_unborn(self._journals)
        for folder in journal_folders(self._journals):
            try:
                adopt(folder)
            except OSError as error:
                _log.error("journal %s can not be taken over, it is kept: %s", folder, error)
                unread.append(folder)
                continue
            if folder.is_dir():
                yield folder

    def _read(self, segment: Segment, batch: _Batch) -> None:
        content = segment.path.read_bytes()
        records = read_records(content)
        try:
            if not records.whole:
                raise ValueError(f"bad record at byte {records.valid_bytes} of {len(content)}")
            tables = tables_of(records.payloads, journal=segment.journal, segment=segment.number)
        except _UNREADABLE as error:
            quarantine(segment, str(error))
        else:
            batch.add(segment, tables, len(content))

    def _commit(self, batch: _Batch, broken: set[str]) -> int:
        n_rows = 0
        missing: dict[Path, set[str]] = defaultdict(set)
        for table, pieces in sorted(batch.pieces.items()):
            # Also once it works again: the segments before these were refused, and this table has to get them first.
            if table not in broken:
                try:
                    n_rows += self._writer.commit(table, pieces)
                    continue
                except (DeltaError, OSError, pa.ArrowException) as error:
                    why = " ".join(_DECORATION.sub("", str(error)).split())
                    _log.error("%s can not be written, its segments are kept: %s", self._lake / table, why)
                    broken.add(table)
            for piece in pieces:
                missing[piece.segment.path].add(table)
        for segment in batch.segments:
            self._waiting.pop(segment.path, None)
        self._waiting.update(missing)
        return n_rows

    def _remove_arrived(self, batch: _Batch) -> int:
        arrived = [segment for segment in batch.segments if segment.path not in self._waiting]
        if arrived and self._syncs:
            # delta-rs leaves its files to the kernel: without this, a loss of power takes both copies.
            os.sync()
        for segment in arrived:
            segment.path.unlink(missing_ok=True)
        return len(arrived)
