"""The release chain: the one truth about what is in production.

Documents `releases/<model>/<n>.json` are created once and never changed; each carries the sha256 of the one before.
Creating generation n is the compare-and-set: whoever is second reads again. The highest n is the present.
"""

import hashlib
import json
import os
import re
import tempfile
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from serving.errors import ContractError, ReleaseConflictError, ReleaseError, Violation

Action = Literal["promote", "refuse", "rollback"]
MODEL_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def require_model_name(text: str) -> None:
    """Raise unless a text from outside can be a model's name, before anything is looked up or opened by it.

    Raises:
        ContractError: It can not.
    """
    if not MODEL_NAME.fullmatch(text):
        raise ContractError([Violation("model", "is not a model name: lower case letters, digits and _")])


@dataclass(frozen=True, slots=True)
class Deployed:
    """A version that takes traffic, with the digest of its bundle."""

    version: str
    bundle: str


@dataclass(frozen=True, slots=True)
class Routing:
    """Who answers: the complete picture after a release, never a difference."""

    production: Deployed | None = None
    fallback: Deployed | None = None

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "Routing":
        """Build from the parsed JSON."""
        return cls(**{role: Deployed(**entry) if entry else None for role, entry in document.items()})


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
            document["candidate"] = Deployed(**document["candidate"]) if document["candidate"] else None
            return cls(**document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ReleaseError(f"release document is not readable: {error}") from error


class ReleaseStore:
    """The chain and the bundles in a local folder: `releases/<model>/<n>.json` and `bundles/<digest>/`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bundles = root / "bundles"

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

        Raises:
            ReleaseConflictError: The generation exists already.
            ReleaseError: The one before it does not exist.
        """
        before = self._read(release.model, release.generation - 1)[1] if release.generation > 1 else ""
        fields = {name: getattr(release, name) for name in release.__dataclass_fields__}
        written = Release(**{**fields, "previous_sha256": before})
        folder = self._folder(release.model)
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(written.to_json())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            os.link(temporary, folder / f"{release.generation}.json")
        except FileExistsError as error:
            raise ReleaseConflictError(f"{release.model}: generation {release.generation} exists already") from error
        finally:
            Path(temporary).unlink()
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return written

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
