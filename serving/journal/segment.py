"""Segments: files of records `[u32 length][u32 crc32 of length and payload][payload]`.

A worker writes `<number>.open` and renames it to `<number>.seg` when it is complete; a `.seg` never changes again.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_NAME = re.compile(r"(\d{12})\.(open|seg)")


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of a journal."""

    path: Path
    number: int
    sealed: bool

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


def segment_path(folder: Path, number: int, *, sealed: bool) -> Path:
    """Return the name of a segment; names sort by number."""
    return folder / f"{number:012d}.{'seg' if sealed else 'open'}"


def segments_of(folder: Path) -> list[Segment]:
    """Return the segments of one journal in their order."""
    found = []
    for path in folder.iterdir():
        if match := _NAME.fullmatch(path.name):
            found.append(Segment(path, int(match[1]), match[2] == "seg"))
    return sorted(found, key=lambda segment: segment.number)


def frame(payload: bytes) -> bytes:
    """Return the record that carries `payload`."""
    length = len(payload)
    return _HEADER.pack(length, zlib.crc32(payload, zlib.crc32(_LENGTH.pack(length)))) + payload


def read_records(content: bytes) -> Records:
    """Read records until the end or the first bad one.

    Returns:
        `torn` if the last record is shorter than it says (a write that never finished), `damaged` if a record
        is complete but its checksum does not fit (bytes have changed).
    """
    payloads: list[bytes] = []
    position, end = 0, len(content)
    while position < end:
        start = position + _HEADER.size
        if start > end:
            return Records(payloads, position, torn=True)
        length, checksum = _HEADER.unpack_from(content, position)
        if length > end - start:
            return Records(payloads, position, torn=True)
        payload = content[start : start + length]
        if not length or zlib.crc32(payload, zlib.crc32(content[position : position + 4])) != checksum:
            return Records(payloads, position, damaged=True)
        payloads.append(payload)
        position = start + length
    return Records(payloads, position)
