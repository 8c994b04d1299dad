"""The command `mlops`. A user's mistake gets one line that names the thing and the mend, never a traceback."""

import errno
import sys

import click

from mlops_assets.cli import interruption
from mlops_assets.errors import MlopsError
from serving.errors import ServingError

_ELSEWHERE = "or let MLOPS_HOME name a folder elsewhere"
_MENDS = {
    errno.ENOSPC: f"free some space on that disk, {_ELSEWHERE}",
    errno.EDQUOT: f"free some space of this user's, {_ELSEWHERE}",
    errno.EROFS: f"mount that disk for writing, {_ELSEWHERE}",
    errno.EACCES: f"give this user the right to it, {_ELSEWHERE}",
}


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
    except Exception as error:  # the edge of the process
        if "--debug" in sys.argv:
            raise
        click.echo(f"mlops: {' '.join(_told(error).split())}", err=True)
        sys.exit(1)


def _told(error: Exception) -> str:
    if isinstance(error, (MlopsError, ServingError)):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        return f"{what}; {_MENDS[error.errno]}" if error.errno in _MENDS else what
    return f"{type(error).__name__}: {error}; a fault in mlops or in a spec: `mlops --debug ...` shows where"
