"""Prediction ids: UUIDv7, so that an id carries the millisecond of its receipt."""

import os
import struct
import time
import uuid
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa

_TAILS = 400
_tails = struct.iter_unpack("10s", b"")
_DASHED = [slot for slot in range(36) if slot not in {8, 13, 18, 23}]


def now_us() -> int:
    """Return the wall clock in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def new_ids(received_at_us: int, count: int) -> bytes:
    """Return `count` fresh UUIDv7 of that time, 16 bytes each."""
    head = (received_at_us // 1000).to_bytes(6, "big")
    if count == 1:
        tail = bytearray(_random_tail())
        tail[0] = 0x70 | (tail[0] & 0x0F)
        tail[2] = 0x80 | (tail[2] & 0x3F)
        return head + tail
    ids = np.empty((count, 16), dtype=np.uint8)
    ids[:, :6] = np.frombuffer(head, dtype=np.uint8)
    ids[:, 6:] = np.frombuffer(os.urandom(10 * count), dtype=np.uint8).reshape(count, 10)
    ids[:, 6] = 0x70 | (ids[:, 6] & 0x0F)
    ids[:, 8] = 0x80 | (ids[:, 8] & 0x3F)
    return ids.tobytes()


def _random_tail() -> bytes:
    """Return 10 random bytes, drawn many at a time: a system call per id would give up the interpreter's lock."""
    global _tails
    taken = next(_tails, None)
    if taken is None:
        fresh = struct.iter_unpack("10s", os.urandom(10 * _TAILS))
        taken, _tails = next(fresh), fresh
    (tail,) = taken
    return bytes(tail)


def texts_of(ids: bytes) -> list[str]:
    """Return the canonical text of each 16 bytes."""
    characters = _characters_of(ids).decode()
    return [characters[i : i + 36] for i in range(0, len(characters), 36)]


def arrow_texts_of(ids: bytes) -> pa.StringArray:
    """Return the same texts as an Arrow column, without a Python object per id."""
    offsets = np.arange(len(ids) // 16 + 1, dtype=np.int32) * 36
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(_characters_of(ids)))


def _characters_of(ids: bytes) -> bytes:
    """Return the texts one after another, 36 characters each."""
    digits = ids.hex()
    if len(ids) == 16:
        dashed = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        return dashed.encode()
    characters = np.full((len(ids) // 16, 36), ord("-"), dtype=np.uint8)
    characters[:, _DASHED] = np.frombuffer(digits.encode(), dtype=np.uint8).reshape(-1, 32)
    return characters.tobytes()


def received_date_of(prediction_id: uuid.UUID) -> date | None:
    """Return the day (UTC) on which the id was given, or None if it is not a UUIDv7."""
    if prediction_id.version != 7:
        return None
    return datetime.fromtimestamp((prediction_id.int >> 80) / 1000, UTC).date()
