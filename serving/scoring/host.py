"""Keeps the promoted version of every model loaded: follows the release chains and swaps, and finds older versions."""

import logging
import math
import time
from dataclasses import replace

from serving.complaints import Complaints
from serving.errors import BundleError, ModelNotFoundError, ModelUnavailableError, ReleaseError, ServingError
from serving.formats.release import Release, ReleaseStore, require_model_name
from serving.metrics import STALE, SWAP_SECONDS
from serving.scoring.history import Placement, ReleaseHistory
from serving.scoring.last_known_good import LastKnownGood
from serving.scoring.loading import LOOK_AGAIN_SECONDS, LoadedModel, ModelLoader
from serving.scoring.versions import PinnedVersions

_log = logging.getLogger(__name__)


class ModelHost:
    """Gives the version that answers a call; `poll` is called by one thread, everything else by all.

    A swap is one assignment. Calls that began with the old version hold it to their end; the last one frees it.
    """

    def __init__(
        self, store: ReleaseStore, cache: LastKnownGood, loader: ModelLoader, *, pinned_versions: int = 4
    ) -> None:
        self._store, self._cache, self._loader = store, cache, loader
        self._history = ReleaseHistory(store)
        self._pinned = PinnedVersions(loader, store.bundles, capacity=pinned_versions)
        self._loaded: dict[str, LoadedModel] = {}
        self._seen: dict[str, int] = {}
        self._remembered = frozenset(release.model for release in cache.releases())
        self._retry_at: dict[str, float] = {}
        self._complaints = Complaints(_log)

    def model(self, name: str, version: str = "") -> LoadedModel:
        """Return the version that answers; a call keeps it to its end.

        Args:
            name: The model.
            version: A version that the release chain has had in routing; empty: the one in production.

        Raises:
            ModelUnavailableError: The model is known, but no version of it is loaded, or its chain is away.
            ModelNotFoundError: No release of the model or of the version was ever seen.
            BundleError: The named version is refused.
        """
        loaded = self._loaded.get(name)
        if loaded is not None and (not version or version == loaded.version):
            return loaded
        if version and self._history.knows(name):
            return self._pinned.get(name, self._history.placement(name, version))
        if self.knows(name):
            why = "its release chain is away, so earlier versions are not known" if version else "no version is loaded"
            raise ModelUnavailableError(f"{name}: {why}")
        require_model_name(name)
        raise ModelNotFoundError(f"no model {name!r} here")

    def knows(self, name: str) -> bool:
        """Return whether there is, or was, a release chain of that name."""
        return name in self._seen

    def placement(self, model: LoadedModel) -> Placement | None:
        """Return how a version came into routing, or None while the release store has been away since the start."""
        try:
            return self._history.placement(model.name, model.version)
        except ModelNotFoundError:
            return None

    @property
    def names(self) -> list[str]:
        """The models that are being answered."""
        return sorted(self._loaded)

    def poll(self) -> None:
        """Look for new releases once and follow them; a store or a model that is broken never stops the others."""
        known = self._remembered.union(self._seen)
        try:
            if not (self._store.root / "releases").is_dir():
                raise ReleaseError("there are no releases")
            names = self._store.models()
        except (OSError, ReleaseError) as error:
            self._complaints.say("release store", f"{self._store.root}: {error}")
            for name in known:
                self._fall_back(name)
            return
        self._complaints.mended("release store")
        for name in sorted(known.union(names)):  # also those whose chain has gone
            self._follow(name)

    def _follow(self, name: str) -> None:
        began = time.monotonic()
        try:
            release = self._news(name)
            if release is None:
                return
            if self._apply(release):
                SWAP_SECONDS.labels(name).observe(time.monotonic() - began)
                self._cache.keep(release, self._store.bundles)
            self._complaints.mended(name)
            self._retry_at.pop(name, None)
        except (OSError, ServingError) as error:
            self._complaints.say(name, f"{error}; what answered before goes on")
            self._fall_back(name)

    def _news(self, name: str) -> Release | None:
        """Return the present release if it was not followed yet, or is to be tried again."""
        seen = self._seen.get(name, 0)
        generation = self._store.latest_generation(name, known=seen)
        if not generation and name in self._remembered:
            raise ReleaseError(f"{name}: its release chain has gone")
        if generation == seen and time.monotonic() < self._retry_at.get(name, math.inf):
            return None
        release = self._store.read(name, generation)
        self._seen[name] = generation
        self._history.extend(release)
        return release

    def _apply(self, release: Release) -> bool:
        """Make a release's production version the answering one; says whether another version answers now."""
        name, production = release.model, release.routing.production
        present = self._loaded.get(name)
        if production is None:
            self._loaded.pop(name, None)
            self._cache.forget(name)
            STALE.labels(name).set(0)
            return False
        swapped = present is None or present.digest != production.bundle
        if present is None or swapped:
            self._loaded[name] = self._loader.load(self._store.bundles, name, production, generation=release.generation)
            _log.info("%s: version %s answers (generation %d)", name, production.version, release.generation)
        else:
            self._loaded[name] = replace(present, generation=release.generation)
        STALE.labels(name).set(0)
        return swapped

    def _fall_back(self, name: str) -> None:
        """Keep what answers, or load the last known good if nothing does; look at the store again in a while."""
        if self._retry_at.get(name, 0.0) > time.monotonic():
            return
        self._retry_at[name] = time.monotonic() + LOOK_AGAIN_SECONDS
        STALE.labels(name).set(1)
        release = self._cache.release(name)
        if name in self._loaded or release is None or release.routing.production is None:
            return
        production = release.routing.production
        try:
            self._loaded[name] = self._loader.load(self._cache.bundles, name, production, generation=release.generation)
        except BundleError as error:
            self._complaints.say(f"{name} in the cache", str(error))
            return
        self._seen.setdefault(name, release.generation)
        _log.warning("%s: version %s answers from the cache", name, production.version)
