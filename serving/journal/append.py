"""The journal of one worker: what is answered is written here first.

A record survives the death of the process once it is written, and the loss of power once it is synced
(`durability="group"`). A folder `<journals>/<journal id>/` belongs to the process that holds the lock in it; when the
lock is free its writer is dead.
"""

import fcntl
import os
import threading
import uuid
from pathlib import Path
from typing import Literal

from protos.mlops.v1 import journal_pb2
from serving.errors import JournalError
from serving.formats.contract import Contract
from serving.journal.group_commit import GroupCommit
from serving.journal.open_segment import OpenSegment
from serving.journal.segment import frame

LOCK_FILE = "lock"
OVER_QUOTA_FILE = ".over-quota"
"""Stands in the folder of all journals while they hold more than they may; the supervisor puts it there."""
MAXIMUM_SEGMENT_BYTES = 32 * 1024 * 1024

Durability = Literal["process", "group"]


class Journal:
    """Appends records in one order; safe to call from many threads."""

    def __init__(self, root: Path, *, seal_seconds: float = 0.5, durability: Durability = "process") -> None:
        """Create a fresh journal below `root`.

        Args:
            root: The folder of all journals.
            seal_seconds: Age at which `tick` seals a segment, so that it can be shipped.
            durability: Whether an append survives this process ("process") or also a loss of power ("group").

        Raises:
            JournalError: The folder can not be written.
        """
        self.id = uuid.uuid4().hex
        self._root, self._seal_seconds = root, seal_seconds
        self._group = GroupCommit(self._sync) if durability == "group" else None
        self._guard = threading.Lock()
        try:
            self._folder, self._lock = _locked_folder(root, self.id)
            self._segment = OpenSegment(self._folder, 1)
            self._sync_names(self._folder, root)
        except OSError as error:
            raise JournalError(f"journal folder {root} can not be written: {error.strerror}") from error
        self._written = 0
        self._contracts: set[str] = set()
        self._refusal = ""
        self._full = self._closed = False
        self.lost = False

    @property
    def trouble(self) -> str:
        """Why the next record is not likely to be taken; empty if it is."""
        return self._refusal or ("the journal has no room" if self._full else "")

    @property
    def writable(self) -> bool:
        """Whether the next record is likely to be taken."""
        return not self.trouble

    def append(self, record: journal_pb2.JournalRecord, contract: Contract | None = None, *, rows: int) -> None:
        """Write one record; it is as safe as the journal's durability says when this returns.

        Args:
            record: What to remember.
            contract: The contract that the record refers to, if it does.
            rows: How many rows of a log table it makes.

        Raises:
            JournalError: The disk is full or gone, or the journals are over their quota: nothing may be answered.
        """
        written = frame(record.SerializeToString())
        with self._guard:
            if self._segment.bytes > MAXIMUM_SEGMENT_BYTES:
                self._seal()
            if self._refusal:
                raise JournalError(self._refusal)
            if contract is not None and contract.digest not in self._contracts:
                written = frame(_contract_record(contract)) + written
                self._contracts.add(contract.digest)
            try:
                self._segment.write(written, rows)
            except OSError as error:
                self._full = True
                self._contracts.clear()
                raise JournalError(f"the journal can not be written: {error.strerror}") from error
            self._full = False
            self._written = place = self._written + 1
        if self._group is not None:
            self._group.wait(place)

    def tick(self) -> None:
        """Seal a segment that is old enough; find out whether writing is possible and permitted."""
        with self._guard:
            if self._closed or self.lost:
                return
            if self._segment.removed:
                self._lose("its file was removed")
                return
            if self._segment.bytes and self._segment.age_seconds >= self._seal_seconds:
                self._seal()
            if self._full:
                self._full = not self._segment.has_room()
            is_over = (self._root / OVER_QUOTA_FILE).exists()
            self._refusal = "the journals are over their quota" if is_over else ""

    def close(self) -> None:
        """Seal what is written and give the journal free; appending is over.

        What can not be sealed stays as after the death of its writer, and the journal is lost.
        """
        with self._guard:
            if self._closed:
                return
            self._closed = True
            if self.lost:
                self._segment.close()
            else:
                self._refusal = "the journal is closed"
                self._seal_or_lose(self._segment)
            os.close(self._lock)

    def _seal(self) -> None:
        # The next file is opened before this one is given away: on a full disk that fails and this one goes on.
        try:
            following = OpenSegment(self._folder, self._segment.number + 1)
        except OSError:
            self._full = True
            return
        before, self._segment = self._segment, following
        self._contracts.clear()
        self._seal_or_lose(before)

    def _seal_or_lose(self, segment: OpenSegment) -> None:
        try:
            segment.seal(sync=self._group is not None)
            self._sync_names(self._folder)
        except OSError as error:
            self._lose(str(error.strerror))

    def _lose(self, why: str) -> None:
        """Take nothing more: what would follow could not be trusted. Only a new journal helps."""
        self.lost, self._refusal = True, f"the journal is lost: {why}"

    def _sync(self) -> int:
        with self._guard:
            if self.lost:
                raise JournalError(self._refusal)
            if self._closed:
                return self._written
            try:
                # Another handle: sealing may close the segment's own meanwhile, after a sync of its own.
                written, handle = self._written, self._segment.duplicate_handle()
            except OSError as error:
                self._lose(str(error.strerror))
                raise JournalError(self._refusal) from error
        try:
            os.fdatasync(handle)
        except OSError as error:
            # The kernel has dropped the pages that it could not write: another sync would succeed and mean nothing.
            with self._guard:
                self._lose(str(error.strerror))
            raise JournalError(self._refusal) from error
        finally:
            os.close(handle)
        return written

    def _sync_names(self, *folders: Path) -> None:
        """Make the names in these folders as safe as the records."""
        if self._group is None:
            return
        for folder in folders:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _contract_record(contract: Contract) -> bytes:
    entry = journal_pb2.ContractRecord(digest=contract.digest, json=contract.to_json())
    return journal_pb2.JournalRecord(contract=entry).SerializeToString()


def _locked_folder(root: Path, journal_id: str) -> tuple[Path, int]:
    # Renamed into place only when it is locked: an unlocked journal is a dead one.
    root.mkdir(parents=True, exist_ok=True)
    room, folder = root / f".new-{journal_id}", root / journal_id
    room.mkdir()
    lock = os.open(room / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    room.rename(folder)
    return folder, lock
