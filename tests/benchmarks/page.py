"""What the reports of all benchmarks share: Markdown tables, the facts of the machine, and sections of a page."""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def markers(name: str) -> tuple[str, str]:
    """Return the lines between which a benchmark writes."""
    return f"<!-- {name}: begin (written by make {name}) -->", f"<!-- {name}: end -->"


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what stands between a benchmark's markers of a page.

    Raises:
        ValueError: The page has no such markers.
    """
    begin, end = markers(name)
    content = page.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(content):
        raise ValueError(f"{page.name} has no section {begin}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", content))


def about(name: str, arguments: list[str], *, cores: int, libraries: Sequence[str]) -> dict[str, str]:
    """Return where and with what was measured."""
    return {
        "command": f"make {name}" + (f' ARGS="{" ".join(arguments)}"' if arguments else ""),
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": f"{_cpu()}, {cores} cores",
        "system": f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}",
        "load": f"load average of the machine before: {os.getloadavg()[0]:.1f}",
        "libraries": ", ".join(f"{library} {version(library)}" for library in libraries),
    }


def facts_line(facts: dict[str, str]) -> str:
    """Return `about` as one line."""
    where = "; ".join(facts[name] for name in ("cpu", "system", "libraries", "load"))
    return f"`{facts['command']}` on {facts['date']}; {where}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
