"""The command `mlops`. A user's mistake gets one line that names the thing and the mend, never a traceback."""

import sys

import click

from mlops_assets.cli import automation, calls, keys, run
from mlops_assets.errors import MlopsError
from serving.errors import ServingError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def commands(debug: bool) -> None:
    r"""Run, ask and steer the closed loop: data, training, gate, release, serving, labels, drift.

    \b
    Start here:
      mlops demo                         the whole loop on real flights, about nine minutes
      mlops up                           Dagster, MLflow and the gRPC server, until Ctrl-C
      mlops retrain flight_delay         train, and promote if the gate agrees
      mlops predict flight_delay -       score rows (CSV or JSON lines) from standard input
      mlops status                       what is in production, what the last windows said

    State lives in the folder MLOPS_HOME (default .mlops). Every command reads it from there.
    """


for command in (*run.COMMANDS, *calls.COMMANDS, *automation.COMMANDS, *keys.COMMANDS):
    commands.add_command(command)


def main() -> None:
    """Run the command line; exit code 1 for errors, 2 for wrong usage, 130 after Ctrl-C."""
    try:
        commands(standalone_mode=False)
    except click.exceptions.Exit as leave:
        sys.exit(leave.exit_code)
    except click.ClickException as error:
        error.show()
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
