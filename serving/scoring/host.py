"""Keeps the promoted version of every model loaded: follows the release chains, verifies, warms up, swaps."""

import logging
import math
import time
from dataclasses import dataclass, replace
from functools import cached_property

from serving.errors import BundleError, ModelNotFoundError, ModelUnavailableError, ReleaseError, ServingError
from serving.formats.bundle import Bundle, Manifest, open_bundle
from serving.formats.contract import Contract
from serving.formats.release import Release, ReleaseStore, require_model_name
from serving.metrics import BUNDLE_FAILURES, STALE, SWAP_SECONDS
from serving.scoring.last_known_good import LastKnownGood
from serving.scoring.predictor import Predictor

_WARM_UP_CALLS = 5
_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """One version as it answers; never changed, only replaced as a whole."""

    name: str
    generation: int
    digest: str
    manifest: Manifest
    predictor: Predictor

    @cached_property
    def contract(self) -> Contract:
        """What every row must satisfy."""
        return self.manifest.contract

    @cached_property
    def version(self) -> str:
        """The version's name."""
        return self.manifest.version


class ModelHost:
    """Gives the version that answers now; `poll` is called by one thread, `model` by all."""

    def __init__(self, store: ReleaseStore, cache: LastKnownGood) -> None:
        self._store, self._cache = store, cache
        self._loaded: dict[str, LoadedModel] = {}
        self._seen: dict[str, int] = {}
        self._refused: set[str] = set()
        self._retry_at: dict[str, float] = {}
        self._complaints: dict[str, str] = {}

    def model(self, name: str) -> LoadedModel:
        """Return the version that answers now; a call keeps it to its end.

        Raises:
            ModelUnavailableError: The model is known, but no version of it is loaded.
            ModelNotFoundError: No release of it was ever seen.
            ContractError: That is no name of a model.
        """
        try:
            return self._loaded[name]
        except KeyError:
            if name in self._seen:
                raise ModelUnavailableError(f"no version of {name} is loaded") from None
            require_model_name(name)
            raise ModelNotFoundError(f"no model {name!r} here") from None

    @property
    def names(self) -> list[str]:
        """The models that are being answered."""
        return sorted(self._loaded)

    def poll(self) -> None:
        """Look for new releases once and follow them; a store or a model that is broken never stops the others."""
        try:
            if not (self._store.root / "releases").is_dir():
                raise ReleaseError("there are no releases")
            names = self._store.models()
        except (OSError, ReleaseError) as error:
            self._complain("release store", f"{self._store.root}: {error}")
            for release in self._cache.releases():
                self._fall_back(release.model)
            return
        self._complaints.pop("release store", None)
        for name in names:
            self._follow(name)

    def _follow(self, name: str) -> None:
        began = time.monotonic()
        try:
            release = self._news(name)
            if release is None:
                return
            if self._apply(release):
                SWAP_SECONDS.labels(name).observe(time.monotonic() - began)
            self._complaints.pop(name, None)
            self._retry_at.pop(name, None)
        except (OSError, ServingError) as error:
            self._complain(name, f"{error}; what answered before goes on")
            self._fall_back(name)

    def _news(self, name: str) -> Release | None:
        """Return the present release if it was not followed yet, or is to be tried again."""
        seen = self._seen.get(name, 0)
        generation = self._store.latest_generation(name, known=seen)
        if generation == seen and time.monotonic() < self._retry_at.get(name, math.inf):
            return None
        release = self._store.read(name, generation)
        self._seen[name] = generation
        return release

    def _apply(self, release: Release) -> bool:
        """Make a release's production version the answering one; says whether another version answers now."""
        name, production = release.model, release.routing.production
        present = self._loaded.get(name)
        if production is None:
            self._loaded.pop(name, None)
            return False
        if present is not None and present.digest == production.bundle:
            self._loaded[name] = replace(present, generation=release.generation)
            STALE.labels(name).set(0)
            return False
        if production.bundle in self._refused:
            return False
        try:
            bundle = open_bundle(self._store.bundles, production.bundle)
            self._loaded[name] = _loaded_model(release, bundle)
        except BundleError as error:
            BUNDLE_FAILURES.labels(name).inc()
            if not isinstance(error.__cause__, OSError):
                self._refused.add(production.bundle)
            raise
        STALE.labels(name).set(0)
        _log.info("%s: version %s answers (generation %d)", name, production.version, release.generation)
        self._cache.keep(release, bundle)
        return True

    def _fall_back(self, name: str) -> None:
        """Keep what answers, or load the last known good if nothing does; look at the store again in a while."""
        if self._retry_at.get(name, 0.0) > time.monotonic():
            return
        self._retry_at[name] = time.monotonic() + _RETRY_SECONDS
        STALE.labels(name).set(1)
        release = self._cache.release(name)
        if name in self._loaded or release is None or release.routing.production is None:
            return
        try:
            self._loaded[name] = _loaded_model(release, self._cache.bundle(release.routing.production.bundle))
        except BundleError as error:
            self._complain(f"{name} in the cache", str(error))
            return
        self._seen.setdefault(name, release.generation)
        _log.warning("%s: version %s answers from the cache", name, release.routing.production.version)

    def _complain(self, what: str, why: str) -> None:
        if self._complaints.get(what) != why:
            _log.error("%s: %s", what, why)
            self._complaints[what] = why


def _loaded_model(release: Release, bundle: Bundle) -> LoadedModel:
    if bundle.contract.model != release.model:
        raise BundleError(f"bundle {bundle.digest[:12]} is of {bundle.contract.model}, not of {release.model}")
    predictor = Predictor.of_bundle(bundle)
    golden = bundle.golden
    for _ in range(_WARM_UP_CALLS):
        predictor.scores(golden.numbers[:1], golden.texts[:1])
    return LoadedModel(release.model, release.generation, bundle.digest, bundle.manifest, predictor)
