"""The command `mlops`. A user's mistake gets one line that names the thing and the mend, never a traceback."""

import sys

import click

from mlops_assets.cli import interruption
from mlops_assets.errors import MlopsError
from serving.errors import ServingError


def main() -> None:
    """Run the command line; exit code 1 for errors, 2 for wrong usage, 130 after Ctrl-C."""
    interruption.listen()
    try:
        # Seconds on a busy machine: a Ctrl-C that comes meanwhile is not lost.
        from mlops_assets.cli.commands import commands

        interruption.check()
        commands(prog_name="mlops", standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.exceptions.NoArgsIsHelpError as asked:
        asked.show()
        sys.exit(asked.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        mend = f"; see `{context.command_path} --help`" if context else ""
        click.echo(f"mlops: {error.format_message().rstrip('.')}{mend}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped", err=True)
        sys.exit(130)
    except (MlopsError, ServingError, OSError) as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"mlops: {_one_line(error)}", err=True)
        sys.exit(1)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())
