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
    digits = ids.hex()
    return [
        f"{digits[i : i + 8]}-{digits[i + 8 : i + 12]}-{digits[i + 12 : i + 16]}-{digits[i + 16 : i + 20]}-"
        f"{digits[i + 20 : i + 32]}"
        for i in range(0, len(digits), 32)
    ]


def arrow_texts_of(ids: bytes) -> pa.StringArray:
    """Return the same texts as an Arrow column, without a Python object per id."""
    count = len(ids) // 16
    characters = np.full((count, 36), ord("-"), dtype=np.uint8)
    characters[:, _DASHED] = np.frombuffer(ids.hex().encode(), dtype=np.uint8).reshape(count, 32)
    offsets = np.arange(count + 1, dtype=np.int32) * 36
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(characters))


def received_date_of(prediction_id: uuid.UUID) -> date | None:
    """Return the day (UTC) on which the id was given, or None if it is not a UUIDv7."""
    if prediction_id.version != 7:
        return None
    return datetime.fromtimestamp((prediction_id.int >> 80) / 1000, UTC).date()
