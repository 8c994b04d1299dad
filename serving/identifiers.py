"""Prediction ids: UUIDv7, so that an id carries the millisecond of its receipt."""

import os
import struct
import time
import uuid
from binascii import hexlify
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_DRAWN_TAILS = 400
_FEW = 16
"""Up to this many ids, one by one is faster than in columns."""
_YEAR_10000_MS = 253_402_300_800_000
_tails = struct.iter_unpack("10s", b"")
_GROUPS = struct.Struct("8s4s4s4s12s")
_DASHED = [slot for slot in range(36) if slot not in {8, 13, 18, 23}]


def now_us() -> int:
    """Return the wall clock in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


def new_ids(received_at_us: int, count: int) -> bytes:
    """Return `count` fresh UUIDv7 of that time, 16 bytes each."""
    head = (received_at_us // 1000).to_bytes(6, "big")
    if count <= _FEW:
        return b"".join([head + _next_tail() for _ in range(count)])
    ids = np.empty((count, 16), dtype=np.uint8)
    ids[:, :6] = np.frombuffer(head, dtype=np.uint8)
    ids[:, 6:] = _random_tails(count)
    return ids.tobytes()


def _random_tails(count: int) -> NDArray[np.uint8]:
    """Return what follows the time in a UUIDv7: 74 random bits between its version and its variant."""
    tails = np.frombuffer(bytearray(os.urandom(10 * count)), dtype=np.uint8).reshape(count, 10)
    tails[:, 0] = 0x70 | (tails[:, 0] & 0x0F)
    tails[:, 2] = 0x80 | (tails[:, 2] & 0x3F)
    return tails


def _next_tail() -> bytes:
    """Return one tail, drawn many at a time: a system call per id would give up the interpreter's lock."""
    global _tails
    taken: tuple[bytes] | None = next(_tails, None)
    if taken is None:
        fresh = struct.iter_unpack("10s", _random_tails(_DRAWN_TAILS).tobytes())
        taken, _tails = next(fresh), fresh
    return taken[0]


def texts_of(ids: bytes) -> list[str]:
    """Return the canonical text of each 16 bytes."""
    if len(ids) <= 16 * _FEW:
        return [b"-".join(_GROUPS.unpack(hexlify(ids[i : i + 16]))).decode() for i in range(0, len(ids), 16)]
    characters = _characters_of(ids).decode()
    return [characters[i : i + 36] for i in range(0, len(characters), 36)]


def arrow_texts_of(ids: bytes) -> pa.StringArray:
    """Return the same texts as an Arrow column, without a Python object per id."""
    offsets = np.arange(len(ids) // 16 + 1, dtype=np.int32) * 36
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(_characters_of(ids)))


def _characters_of(ids: bytes) -> bytes:
    """Return the texts one after another, 36 characters each."""
    characters = np.full((len(ids) // 16, 36), ord("-"), dtype=np.uint8)
    characters[:, _DASHED] = np.frombuffer(ids.hex().encode(), dtype=np.uint8).reshape(-1, 32)
    return characters.tobytes()


def received_date_of(prediction_id: uuid.UUID) -> date | None:
    """Return the day (UTC) on which the id was given, or None if it is not a UUIDv7 of a year up to 9999."""
    milliseconds = prediction_id.int >> 80
    if prediction_id.version != 7 or milliseconds >= _YEAR_10000_MS:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()
