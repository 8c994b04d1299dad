"""Versions that calls name: loaded when they are asked for, a bounded number of them."""

import logging
import threading
from collections import OrderedDict
from pathlib import Path

from serving.complaints import Complaints
from serving.errors import BundleError, ModelUnavailableError
from serving.scoring.history import Placement
from serving.scoring.loading import LoadedModel, ModelLoader

PINNED_ROLE = "pinned"
_MAXIMUM_WAITING = 4

_log = logging.getLogger(__name__)


class PinnedVersions:
    """A cache from which the version that was not asked for longest goes first."""

    def __init__(self, loader: ModelLoader, bundles: Path, *, capacity: int) -> None:
        self._loader, self._bundles, self._capacity = loader, bundles, capacity
        self._loaded: OrderedDict[tuple[str, str], LoadedModel] = OrderedDict()
        self._complaints = Complaints(_log)
        self._guard = threading.Lock()
        self._loading = threading.Lock()
        self._seats = threading.BoundedSemaphore(_MAXIMUM_WAITING)

    def get(self, model: str, placement: Placement) -> LoadedModel:
        """Return a version, loading it if nobody has.

        Versions are loaded one after the other, and only a few calls may wait for that: the worker's other threads
        stay free for the versions that are there.

        Raises:
            ModelUnavailableError: Too many calls wait already.
            BundleError: The bundle is refused, or can not be read at the moment.
        """
        key = (model, placement.deployed.bundle)
        if (found := self._find(key)) is not None:
            return found
        if not self._seats.acquire(blocking=False):
            raise ModelUnavailableError(f"other versions than {placement.deployed.version} are being loaded; try again")
        try:
            with self._loading:
                return self._find(key) or self._load(key, placement)
        finally:
            self._seats.release()

    def _find(self, key: tuple[str, str]) -> LoadedModel | None:
        with self._guard:
            found = self._loaded.get(key)
            if found is not None:
                self._loaded.move_to_end(key)
            return found

    def _load(self, key: tuple[str, str], placement: Placement) -> LoadedModel:
        model, deployed = key[0], placement.deployed
        what = f"{model}, version {deployed.version}"
        try:
            loaded = self._loader.load(
                self._bundles, model, deployed, generation=placement.generation, role=PINNED_ROLE
            )
        except BundleError as error:
            self._complaints.say(what, f"{error}; a call asked for it")
            raise
        self._complaints.mended(what)
        with self._guard:
            self._loaded[key] = loaded
            while len(self._loaded) > self._capacity:
                self._loaded.popitem(last=False)
        return loaded
