"""`mlops keys`: who may vouch for bundles. docs/how-to/rotate-signing-keys.md walks through a rotation."""

from pathlib import Path
from typing import Any

import click

from mlops_assets.errors import OperationError
from mlops_assets.settings import settings
from serving.errors import BundleError, BundleUnreadableError
from serving.formats.bundle import open_bundle
from serving.formats.release import Deployed, ReleaseStore
from serving.formats.signature import TRUSTED_FOLDER, SigningKey, TrustedKeys, signing_key


@click.group()
def keys() -> None:
    """Make, use and retire the keys that sign what is promoted."""


@keys.command("list")
def list_keys() -> None:
    """List the trusted keys and who vouches for what."""
    trusted, own = _trusted(), _signing_key().id
    if own not in trusted.ids:
        click.echo(f"{own}  signs, NOT TRUSTED: no public key in {trusted.folder}")
    for identity in trusted.ids:
        click.echo(f"{identity}  {'signs' if identity == own else 'vouches for earlier bundles'}")
    store = _store()
    for model in store.models():
        for deployed in _routed(store, model):
            signers = ", ".join(trusted.signers(store.bundles, deployed.bundle))
            click.echo(f"{model} version {deployed.version}: {signers or 'NOT SIGNED by a trusted key'}")


@keys.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def create(path: Path) -> None:
    """Make a key pair.

    The private key goes to PATH, the public one among the home's trusted keys. It signs nothing until
    MLOPS_SIGNING_KEY names it.
    """
    try:
        key = SigningKey.create(path)
    except FileExistsError:
        raise OperationError(f"{path} exists; a key is never written over") from None
    public = key.publish(_trusted().folder)
    click.echo(f"key {key.id}\n  private: {path}\n  public:  {public}")


@keys.command()
@click.argument("models", nargs=-1)
@click.option("--vouch", is_flag=True, help="Also sign versions without a trusted signature: you vouch for them.")
def sign(models: tuple[str, ...], vouch: bool) -> None:
    """Sign with the present key what has been in routing.

    That is of all models, unless some are named. Only bundles that are whole and carry a trusted signature are signed.
    """
    store, trusted, key = _store(), _trusted(), _signing_key()
    refused = []
    if unknown := set(models) - set(store.models()):
        raise OperationError(f"no releases of {', '.join(sorted(unknown))}; there are: {', '.join(store.models())}")
    for model in models or store.models():
        for deployed in _ever_routed(store, model):
            try:
                open_bundle(store.bundles, deployed.bundle)
                if not vouch:
                    trusted.verify(store.bundles, deployed.bundle)
                key.sign(store.bundles, deployed.bundle)
                click.echo(f"{model} version {deployed.version}: signed by {key.id}")
            except BundleUnreadableError as error:
                click.echo(f"{model} version {deployed.version}: left out, {error}")
            except BundleError as error:
                refused.append(f"{model} version {deployed.version}: {error}")
    if refused:
        raise OperationError("; ".join(refused) + "; if you know where they came from: `mlops keys sign --vouch`")


@keys.command()
@click.argument("identity", metavar="KEY_ID")
def retire(identity: str) -> None:
    """Trust a key no longer.

    Its public key leaves the home's trusted keys.
    """
    store, trusted = _store(), _trusted()
    if identity not in trusted.ids:
        raise OperationError(f"no key {identity!r} in {trusted.folder}; `mlops keys list` shows them")
    if identity == _signing_key().id:
        raise OperationError(f"key {identity} signs; let MLOPS_SIGNING_KEY name another one first")
    for model in store.models():
        for deployed in _routed(store, model):
            if trusted.signers(store.bundles, deployed.bundle) == [identity]:
                raise OperationError(
                    f"only key {identity} vouches for {model} version {deployed.version}; run `mlops keys sign` first"
                )
    for path in trusted.files(identity):
        path.unlink()
        click.echo(f"{path} removed; servers with trusted keys of their own keep theirs")


def _routed(store: ReleaseStore, model: str) -> list[Deployed]:
    latest = store.latest(model)
    return _sorted(latest.routing.versions if latest else frozenset())


def _ever_routed(store: ReleaseStore, model: str) -> list[Deployed]:
    return _sorted(frozenset().union(*(release.routing.versions for release in store.history(model))))


def _sorted(versions: frozenset[Deployed]) -> list[Deployed]:
    return sorted(versions, key=lambda deployed: (len(deployed.version), deployed.version))


def _store() -> ReleaseStore:
    return ReleaseStore(settings().release_store)


def _trusted() -> TrustedKeys:
    return TrustedKeys(settings().home_keys / TRUSTED_FOLDER)


def _signing_key() -> SigningKey:
    return signing_key(settings().signing_key, settings().home_keys)


COMMANDS: tuple[Any, ...] = (keys,)
