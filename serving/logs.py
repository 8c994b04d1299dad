"""How the server logs: one line an event on standard error, as text for people or as JSON for machines.

Events of the life cycle, refusals and failures; nothing for a call that is answered. Lines never carry a secret or a
value of a feature.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]


def configure_logging(log_format: LogFormat, *, role: str) -> None:
    """Log this process to standard error, which all processes of a server share.

    Args:
        log_format: One JSON object a line, or text.
        role: What this process is: supervisor, worker or shipper.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(role) if log_format == "json" else TextFormatter(role))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def fields(**values: object) -> dict[str, dict[str, object]]:
    """Return what to hand to a logger as `extra`, so that both formats show these fields; empty ones are left out."""
    return {"fields": {name: value for name, value in values.items() if value not in {"", 0}}}


def stack_of(error: BaseException) -> str:
    """Return where an error came from, without its text: that may hold what a client sent."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{frames}{type(error).__module__}.{type(error).__qualname__}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of an event."""
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "role": self._role,
            "pid": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


class TextFormatter(logging.Formatter):
    """One line for people; fields stand behind the message."""

    def __init__(self, role: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)s {role}[%(process)d] %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  (the name is logging's)
        """Return the line of an event, without the lines of an exception."""
        # As JSON, so that what a client chose can not begin a line of its own.
        shown = [f" {name}={json.dumps(value)}" for name, value in getattr(record, "fields", {}).items()]
        return super().formatMessage(record) + "".join(shown)
