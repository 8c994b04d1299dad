"""Release stores that sign with the key of their home, as every promotion does, and the keys that servers trust."""

from pathlib import Path

from serving.formats.release import ReleaseStore
from serving.formats.signature import TrustedKeys, signing_key


def signing_store(home: Path) -> ReleaseStore:
    """Return the release store of a home; the home's key is made at the first promotion."""

    def sign(bundles: Path, digest: str) -> None:
        signing_key(None, home / "keys").sign(bundles, digest)

    return ReleaseStore(home / "release_store", sign=sign)


def trusted_keys(home: Path) -> TrustedKeys:
    """Return the keys that the server of a home trusts."""
    return TrustedKeys(home / "keys" / "trusted")
