"""Gives the good records of a damaged segment back to the shipper."""

import hashlib
import shutil
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from protos.mlops.v1 import journal_pb2
from serving.errors import JournalError
from serving.journal.append import LOCK_FILE
from serving.journal.segment import HEADER, frame, open_path, read_records, rows_of

_LONGEST_RECORD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Salvage:
    """What could be saved of one file."""

    rows: int
    lost_bytes: int
    """Bytes that belong to no good record."""
    journal: Path


def salvage(damaged: Path, journals: Path) -> Salvage:
    """Make a journal of the good records of a file, before and behind the damage; the file stays as it is.

    The journal's id follows from the file's bytes: given back twice, its rows reach the lake once.

    Args:
        damaged: A file of the quarantine.
        journals: The folder of all journals.

    Raises:
        JournalError: There is nothing good in the file, it was given back and is not shipped yet, or can not be read.
    """
    try:
        content = damaged.read_bytes()
        payloads = list(_good_records(content))
        kept = b"".join(map(frame, payloads))
        rows = sum(rows_of(journal_pb2.JournalRecord.FromString(payload)) for payload in payloads)
        if not rows:
            raise JournalError(f"{damaged} holds no good record of a prediction or a label")
        journal = journals / hashlib.sha256(content).hexdigest()[:32]
        if journal.exists():
            raise JournalError(f"{damaged} was given back already and is not shipped yet")
        _make_journal(journal, kept)
    except (OSError, DecodeError) as error:
        raise JournalError(f"{damaged} can not be given back: {error}") from error
    return Salvage(rows, len(content) - len(kept), journal)


def _make_journal(journal: Path, content: bytes) -> None:
    room = journal.with_name(f".new-{uuid.uuid4().hex}")
    room.mkdir()
    try:
        (room / LOCK_FILE).touch()
        open_path(room, 1).write_bytes(content)
        room.rename(journal)
    except OSError:
        shutil.rmtree(room)
        raise


def _good_records(content: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(content):
        records = read_records(content[position:])
        yield from records.payloads
        position += records.valid_bytes
        if position < len(content):
            position = _next_good(content, position + 1)


def _next_good(content: bytes, position: int) -> int:
    """Return where the next record begins whose checksum fits; the end if there is none."""
    for start in range(position, len(content) - HEADER.size):
        length, checksum = HEADER.unpack_from(content, start)
        begin = start + HEADER.size
        fits = 0 < length <= min(len(content) - begin, _LONGEST_RECORD_BYTES)
        if fits and zlib.crc32(content[begin : begin + length], length) == checksum:
            return start
    return len(content)
