"""The release chain and the bundles as a Dagster resource."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from serving.formats.bundle import Bundle, open_bundle
from serving.formats.release import Release, ReleaseStore
from serving.formats.signature import signing_key


class ReleaseStoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What is in production, and the bundles it may point to."""

    root: str
    home_keys: str = Field(description="Folder of the home's own signing key, used where none is named.")
    signing_key: str | None = Field(None, description="Private key (Ed25519, PEM) that signs what is promoted.")

    @property
    def store(self) -> ReleaseStore:
        """The chain and the bundles; what enters the routing is signed."""
        return ReleaseStore(Path(self.root), sign=self._sign)

    def production_release(self, model: str) -> Release | None:
        """Return the newest entry if a version is in production, else None."""
        latest = self.store.latest(model)
        return latest if latest and latest.routing.production else None

    def production_bundle(self, model: str) -> Bundle | None:
        """Return the verified bundle in production, or None before the first promotion."""
        release = self.production_release(model)
        if release is None or release.routing.production is None:
            return None
        return open_bundle(self.store.bundles, release.routing.production.bundle)

    def _sign(self, bundles: Path, digest: str) -> None:
        named = Path(self.signing_key) if self.signing_key else None
        signing_key(named, Path(self.home_keys)).sign(bundles, digest)
