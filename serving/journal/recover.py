"""Finds journals and takes over those of dead workers."""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from google.protobuf.message import DecodeError

from protos.mlops.v1 import journal_pb2
from serving.journal.append import LOCK_FILE
from serving.journal.segment import Segment, frame, read_records, rows_of, sealed_path, segments_of

QUARANTINE = "quarantine"
_UNBORN_SECONDS = 60

_log = logging.getLogger(__name__)


def journal_folders(root: Path) -> list[Path]:
    """Return the folder of every journal, of the living and the dead."""
    if not root.is_dir():
        return []
    return sorted(entry for entry in root.iterdir() if (entry / LOCK_FILE).exists() and entry.name[0] != ".")


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Try to lock a file for the time of the block; gives False while somebody else holds it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def adopt(folder: Path) -> bool:
    """Take over a journal whose writer is dead: cut the torn end, seal it, and remove it once it is empty.

    Returns:
        Whether the writer is dead.

    Raises:
        OSError: The folder can not be read or written; what is in it stays.
    """
    with locked(folder / LOCK_FILE) as dead:
        if not dead:
            return False
        segments = segments_of(folder)
        for segment in segments:
            if not segment.sealed:
                _seal_of_the_dead(segment)
        if not segments:
            shutil.rmtree(folder)
    return True


def quarantine(segment: Segment, why: str) -> None:
    """Move a damaged segment out of the way, whole, for a person to look at."""
    target = _place_in_quarantine(segment)
    segment.path.rename(target)
    _log.error("segment %s is damaged (%s): moved to %s, its records are NOT in the lake", segment.path, why, target)


def remove_unborn(root: Path) -> None:
    """Remove journals whose writer died before the first record."""
    for room in root.glob(".new-*"):
        with suppress(FileNotFoundError):  # it is being born at this moment
            if time.time() - room.stat().st_mtime > _UNBORN_SECONDS:
                shutil.rmtree(room)


def _seal_of_the_dead(segment: Segment) -> None:
    content = segment.path.read_bytes()
    records = read_records(content)
    try:
        good = [journal_pb2.JournalRecord.FromString(payload) for payload in records.payloads]
    except DecodeError as error:
        quarantine(segment, str(error))
        return
    if records.damaged:
        # Not a write that stopped half-way: whole records may stand behind the bad one, so nothing is thrown away.
        contracts = [frame(record.SerializeToString()) for record in good if record.HasField("contract")]
        _set_aside(segment, b"".join(contracts) + content[records.valid_bytes :])
    elif records.torn:
        _log.warning("journal %s: cut %d torn bytes", segment.path, len(content) - records.valid_bytes)
    if not records.valid_bytes:
        segment.path.unlink()
        return
    if not records.whole:
        os.truncate(segment.path, records.valid_bytes)
    rows = sum(map(rows_of, good))
    segment.path.rename(sealed_path(segment.path.parent, segment.number, rows=rows))


def _set_aside(segment: Segment, rest: bytes) -> None:
    """Keep what stands behind the damage, with the contracts that it refers to."""
    target = _place_in_quarantine(segment)
    target.write_bytes(rest)
    _log.error(
        "journal %s is damaged: its end is set aside in %s, the records in it are NOT in the lake",
        segment.path,
        target,
    )


def _place_in_quarantine(segment: Segment) -> Path:
    shelf = segment.path.parent.parent / QUARANTINE
    shelf.mkdir(exist_ok=True)
    return shelf / f"{segment.journal}-{segment.path.name}"
