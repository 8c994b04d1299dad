"""Files that appear whole or not at all, and reads that a hostile folder can not turn against the reader."""

import os
import tempfile
from pathlib import Path


def create_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file unless it is there: of several writers exactly one succeeds. It survives a power cut.

    Raises:
        FileExistsError: It is there already.
    """
    temporary = _written_beside(path, content, mode)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
    _sync_folder(path.parent)


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file, or put it in the place of the one that is there. It survives a power cut."""
    _written_beside(path, content, mode).rename(path)
    _sync_folder(path.parent)


def read_bounded(path: Path, limit: int) -> bytes:
    """Read a file that somebody else may have put there: no link is followed, no pipe waited for.

    Returns:
        The content, cut off one byte beyond `limit`.

    Raises:
        OSError: It can not be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        return file.read(limit + 1)


def _written_beside(path: Path, content: bytes, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        Path(temporary).unlink()
        raise
    return Path(temporary)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
