"""A copy of what answered last, so that a restarted server answers while the release store is away."""

import logging
import os
import shutil
import tempfile
from pathlib import Path

from serving.errors import ReleaseError
from serving.formats.bundle import Bundle, open_bundle, write_bundle
from serving.formats.release import MODEL_NAME, Release

_log = logging.getLogger(__name__)


class LastKnownGood:
    """`<root>/releases/<model>.json` and `<root>/bundles/<digest>/`; all workers of a server share it."""

    def __init__(self, root: Path) -> None:
        self._releases, self._bundles = root / "releases", root / "bundles"

    def keep(self, release: Release, bundle: Bundle) -> None:
        """Remember what answers now; a full disk is reported, not raised."""
        try:
            if not (self._bundles / bundle.digest).exists():
                write_bundle(self._bundles, bundle.manifest, bundle.contents)
            kept = self.release(release.model)
            if kept is None or kept.generation < release.generation:
                self._write(release)
            self._remove_unused()
        except OSError as error:
            _log.error("%s: the last known good can not be kept: %s", release.model, error)

    def releases(self) -> list[Release]:
        """Return what is remembered; damaged documents are reported and left out."""
        if not self._releases.is_dir():
            return []
        names = [path.stem for path in sorted(self._releases.glob("*.json")) if MODEL_NAME.fullmatch(path.stem)]
        return [release for name in names if (release := self.release(name)) is not None]

    def bundle(self, digest: str) -> Bundle:
        """Return a remembered bundle, verified again.

        Raises:
            BundleError: It is not there or has changed.
        """
        return open_bundle(self._bundles, digest)

    def release(self, model: str) -> Release | None:
        """Return the release that is remembered for a model, or None."""
        try:
            return Release.from_json((self._releases / f"{model}.json").read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ReleaseError) as error:
            _log.error("%s: the remembered release is not readable: %s", model, error)
            return None

    def _write(self, release: Release) -> None:
        self._releases.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=self._releases)
        with os.fdopen(handle, "wb") as file:
            file.write(release.to_json())
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).rename(self._releases / f"{release.model}.json")

    def _remove_unused(self) -> None:
        used = {release.routing.production.bundle for release in self.releases() if release.routing.production}
        for folder in self._bundles.iterdir():
            if folder.name not in used and not folder.name.startswith("."):
                shutil.rmtree(folder, ignore_errors=True)
