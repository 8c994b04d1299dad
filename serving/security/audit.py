"""An append-only log of who tried to change what, when, and what came of it: one JSON object a line."""

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from serving.errors import AuditError

_MAXIMUM_TEXT = 500


class AuditLog:
    """Appends to one file, also from several processes at once; each line is on disk when its call returns.

    A call that is carried out has two lines with the same `call`: ACCEPTED before, so that nothing happens that is not
    in the log, and its status afterwards. A call that is not carried out has one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def accept(self, *, who: str, what: str, peer: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Write that a call is about to be carried out, and return the entry for `close`.

        Raises:
            AuditError: It can not be written; the call must not be carried out.
        """
        entry = {"call": uuid.uuid4().hex, "who": who, "what": what, "peer": peer, "arguments": _shortened(arguments)}
        self._append(entry, "ACCEPTED")
        return entry

    def close(self, entry: dict[str, Any], outcome: str) -> None:
        """Write what came of it, the name of a gRPC status.

        Raises:
            AuditError: It can not be written.
        """
        self._append(entry, outcome)

    def refuse(self, *, who: str, what: str, peer: str, outcome: str) -> None:
        """Write that a call was not carried out.

        Raises:
            AuditError: It can not be written.
        """
        self._append({"call": uuid.uuid4().hex, "who": who, "what": what, "peer": peer}, outcome)

    def _append(self, entry: dict[str, Any], outcome: str) -> None:
        line = json.dumps({"at": datetime.now(UTC).isoformat(), **entry, "outcome": outcome}).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Opened anew each time, so that the file can be rotated by renaming it.
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                if os.write(handle, line) != len(line):
                    raise OSError("the disk is full")
                os.fdatasync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise AuditError(f"the audit log can not be written: {error.strerror or error}") from error


def _shortened(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: value[:_MAXIMUM_TEXT] if isinstance(value, str) else value for name, value in arguments.items()}
