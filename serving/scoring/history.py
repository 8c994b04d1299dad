"""Which versions a release chain has had in routing, and how each came into production."""

import logging
from dataclasses import dataclass
from datetime import datetime

from serving.errors import ModelNotFoundError, ReleaseError
from serving.formats.release import VERSION_NAME, Deployed, Release, ReleaseStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placement:
    """The entry with which a version came into routing, and what was in production before it."""

    deployed: Deployed
    generation: int
    at: datetime
    reason: str
    actor: str
    trigger: str
    previous_version: str
    previous_generation: int
    """The generation with which that version came into routing; 0 if nothing was in production."""


class ReleaseHistory:
    """Every version that the chains have had in routing; `extend` is called by one thread, `placement` by all."""

    def __init__(self, store: ReleaseStore) -> None:
        self._store = store
        self._placements: dict[str, dict[str, Placement]] = {}
        self._production: dict[str, Placement | None] = {}
        self._known: dict[str, int] = {}

    def placement(self, model: str, version: str) -> Placement:
        """Look a client's words up; they name a version or nothing, and never become a path.

        Raises:
            ModelNotFoundError: The chain has not had that version in routing, or there is no such chain.
        """
        if VERSION_NAME.fullmatch(version) and (found := self._placements.get(model, {}).get(version)):
            return found
        raise ModelNotFoundError(f"no version {version[:80]!r} of model {model[:80]!r} here")

    def knows(self, model: str) -> bool:
        """Return whether the chain has been read."""
        return model in self._placements

    def extend(self, release: Release) -> None:
        """Take in an entry, and those before it that are not known yet; an entry that is damaged is left out."""
        name = release.model
        for generation in range(self._known.get(name, 0) + 1, release.generation):
            try:
                self._add(self._store.read(name, generation))
            except ReleaseError as error:
                _log.error("%s; versions that only this entry names are not known", error)
        self._add(release)

    def _add(self, release: Release) -> None:
        name = release.model
        if release.generation <= self._known.get(name, 0):
            return
        placements = self._placements.setdefault(name, {})
        for deployed in release.routing.versions:
            known = placements.get(deployed.version)
            if known is None or known.deployed != deployed:
                placements[deployed.version] = self._placement_of(deployed, release)
        production = release.routing.production
        self._production[name] = placements[production.version] if production else None
        self._known[name] = release.generation

    def _placement_of(self, deployed: Deployed, release: Release) -> Placement:
        previous = self._production.get(release.model)
        return Placement(
            deployed=deployed,
            generation=release.generation,
            at=release.at,
            reason=release.reason,
            actor=release.actor,
            trigger=release.trigger,
            previous_version=previous.deployed.version if previous else "",
            previous_generation=previous.generation if previous else 0,
        )
