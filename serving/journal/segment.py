"""Segments: files of records `[u32 length][u32 crc32 of length and payload][payload]`.

A worker writes `<number>.open` and renames it to `<number>.<rows>.seg` when it is complete; a `.seg` never changes
again. Its rows stand in its name so that the backlog is known without reading it.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from protos.mlops.v1 import journal_pb2

HEADER = struct.Struct("<II")
"""Length of the payload, checksum of length and payload."""
_NAME = re.compile(r"(\d{12})\.(?:open|(\d+)\.seg)")
ID_BYTES = 16
"""Of one prediction id in a record."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a journal; the rows of an open one are not known."""

    path: Path
    number: int
    rows: int | None

    @property
    def sealed(self) -> bool:
        """Whether it never changes again."""
        return self.rows is not None

    @property
    def journal(self) -> str:
        """The id of the journal that it belongs to."""
        return self.path.parent.name


@dataclass(frozen=True, slots=True)
class Records:
    """What a file holds: the payloads up to the first bad byte, and what is wrong there."""

    payloads: list[bytes]
    valid_bytes: int
    torn: bool = False
    damaged: bool = False

    @property
    def whole(self) -> bool:
        """Whether every byte belongs to a good record."""
        return not (self.torn or self.damaged)


def open_path(folder: Path, number: int) -> Path:
    """Return the name of a segment that is being written; names sort by number."""
    return folder / f"{number:012d}.open"


def sealed_path(folder: Path, number: int, *, rows: int) -> Path:
    """Return the name of a segment that is complete."""
    return folder / f"{number:012d}.{rows}.seg"


def segments_of(folder: Path) -> list[Segment]:
    """Return the segments of one journal in their order."""
    found = []
    for path in folder.iterdir():
        if match := _NAME.fullmatch(path.name):
            found.append(Segment(path, int(match[1]), None if match[2] is None else int(match[2])))
    return sorted(found, key=lambda segment: segment.number)


def rows_of(record: journal_pb2.JournalRecord) -> int:
    """Return how many rows of a log table a record makes."""
    return len(record.prediction.prediction_ids) // ID_BYTES + len(record.feedback.rows)


def frame(payload: bytes) -> bytes:
    """Return the record that carries `payload`."""
    length = len(payload)
    return HEADER.pack(length, zlib.crc32(payload, length)) + payload


def read_records(content: bytes) -> Records:
    """Read records until the end or the first bad one.

    Returns:
        `torn` if the last record is shorter than it says, or if only zeros follow (a write that never finished, or a
        file that grew before a power loss without its data), `damaged` if bytes have changed.
    """
    payloads: list[bytes] = []
    position, end = 0, len(content)
    while position < end:
        start = position + HEADER.size
        if start > end:
            return Records(payloads, position, torn=True)
        length, checksum = HEADER.unpack_from(content, position)
        if length > end - start:
            return Records(payloads, position, torn=True)
        payload = content[start : start + length]
        if not length or zlib.crc32(payload, length) != checksum:
            only_zeros = not content[position:].strip(b"\0")
            return Records(payloads, position, torn=only_zeros, damaged=not only_zeros)
        payloads.append(payload)
        position = start + length
    return Records(payloads, position)
