"""The release chain: the one truth about what is in production.

Documents `releases/<model>/<n>.json` are created once and never changed; each carries the sha256 of the one before.
Creating generation n is the compare-and-set: whoever is second reads again. The highest n is the present.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from serving.errors import ModelNotFoundError, ReleaseConflictError, ReleaseError
from serving.formats.files import create_file
from serving.formats.signature import signature_files

Action = Literal["promote", "refuse", "rollback"]
MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def require_model_name(text: str) -> None:
    """Raise unless a text from outside can be a model's name, before anything is looked up or opened by it.

    Raises:
        ModelNotFoundError: It can not.
    """
    if not MODEL_NAME.fullmatch(text):
        raise ModelNotFoundError(f"{text[:80]!r} is not a model name: lower case letters, digits and _")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that takes traffic, with the digest of its bundle."""

    version: str
    bundle: str

    @classmethod
    def from_dict(cls, document: dict[str, str] | None) -> "Deployed | None":
        """Build from the parsed JSON.

        Raises:
            ValueError: The name is not one of a version.
        """
        if document is None:
            return None
        if not VERSION_NAME.fullmatch(document["version"]):
            raise ValueError(f"{document['version'][:80]!r} is not a version name")
        return cls(str(document["version"]), str(document["bundle"]))


@dataclass(frozen=True, slots=True)
class Routing:
    """Who answers: the complete picture after a release, never a difference."""

    production: Deployed | None = None
    fallback: Deployed | None = None

    @property
    def versions(self) -> frozenset[Deployed]:
        """Every version that has a role."""
        return frozenset(entry for role in fields(self) if (entry := getattr(self, role.name)) is not None)

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "Routing":
        """Build from the parsed JSON."""
        return cls(**{role: Deployed.from_dict(entry) for role, entry in document.items()})


@dataclass(frozen=True, slots=True)
class Release:
    """One entry of the chain; a refusal is an entry too and repeats the routing unchanged."""

    model: str
    generation: int
    action: Action
    reason: str
    actor: str
    at: datetime
    routing: Routing
    candidate: Deployed | None = None
    data_until: datetime | None = None
    trigger: str = "manual"
    dagster_run_id: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    previous_sha256: str = ""

    def to_json(self) -> bytes:
        """Return the bytes that the next entry's hash covers."""
        document = asdict(self)
        document["at"] = self.at.isoformat()
        document["data_until"] = self.data_until.isoformat() if self.data_until else None
        return json.dumps(document, sort_keys=True, indent=1, allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Release":
        """Read an entry.

        Raises:
            ReleaseError: It is not a release document.
        """
        try:
            document: dict[str, Any] = json.loads(content)
            document["at"] = datetime.fromisoformat(document["at"])
            until = document["data_until"]
            document["data_until"] = datetime.fromisoformat(until) if until else None
            document["routing"] = Routing.from_dict(document["routing"])
            document["candidate"] = Deployed.from_dict(document["candidate"])
            return cls(**document)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ReleaseError(f"release document is not readable: {error}") from error


class ReleaseStore:
    """The chain and the bundles in a local folder: `releases/<model>/<n>.json` and `bundles/<digest>/`."""

    def __init__(self, root: Path, *, sign: Callable[[Path, str], None] | None = None) -> None:
        """Open a store.

        Args:
            root: The folder.
            sign: Vouches for a bundle, given the folder of bundles and its digest; who only reads needs none.
        """
        self.root = root
        self.bundles = root / "bundles"
        self._sign = sign

    def models(self) -> list[str]:
        """Return the names of all models that have a chain."""
        folder = self.root / "releases"
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in folder.iterdir() if MODEL_NAME.fullmatch(entry.name))

    def latest_generation(self, model: str, *, known: int = 0) -> int:
        """Return the highest generation, 0 if there is none; looks only at those after `known`.

        Raises:
            OSError: The store is away.
        """
        folder = self._folder(model)
        if known and not (folder / f"{known}.json").exists():
            raise ReleaseError(f"{model}: generation {known} has gone from the release store")
        while (folder / f"{known + 1}.json").exists():
            known += 1
        return known

    def read(self, model: str, generation: int) -> Release:
        """Return one entry.

        Raises:
            ReleaseError: It does not exist or is damaged.
        """
        return self._read(model, generation)[0]

    def latest(self, model: str) -> Release | None:
        """Return the present entry, or None before the first."""
        generation = self.latest_generation(model)
        return self.read(model, generation) if generation else None

    def history(self, model: str) -> list[Release]:
        """Return the whole chain, oldest first.

        Raises:
            ReleaseError: An entry is damaged, or does not carry the hash of the one before.
        """
        chain: list[Release] = []
        before = ""
        for generation in range(1, self.latest_generation(model) + 1):
            release, digest = self._read(model, generation)
            if release.previous_sha256 != before:
                raise ReleaseError(f"{model}: generation {generation} does not follow {generation - 1}: chain altered")
            chain.append(release)
            before = digest
        return chain

    def append(self, release: Release) -> Release:
        """Create the entry for `release.generation` unless it exists, and return it as written.

        What enters the routing is signed before: a server never sees an entry whose signature is still to come.
        What was in it before is not signed again, so that nobody vouches by accident for an entry of another's.

        Raises:
            ReleaseConflictError: The generation exists already.
            ReleaseError: The one before it does not exist, or a version enters that nobody signed or can sign here.
        """
        entering, before = release.routing.versions, ""
        if release.generation > 1:
            previous, before = self._read(release.model, release.generation - 1)
            entering -= previous.routing.versions
        for deployed in entering:
            self._vouch(release.model, deployed)
        written = replace(release, previous_sha256=before)
        try:
            create_file(self._folder(release.model) / f"{release.generation}.json", written.to_json())
        except FileExistsError as error:
            raise ReleaseConflictError(f"{release.model}: generation {release.generation} exists already") from error
        return written

    def _vouch(self, model: str, deployed: Deployed) -> None:
        if self._sign is not None:
            self._sign(self.bundles, deployed.bundle)
        elif not signature_files(self.bundles, deployed.bundle):
            raise ReleaseError(f"{model}: version {deployed.version} is not signed, and no key is here to sign it")

    def _folder(self, model: str) -> Path:
        if not MODEL_NAME.fullmatch(model):
            raise ReleaseError(f"{model[:80]!r} is not a model name: lower case letters, digits and _")
        return self.root / "releases" / model

    def _read(self, model: str, generation: int) -> tuple[Release, str]:
        path = self._folder(model) / f"{generation}.json"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ReleaseError(f"{model}: generation {generation} can not be read: {error.strerror}") from error
        release = Release.from_json(content)
        if (release.model, release.generation) != (model, generation):
            raise ReleaseError(f"{path.name} of {model} says it is {release.model} {release.generation}")
        return release, hashlib.sha256(content).hexdigest()
