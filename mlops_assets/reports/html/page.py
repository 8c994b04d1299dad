"""Self-contained pages: templates with autoescape, pictures inside, nothing loaded from anywhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mlops_assets.reports.html import wording

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent.parent / "templates"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure in a page.

    Attributes:
        png: The figure.
        alt: What it shows, for people who do not see it.
        title: Heading above it.
        caption: How to read it.
    """

    png: bytes
    alt: str
    title: str = ""
    caption: str = ""

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One figure of the headline; `state` is good, warn, bad or neutral."""

    title: str
    value: str
    note: str = ""
    state: str = "neutral"


def render(template: str, **values: Any) -> str:
    """Fill a template; every value is escaped."""
    return _environment().get_template(template).render(**values)


def write_html(path: Path, text: str) -> Path:
    """Write a page so that readers see the old or the new one, never a half.

    Args:
        path: Where; missing folders are made.
        text: The page.

    Returns:
        The path.

    Raises:
        OSError: No space or no permission; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        temporary.write_bytes(text.encode("utf-8", "replace"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def counted(number: object, noun: str) -> str:
    """Return "1 window", "2 windows"."""
    return f"{wording.count(number)} {noun if wording.as_float(number) == 1 else noun + 's'}"


def joined(parts: Sequence[str]) -> str:
    """Join the parts that are not empty by middle dots."""
    return " · ".join(part for part in parts if part)


def period(start: object, end: object) -> str:
    """Return a window as text."""
    return f"{wording.minute(start)} to {wording.minute(end)}, end excluded"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (
        "number",
        "count",
        "percent",
        "points",
        "p_value",
        "seconds",
        "day",
        "minute",
        "text",
        "fact",
        "words",
        "state",
    )
    environment.filters.update({f"as_{name}": getattr(wording, name) for name in filters})
    return environment
