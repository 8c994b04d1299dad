"""How much is journaled and not yet in the lake, seen from outside, so that a dead shipper shows too."""

import time
from dataclasses import dataclass
from pathlib import Path

from serving.journal.append import OVER_QUOTA_FILE
from serving.journal.recover import QUARANTINE, journal_folders
from serving.journal.segment import Segment, segments_of


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the journals of one folder hold at a moment."""

    rows: int
    """Of sealed segments: what is open is counted when it is sealed."""
    n_bytes: int
    age_seconds: float
    """Since the last write to the oldest segment."""
    quarantined_segments: int
    quarantined_bytes: int


def backlog_of(journals: Path) -> Backlog:
    """Look at the folders now, without reading a segment."""
    rows, n_bytes = 0, 0
    now = oldest = time.time()
    for folder in journal_folders(journals):
        for segment in _segments_in(folder):
            try:
                facts = segment.path.stat()
            except FileNotFoundError:  # sealed or shipped meanwhile
                continue
            rows += segment.rows or 0
            n_bytes += facts.st_size
            if facts.st_size:
                oldest = min(oldest, facts.st_mtime)
    sizes = _sizes_in(journals / QUARANTINE)
    return Backlog(rows, n_bytes, max(0.0, now - oldest), len(sizes), sum(sizes))


class Quota:
    """Bounds what all journals of a folder hold together, so that a lake that is away does not fill the disk."""

    def __init__(self, journals: Path, *, maximum_bytes: int) -> None:
        self._journals, self._maximum = journals, maximum_bytes
        self._flag = journals / OVER_QUOTA_FILE

    def enforce(self) -> None:
        """Tell the workers whether they may write; quarantined segments count, because they fill the disk too."""
        backlog = backlog_of(self._journals)
        if backlog.n_bytes + backlog.quarantined_bytes > self._maximum:
            self._flag.touch()
        else:
            self._flag.unlink(missing_ok=True)


def _segments_in(folder: Path) -> list[Segment]:
    try:
        return segments_of(folder)
    except FileNotFoundError:  # empty and removed meanwhile
        return []


def _sizes_in(folder: Path) -> list[int]:
    return [entry.stat().st_size for entry in folder.iterdir()] if folder.is_dir() else []
