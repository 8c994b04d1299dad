"""The journal of one worker: what is answered is written here first.

A written record survives the death of the process. A folder `<journals>/<journal id>/` belongs to the process that
holds the lock in it; when the lock is free its writer is dead.
"""

import errno
import fcntl
import os
import threading
import time
import uuid
from pathlib import Path

from protos.mlops.v1 import journal_pb2
from serving.errors import JournalError
from serving.formats.contract import Contract
from serving.journal.segment import frame, segment_path

LOCK_FILE = "lock"
MAXIMUM_SEGMENT_BYTES = 32 * 1024 * 1024
_PROBE_BYTES = 64 * 1024


class Journal:
    """Appends records in one order; safe to call from many threads."""

    def __init__(self, root: Path, *, seal_seconds: float = 0.5) -> None:
        """Create a fresh journal below `root`.

        Raises:
            JournalError: The folder can not be written.
        """
        self.id = uuid.uuid4().hex
        self._seal_seconds = seal_seconds
        self._guard = threading.Lock()
        try:
            self._folder, self._lock = _locked_folder(root, self.id)
            self._number = 1
            self._handle = self._create(self._number)
        except OSError as error:
            raise JournalError(f"journal folder {root} can not be written: {error.strerror}") from error
        self._bytes = 0
        self._opened_at = time.monotonic()
        self._contracts: set[str] = set()
        self._closed = False
        self.writable = True
        self.lost = False

    def append(self, record: journal_pb2.JournalRecord, contract: Contract | None = None) -> None:
        """Write one record; it is safe from the death of this process when this returns.

        Args:
            record: What to remember.
            contract: The contract that the record refers to, if it does.

        Raises:
            JournalError: Nothing was written; the disk is full or gone.
        """
        written = frame(record.SerializeToString())
        with self._guard:
            if self._closed or self.lost:
                raise JournalError(f"the journal in {self._folder.parent} is {'lost' if self.lost else 'closed'}")
            if self._bytes > MAXIMUM_SEGMENT_BYTES:
                self._seal()
            if contract is not None and contract.digest not in self._contracts:
                self._write(frame(_contract_record(contract)) + written)
                self._contracts.add(contract.digest)
            else:
                self._write(written)

    def tick(self) -> None:
        """Seal a segment that is old enough; after a failed write, find out whether writing is possible again."""
        with self._guard:
            if self._closed or self.lost:
                return
            if not os.fstat(self._handle).st_nlink:
                # Somebody removed the file: writes would succeed and be gone. Only a new journal helps.
                self.writable, self.lost = False, True
                return
            if self._bytes and time.monotonic() - self._opened_at >= self._seal_seconds:
                self._seal()
            if not self.writable:
                self._probe()

    def close(self) -> None:
        """Seal what is written and give the journal free; appending is over."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            path = segment_path(self._folder, self._number, sealed=False)
            os.close(self._handle)
            if self.lost:
                return
            if self._bytes:
                path.rename(segment_path(self._folder, self._number, sealed=True))
            else:
                path.unlink()
            os.close(self._lock)

    def _create(self, number: int) -> int:
        return os.open(segment_path(self._folder, number, sealed=False), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)

    def _seal(self) -> None:
        # The next file is opened before this one is given away: on a full disk that fails and this one goes on.
        try:
            handle = self._create(self._number + 1)
        except OSError:
            self.writable = False
            return
        old = segment_path(self._folder, self._number, sealed=False)
        old.rename(segment_path(self._folder, self._number, sealed=True))
        os.close(self._handle)
        self._handle, self._number, self._bytes = handle, self._number + 1, 0
        self._opened_at = time.monotonic()
        self._contracts.clear()

    def _write(self, data: bytes) -> None:
        try:
            _write_all(self._handle, data)
        except OSError as error:
            self.writable = False
            self._cut()
            raise JournalError(f"the journal in {self._folder.parent} can not be written: {error.strerror}") from error
        if not self._bytes:
            self._opened_at = time.monotonic()
        self._bytes += len(data)
        self.writable = True

    def _probe(self) -> None:
        try:
            _write_all(self._handle, bytes(_PROBE_BYTES))
            self.writable = True
        except OSError:
            self.writable = False
        self._cut()

    def _cut(self) -> None:
        os.ftruncate(self._handle, self._bytes)
        os.lseek(self._handle, self._bytes, os.SEEK_SET)


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


def _write_all(handle: int, data: bytes) -> None:
    written = os.write(handle, data)
    while written < len(data):
        more = os.write(handle, data[written:])
        if not more:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += more
