"""Which code made an asset: a digest of the source, as true in an installed package as in a checkout."""

import hashlib
from dataclasses import fields
from functools import cache
from pathlib import Path

from mlops_assets.spec import ModelSpec

PACKAGES = ("mlops_assets", "serving")
_NOT_COMPUTED_WITH = {"source", "traffic", "source_version", "description", "owners", "tags", "remarks"}


def code_version(spec: ModelSpec) -> str:
    """Return 16 hex digits that change with the source of the packages and with what the spec declares.

    What the spec's functions return is told by the data version.
    """
    root = Path(__file__).resolve().parents[2]
    digests = [source_digest(root / package) for package in PACKAGES]
    return hashlib.sha256(repr((digests, declared(spec))).encode()).hexdigest()[:16]


@cache
def source_digest(folder: Path) -> str:
    """Return a digest of all Python source below a folder, wherever the folder is."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def declared(spec: ModelSpec) -> dict[str, str]:
    """Return what the spec declares and models are computed with, by field; functions and words are left out."""
    return {
        field.name: repr(getattr(spec, field.name)) for field in fields(spec) if field.name not in _NOT_COMPUTED_WITH
    }
