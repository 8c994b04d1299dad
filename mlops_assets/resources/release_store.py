"""The release chain and the bundles as a Dagster resource."""

from pathlib import Path

import dagster as dg

from serving.formats.bundle import Bundle, open_bundle
from serving.formats.release import Release, ReleaseStore


class ReleaseStoreResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """What is in production, and the bundles it may point to."""

    root: str

    @property
    def store(self) -> ReleaseStore:
        """The chain and the bundles."""
        return ReleaseStore(Path(self.root))

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
