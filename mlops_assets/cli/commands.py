"""All commands, and what `mlops --help` says."""

import click

from mlops_assets.cli import automation, backtest, calls, keys, run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="mlops-assets", message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def commands(debug: bool) -> None:
    """Run, ask and steer the closed loop: data, training, gate, release, serving, labels, drift.

    \b
    Start here:
      mlops demo                         the whole loop on real flights, about seven minutes
      mlops up                           Dagster, MLflow and the gRPC server, until Ctrl-C
      mlops retrain flight_delay         train, and promote if the gate agrees
      mlops predict flight_delay -       score rows (CSV or JSON lines) from standard input
      mlops backtest flight_delay        which retraining policy would have been the best
      mlops status                       what is in production, what the last windows said

    State lives in the folder MLOPS_HOME (default .mlops). Every command reads it from there.
    """  # noqa: D301  (click's mark for lines to leave as they are is a backspace)


for command in (*run.COMMANDS, *calls.COMMANDS, *automation.COMMANDS, *keys.COMMANDS, *backtest.COMMANDS):
    commands.add_command(command)
