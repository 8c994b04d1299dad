"""`python -m serving`: start the server, or run one of the commands beside it."""

import argparse
import sys

from serving.build import server_version
from serving.commands import add_commands
from serving.errors import SettingsError
from serving.lifeline import keep_pandas_out
from serving.logs import configure_logging
from serving.settings import ServingSettings, load_settings, variable_of
from serving.supervisor import Supervisor


def main() -> int:
    """Serve until SIGTERM or SIGINT, or run a command; returns 2 for a setting that can not be used."""
    arguments = _parser().parse_args()
    try:
        if "run" in arguments:
            arguments.run(arguments)
            return 0
        keep_pandas_out()
        settings = load_settings()
        configure_logging(settings.log_format, role="supervisor")
        supervisor = Supervisor(settings)
    except SettingsError as error:
        print(f"serving: {error}", file=sys.stderr)
        return 2
    return supervisor.run()


def _parser() -> argparse.ArgumentParser:
    lines = [
        f"  {variable_of(name):34} {field.description} {_default(field.default)}".rstrip()
        for name, field in ServingSettings.model_fields.items()
    ]
    parser = argparse.ArgumentParser(
        prog="python -m serving",
        description="Serve the promoted version of every model over gRPC until SIGTERM or Ctrl-C.",
        epilog="environment variables:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=server_version())
    add_commands(parser)
    return parser


def _default(value: object) -> str:
    return f"[{value}]" if isinstance(value, int | float | str) or type(value).__module__ == "pathlib" else ""


if __name__ == "__main__":
    sys.exit(main())
