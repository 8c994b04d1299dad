"""The one file of a journal that is being written."""

import errno
import os
import time
from pathlib import Path

from serving.journal.segment import open_path, sealed_path

_PROBE_BYTES = 64 * 1024


class OpenSegment:
    """A file that holds whole records only; the journal that owns it serializes all calls."""

    def __init__(self, folder: Path, number: int) -> None:
        """Create the file.

        Raises:
            OSError: There is no room, or the folder is gone.
        """
        self.number = number
        self._folder = folder
        self._path = open_path(folder, number)
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self.bytes = self.rows = 0
        self._torn = False
        self._began_at = time.monotonic()

    @property
    def age_seconds(self) -> float:
        """Time since the first record, or since the creation of an empty one."""
        return time.monotonic() - self._began_at

    @property
    def removed(self) -> bool:
        """Whether somebody removed the file: writes would succeed and be gone."""
        return not os.fstat(self._handle).st_nlink

    def write(self, data: bytes, rows: int) -> None:
        """Add records, all or nothing.

        Raises:
            OSError: Nothing was added.
        """
        if self._torn:
            self._cut()
        try:
            n_written = os.write(self._handle, data)
            if n_written < len(data):
                _write_all(self._handle, data[n_written:])
        except OSError:
            self._torn = True
            raise
        if not self.bytes:
            self._began_at = time.monotonic()
        self.bytes += len(data)
        self.rows += rows

    def has_room(self) -> bool:
        """Try to write a little and take it back."""
        try:
            self._cut()
            self._torn = True
            _write_all(self._handle, bytes(_PROBE_BYTES))
            self._cut()
        except OSError:
            return False
        return True

    def duplicate_handle(self) -> int:
        """Return another handle of the file; the caller closes it."""
        return os.dup(self._handle)

    def seal(self, *, sync: bool) -> None:
        """Give the file its final name, or remove it if it is empty.

        Raises:
            OSError: It keeps the name of an open one, as after the death of its writer.
        """
        try:
            if self._torn:
                self._cut()
            if not self.bytes:
                self._path.unlink()
                return
            if sync:
                os.fdatasync(self._handle)
            self._path.rename(sealed_path(self._folder, self.number, rows=self.rows))
        finally:
            self.close()

    def close(self) -> None:
        """Leave the file as it is."""
        os.close(self._handle)

    def _cut(self) -> None:
        """Remove what a failed write has left, before anything else is done with the file."""
        os.ftruncate(self._handle, self.bytes)
        os.lseek(self._handle, self.bytes, os.SEEK_SET)
        self._torn = False


def _write_all(handle: int, data: bytes) -> None:
    while data:
        n_written = os.write(handle, data)
        if not n_written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        data = data[n_written:]
