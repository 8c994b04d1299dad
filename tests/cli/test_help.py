"""`--help` of every command is laid out for a terminal of 80 columns."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from mlops_assets.cli.commands import commands

LAID_OUT = {
    (): ["    mlops demo                    the whole loop on real flights, some minutes"],
    ("backtest",): [
        "    drift-no-seasonal    drift, features declared seasonal not counted",
        "    'drift+accuracy[drift.consecutive_windows=2;gate.metric=auc]'",
    ],
}


def every_command(command: click.Command = commands, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, part in getattr(command, "commands", {}).items():
        yield from every_command(part, (*path, name))


def help_of(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(commands, [*path, "--help"], prog_name="mlops", env={"COLUMNS": "80"})
    assert result.exit_code == 0
    return result.output


@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_help_fits_a_terminal_and_no_summary_is_cut_short(path: tuple[str, ...]):
    shown = help_of(path)
    assert shown.startswith(" ".join(["Usage: mlops", *path]))
    assert "\\b" not in shown
    assert [line for line in shown.splitlines()[1:] if len(line) > 80 or line.endswith("...")] == []


@pytest.mark.parametrize(("path", "lines"), LAID_OUT.items(), ids=["mlops", "backtest"])
def test_what_is_laid_out_keeps_its_lines(path: tuple[str, ...], lines: list[str]):
    assert set(lines) <= set(help_of(path).splitlines())
