"""Keeps the promoted version of every model loaded: follows the release chains, verifies, warms up, swaps."""

import logging
import time
from dataclasses import dataclass, replace
from functools import cached_property

from serving.errors import BundleError, ModelNotFoundError, ModelUnavailableError, ServingError
from serving.formats.bundle import Bundle, Manifest, open_bundle
from serving.formats.contract import Contract
from serving.formats.release import Deployed, Release, ReleaseStore
from serving.metrics import BUNDLE_FAILURES, STALE, SWAP_SECONDS, Meter
from serving.scoring.last_known_good import LastKnownGood
from serving.scoring.predictor import Predictor

_WARM_UP_CALLS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedModel:
    """One version as it answers; never changed, only replaced as a whole."""

    name: str
    generation: int
    digest: str
    manifest: Manifest
    predictor: Predictor
    meter: Meter

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
        self._stale: set[str] = set()
        self._complaint = ""

    def model(self, name: str) -> LoadedModel:
        """Return the version that answers now; a call keeps it to its end.

        Raises:
            ModelUnavailableError: The model is known, but no version of it is loaded.
            ModelNotFoundError: No release of it was ever seen.
        """
        try:
            return self._loaded[name]
        except KeyError:
            if name in self._seen:
                raise ModelUnavailableError(f"no version of {name} is loaded") from None
            raise ModelNotFoundError(f"no model {name[:80]!r} here") from None

    @property
    def names(self) -> list[str]:
        """The models that are being answered."""
        return sorted(self._loaded)

    def poll(self) -> None:
        """Look for new releases once, and follow them; never raises for a store that is away."""
        try:
            if not (self._store.root / "releases").is_dir():
                self._start_from_cache("it is not there")
                return
            for name in self._store.models():
                self._follow(name)
            self._complaint = ""
        except (OSError, ServingError) as error:
            self._start_from_cache(str(error))

    def _follow(self, name: str) -> None:
        seen = self._seen.get(name, 0)
        generation = self._store.latest_generation(name, known=seen)
        if generation == 0 or (generation == seen and name not in self._stale):
            return
        began = time.monotonic()
        release = self._store.read(name, generation)
        self._seen[name] = generation
        if self._apply(release):
            SWAP_SECONDS.labels(name).observe(time.monotonic() - began)
        self._mark_stale(name, stale=False)

    def _apply(self, release: Release) -> bool:
        """Make a release's production version the answering one; says whether another version answers now."""
        production, present = release.routing.production, self._loaded.get(release.model)
        if production is None:
            self._loaded.pop(release.model, None)
            return False
        if present is not None and present.digest == production.bundle:
            self._loaded[release.model] = replace(present, generation=release.generation)
            return False
        loaded = self._load(release, production)
        if loaded is None:
            return False
        bundle, model = loaded
        self._loaded[release.model] = model
        _log.info("%s: version %s answers (generation %d)", model.name, model.version, model.generation)
        self._cache.keep(release, bundle)
        return True

    def _load(self, release: Release, deployed: Deployed) -> tuple[Bundle, LoadedModel] | None:
        if deployed.bundle in self._refused:
            return None
        try:
            bundle = open_bundle(self._store.bundles, deployed.bundle)
            return bundle, _loaded_model(release, bundle)
        except BundleError as error:
            BUNDLE_FAILURES.labels(release.model).inc()
            _log.error("%s: version %s is refused, the old one stays: %s", release.model, deployed.version, error)
            self._refused.add(deployed.bundle)
            return None

    def _start_from_cache(self, why: str) -> None:
        if why != self._complaint:
            _log.error("release store %s can not be followed: %s", self._store.root, why)
            self._complaint = why
        for release in self._cache.releases():
            if release.model not in self._loaded:
                self._load_cached(release)
        for name in self._loaded:
            self._mark_stale(name, stale=True)

    def _load_cached(self, release: Release) -> None:
        production = release.routing.production
        if production is None or production.bundle in self._refused:
            return
        try:
            bundle = self._cache.bundle(production.bundle)
            self._loaded[release.model] = _loaded_model(release, bundle)
        except BundleError as error:
            _log.error("%s: the last known good is refused: %s", release.model, error)
            self._refused.add(production.bundle)
            return
        self._seen[release.model] = release.generation
        _log.warning("%s: version %s answers from the cache", release.model, production.version)

    def _mark_stale(self, name: str, *, stale: bool) -> None:
        if stale == (name in self._stale):
            return
        STALE.labels(name).set(stale)
        (self._stale.add if stale else self._stale.discard)(name)


def _loaded_model(release: Release, bundle: Bundle) -> LoadedModel:
    if bundle.contract.model != release.model:
        raise BundleError(f"bundle {bundle.digest[:12]} is of {bundle.contract.model}, not of {release.model}")
    predictor = Predictor.of_bundle(bundle)
    golden = bundle.golden
    for _ in range(_WARM_UP_CALLS):
        predictor.scores(golden.numbers[:1], golden.texts[:1])
    meter = Meter(release.model, bundle.manifest.version)
    return LoadedModel(release.model, release.generation, bundle.digest, bundle.manifest, predictor, meter)
