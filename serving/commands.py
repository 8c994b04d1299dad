"""The commands beside serving: tokens, certificates for development, and journals that were damaged."""

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from serving.errors import JournalError, SettingsError
from serving.journal.salvage import salvage
from serving.security.certificates import create_certificates
from serving.security.identity import GRANTED_SCOPES
from serving.security.tokens import create_token, read_tokens, revoke_token
from serving.settings import load_settings, variable_of


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of `python -m serving`; the chosen one is `run` of what it parses."""
    groups = parser.add_subparsers(title="other commands", metavar="tokens|certificates|journal")
    _add_tokens(groups)
    _add_certificates(groups)
    _add_journal(groups)


def _add_tokens(groups: Any) -> None:
    where = f"The file is the one that {variable_of('tokens')} names."
    group = groups.add_parser("tokens", help="create, list and revoke bearer tokens", description=where)
    commands = group.add_subparsers(required=True, metavar="create|list|revoke")
    create = commands.add_parser("create", help="make a token and print it, this once")
    create.add_argument("--name", required=True, help="whose it is; stands in logs and limits")
    create.add_argument("--scopes", required=True, help=f"some of {', '.join(GRANTED_SCOPES)}; separated by commas")
    create.add_argument("--days", type=float, help="until it expires; without: when it is revoked")
    create.set_defaults(run=_create_token)
    commands.add_parser("list", help="show who has which").set_defaults(run=_list_tokens)
    revoke = commands.add_parser("revoke", help="make one worthless")
    revoke.add_argument("id", help="as `list` shows it")
    revoke.set_defaults(run=_revoke_token)


def _add_certificates(groups: Any) -> None:
    group = groups.add_parser("certificates", help="make certificates for development")
    commands = group.add_subparsers(required=True, metavar="create")
    create = commands.add_parser("create", help="write ca, server and client as .crt and .key")
    create.add_argument("folder", type=Path, help="an authority (ca) that is there already signs the new ones")
    create.add_argument("--hosts", default="localhost,127.0.0.1", help="what clients call the server [%(default)s]")
    create.add_argument("--days", type=float, default=90, help="until they expire [%(default)s]")
    create.set_defaults(run=_create_certificates)


def _add_journal(groups: Any) -> None:
    group = groups.add_parser("journal", help="repair journals")
    commands = group.add_subparsers(required=True, metavar="salvage")
    command = commands.add_parser("salvage", help="give the good records of a quarantined segment to the shipper")
    command.add_argument("file", type=Path, help="the segment; it stays as it is")
    command.set_defaults(run=_salvage)


def _salvage(arguments: argparse.Namespace) -> None:
    try:
        saved = salvage(arguments.file, load_settings().journals)
    except JournalError as error:
        raise SettingsError(str(error)) from error
    print(f"{saved.rows} rows go to the lake as journal {saved.journal.name}; {saved.lost_bytes} bytes are lost.")


def _create_token(arguments: argparse.Namespace) -> None:
    scopes = [word.strip() for word in arguments.scopes.split(",")]
    lifetime = _days(arguments.days) if arguments.days is not None else None
    text, token = create_token(_token_file(), name=arguments.name, scopes=scopes, lifetime=lifetime)
    until = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "until it is revoked"
    print(f"The token of {token.name} (id {token.id}), good {until}. It is stored nowhere: keep it.", file=sys.stderr)
    print(text)


def _list_tokens(_arguments: argparse.Namespace) -> None:
    for token in read_tokens(_token_file()):
        until = f"{token.expires_at:%Y-%m-%d %H:%M}" if token.expires_at else "revoked"
        print(f"{token.id}  {token.name:24} {','.join(token.scopes):32} until {until}")


def _revoke_token(arguments: argparse.Namespace) -> None:
    token = revoke_token(_token_file(), arguments.id)
    print(f"The token {token.id} of {token.name} is worthless now; running servers notice within two seconds.")


def _create_certificates(arguments: argparse.Namespace) -> None:
    hosts = [host.strip() for host in arguments.hosts.split(",")]
    for path in create_certificates(arguments.folder, hosts, lifetime=_days(arguments.days)):
        print(path)


def _token_file() -> Path:
    path = load_settings().tokens
    if path is None:
        raise SettingsError(f"set {variable_of('tokens')} to the file that holds the tokens")
    return path


def _days(count: float) -> timedelta:
    try:
        lifetime = timedelta(days=count)
    except (OverflowError, ValueError):
        lifetime = timedelta()
    if not timedelta() < lifetime < timedelta(days=36_500):
        raise SettingsError(f"--days {count:g}: more than 0 and less than 36500 are possible")
    return lifetime
