"""A copy of what answered last, so that a restarted server answers while the release store is away."""

import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.errors import BundleError, ReleaseError
from serving.formats.bundle import open_bundle, write_bundle
from serving.formats.files import replace_file
from serving.formats.release import MODEL_NAME, Deployed, Release
from serving.formats.signature import copy_signatures

_log = logging.getLogger(__name__)


class LastKnownGood:
    """`<root>/releases/<model>.json` and `<root>/bundles/`; all workers of a server share it.

    What is in it is trusted no more than the release store: whoever loads from it verifies everything again.
    """

    def __init__(self, root: Path) -> None:
        self._root, self._releases, self.bundles = root, root / "releases", root / "bundles"

    def keep(self, release: Release, bundles: Path) -> None:
        """Remember the production version that answers now; what goes wrong is reported, not raised."""
        production = release.routing.production
        if production is None:
            return
        try:
            with self._alone() as alone:
                # Another worker that is at it follows the same chain and comes to this release too.
                if alone:
                    self._copy(production, bundles)
                    kept = self.release(release.model)
                    if kept is None or kept.generation < release.generation:
                        replace_file(self._path(release.model), release.to_json())
                    self._remove_unused()
        except (OSError, BundleError) as error:
            _log.error("%s: the last known good can not be kept: %s", release.model, error)

    def forget(self, model: str) -> None:
        """Remember nothing of a model that was withdrawn: it must not come back when the release store is away."""
        try:
            self._path(model).unlink(missing_ok=True)
        except OSError as error:
            _log.error("%s: the last known good can not be forgotten: %s", model, error)

    def releases(self) -> list[Release]:
        """Return what is remembered; damaged documents are reported and left out."""
        if not self._releases.is_dir():
            return []
        names = [path.stem for path in sorted(self._releases.glob("*.json")) if MODEL_NAME.fullmatch(path.stem)]
        return [release for name in names if (release := self.release(name)) is not None]

    def release(self, model: str) -> Release | None:
        """Return the release that is remembered for a model, or None."""
        try:
            return Release.from_json(self._path(model).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ReleaseError) as error:
            _log.error("%s: the remembered release is not readable: %s", model, error)
            return None

    def _path(self, model: str) -> Path:
        return self._releases / f"{model}.json"

    def _copy(self, deployed: Deployed, bundles: Path) -> None:
        try:
            open_bundle(self.bundles, deployed.bundle)
        except BundleError:
            bundle = open_bundle(bundles, deployed.bundle)
            shutil.rmtree(self.bundles / bundle.digest, ignore_errors=True)
            write_bundle(self.bundles, bundle.manifest, bundle.contents)
        copy_signatures(bundles, self.bundles, deployed.bundle)

    def _remove_unused(self) -> None:
        used = {release.routing.production.bundle for release in self.releases() if release.routing.production}
        for path in self.bundles.iterdir():
            if path.name.partition(".")[0] not in used | {""}:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / ".lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
