"""The files in which the processes of a server share what they measure; prometheus_client maps them into memory.

The supervisor gives each child's files their room on the disk before the child starts: a write to a mapped page for
which a full disk has no room ends a process. A child that is started again goes on with the files it has.
"""

from pathlib import Path

PROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_NAME"
"""Names the files of a process; they are named after its id where it is not set."""

_KIB = 1024
_LIVE_BYTES = {"gauge_livemax": 64 * _KIB, "gauge_livemin": 64 * _KIB, "gauge_livesum": 64 * _KIB}
_BYTES = {"counter": 256 * _KIB, "histogram": 1024 * _KIB, **_LIVE_BYTES}
"""Room of a file, by kind. A version takes about 8 KiB of histograms; more than these files hold makes them grow."""


def reserve(folder: Path, process: str) -> None:
    """Make the files of one process, without a value.

    Raises:
        OSError: There is no room for them.
    """
    for kind, n_bytes in _BYTES.items():
        _file(folder, kind, process).write_bytes(bytes(n_bytes))


def end_gauges(folder: Path, process: str) -> None:
    """Take the gauges of a process that has ended out of what is shown; what it counted stays."""
    for kind in _LIVE_BYTES:
        with _file(folder, kind, process).open("r+b") as file:
            file.write(bytes(4))  # the library's count of the bytes in use


def _file(folder: Path, kind: str, process: str) -> Path:
    return folder / f"{kind}_{process}.db"
