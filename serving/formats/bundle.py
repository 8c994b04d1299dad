"""A bundle: one trained version as files that serving can trust without executing anything.

A directory named by the sha256 of its `manifest.json`, which names every other file with sha256 and size:
`model.onnx` (the whole pipeline), `profile.json` (the reference distribution for drift) and `golden.json`
(real rows with the answers that a healthy copy of the model gives).
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from serving.errors import BundleError, BundleUnreadableError
from serving.formats.contract import Contract, Numbers
from serving.formats.files import read_bounded
from serving.formats.texts import TextMatrix

FORMAT = 1
MODEL_FILE, PROFILE_FILE, GOLDEN_FILE, MANIFEST_FILE = "model.onnx", "profile.json", "golden.json", "manifest.json"
MAXIMUM_FILE_BYTES = 512 * 1024 * 1024
_MAXIMUM_MANIFEST_BYTES = 16 * 1024 * 1024
_FILE_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\.(onnx|json)")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest says of one file."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class GoldenRows:
    """Inputs and the probabilities a healthy copy answers; shapes (n, n_numbers), (n, n_texts), (n,)."""

    numbers: Numbers
    texts: TextMatrix
    scores: Numbers

    def to_json(self) -> bytes:
        """Write missing numbers as null."""
        numbers = [[None if np.isnan(value) else float(value) for value in row] for row in self.numbers]
        document = {"numbers": numbers, "texts": self.texts.tolist(), "scores": self.scores.tolist()}
        return json.dumps(document, allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "GoldenRows":
        """Read what `to_json` wrote."""
        document = json.loads(content)
        n_rows = len(document["scores"])
        numbers = np.array(
            [[np.nan if value is None else value for value in row] for row in document["numbers"]], dtype=np.float64
        )
        texts = np.array(document["texts"], dtype=object)
        return cls(numbers.reshape(n_rows, -1), texts.reshape(n_rows, -1), np.array(document["scores"], dtype=float))


@dataclass(frozen=True)
class Manifest:
    """Everything a bundle says about itself; `files` is filled in when the bundle is written.

    Attributes:
        tuned_until: ISO time of the newest row that fit, search or calibration saw: a fair hold-out is later.
        metrics: On the hold-out; `accuracy` is the promotion baseline.
        libraries: Name to version where it was trained; the server warns if it scores with others.
        lock_sha256: Of the dependency lock there; empty where none lies beside the code.
    """

    model: str
    version: str
    contract: Contract
    created_at: str
    tuned_until: str
    data_version: str
    code_version: str
    mlflow_run_id: str
    dagster_run_id: str
    algorithm: str
    metrics: dict[str, float]
    libraries: dict[str, str]
    files: dict[str, FileEntry]
    lock_sha256: str = ""
    format: int = FORMAT

    def to_json(self) -> bytes:
        """Return the canonical bytes; their sha256 names the bundle."""
        return json.dumps(asdict(self), sort_keys=True, indent=1, allow_nan=False).encode()

    @classmethod
    def from_json(cls, content: bytes) -> "Manifest":
        """Read a manifest.

        Raises:
            BundleError: It is not a manifest of this format.
        """
        try:
            document: dict[str, Any] = json.loads(content)
            if document.get("format") != FORMAT:
                raise BundleError(f"manifest has format {document.get('format')!r}; this release reads {FORMAT}")
            document["contract"] = Contract.from_dict(document["contract"])
            document["files"] = {name: FileEntry(**entry) for name, entry in document["files"].items()}
            return cls(**document)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BundleError(f"manifest is not readable: {error}") from error


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte was verified when it was opened."""

    digest: str
    manifest: Manifest
    contents: dict[str, bytes]

    @property
    def contract(self) -> Contract:
        """The contract that every request to this version must satisfy."""
        return self.manifest.contract

    @property
    def model_bytes(self) -> bytes:
        """The ONNX graph."""
        return self.contents[MODEL_FILE]

    @cached_property
    def golden(self) -> GoldenRows:
        """Rows with known answers."""
        return GoldenRows.from_json(self.contents[GOLDEN_FILE])

    @cached_property
    def profile(self) -> dict[str, Any]:
        """The reference profile as a JSON document."""
        document: dict[str, Any] = json.loads(self.contents[PROFILE_FILE])
        return document


def write_bundle(store: Path, manifest: Manifest, contents: dict[str, bytes]) -> str:
    """Write a bundle below `store` in one atomic step and return its digest; writing it twice is harmless.

    Args:
        store: The folder that holds all bundles.
        manifest: With any `files`; they are computed here.
        contents: Name to bytes: the model, the profile and the golden rows.
    """
    entries = {name: FileEntry(hashlib.sha256(data).hexdigest(), len(data)) for name, data in contents.items()}
    document = Manifest(**{**_shallow(manifest), "files": entries}).to_json()
    digest = hashlib.sha256(document).hexdigest()
    store.mkdir(parents=True, exist_ok=True)
    if (store / digest).exists():
        return digest
    room = Path(tempfile.mkdtemp(prefix=".writing-", dir=store))
    try:
        for name, data in {**contents, MANIFEST_FILE: document}.items():
            with (room / name).open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        room.chmod(0o755)
        room.rename(store / digest)
    except BaseException:
        shutil.rmtree(room, ignore_errors=True)
        if (store / digest).exists():
            return digest
        raise
    return digest


def open_bundle(store: Path, digest: str) -> Bundle:
    """Read a bundle and verify every byte of it.

    Raises:
        BundleError: A name, a link, a size or a digest is not what the manifest or the digest says.
        BundleUnreadableError: A file of it can not be read.
    """
    folder = bundle_folder(store, digest)
    document = _read(folder / MANIFEST_FILE, _MAXIMUM_MANIFEST_BYTES)
    if hashlib.sha256(document).hexdigest() != digest:
        raise BundleError(f"bundle {digest[:12]}: the manifest is not the one that the digest names")
    manifest = Manifest.from_json(document)
    missing = {MODEL_FILE, PROFILE_FILE, GOLDEN_FILE} - manifest.files.keys()
    if missing:
        raise BundleError(f"bundle {digest[:12]}: no {', '.join(sorted(missing))}")
    contents = {}
    for name, entry in manifest.files.items():
        if not _FILE_NAME.fullmatch(name) or entry.size > MAXIMUM_FILE_BYTES:
            raise BundleError(f"bundle {digest[:12]}: {name[:80]!r} has a name or size that is not allowed")
        content = _read(folder / name, entry.size)
        if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise BundleError(f"bundle {digest[:12]}: {name} is not the file that the manifest names")
        contents[name] = content
    return Bundle(digest, manifest, contents)


def bundle_folder(store: Path, digest: str) -> Path:
    """Return where a bundle is; nothing else may make a path of a digest.

    Raises:
        BundleError: It is not a digest, or what stands there is a link.
    """
    if not _DIGEST.fullmatch(digest):
        raise BundleError(f"{digest[:80]!r} is not a bundle digest")
    folder = store / digest
    if folder.is_symlink():
        raise BundleError(f"bundle {digest[:12]} is a link")
    return folder


def _read(path: Path, limit: int) -> bytes:
    try:
        return read_bounded(path, limit)
    except OSError as error:
        raise BundleUnreadableError(f"{path.parent.name[:12]}/{path.name} can not be read: {error.strerror}") from error


def _shallow(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in manifest.__dataclass_fields__}
