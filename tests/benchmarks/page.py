"""What every benchmark writes: where it ran, Markdown tables, and its own section of `docs/benchmarks.md`."""

import os
import platform
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

# At import, because benchmarks pin themselves while they run.
N_CORES = len(os.sched_getaffinity(0))


def about(name: str, libraries: Sequence[str]) -> dict[str, str]:
    """Return where and with what was measured, by the make target of that name."""
    return {
        "command": _command(name, sys.argv[1:]),
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": f"{_cpu()}, {N_CORES} cores",
        "system": f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}",
        "load": f"load average of the machine before: {os.getloadavg()[0]:.1f}",
        "libraries": ", ".join(f"{library} {version(library)}" for library in libraries),
    }


def facts_line(facts: dict[str, str]) -> str:
    """Return the facts of a measurement as one line."""
    where = "; ".join(facts[name] for name in ("cpu", "system", "libraries", "load"))
    return f"`{facts['command']}` on {facts['date']}; {where}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def markers(name: str) -> tuple[str, str]:
    """Return the lines around the section that a make target writes."""
    return f"<!-- {name}: begin (written by make {name}) -->", f"<!-- {name}: end -->"


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of a make target.

    Raises:
        ValueError: The page has no such markers.
    """
    begin, end = markers(name)
    content = page.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(content):
        raise ValueError(f"{page.name} has no section {begin}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", content))


def _command(name: str, arguments: list[str]) -> str:
    return f"make {name}" + (f' ARGS="{" ".join(arguments)}"' if arguments else "")


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
