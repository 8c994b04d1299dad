"""The state of one backtest on disk: content-addressed, so that it goes on where it was stopped and never mixes.

    <root>/<digest>/source.parquet, rows.parquet   the history
                    searches/<snapshot>.json       what a search found, shared by all policies
                    policies/<policy>.json         a policy's result, once it is whole

Every file is written beside its place and renamed.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from importlib.metadata import version as library_version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import mlops_assets.core
from mlops_assets.assets.code_version import declared, source_digest
from mlops_assets.core.backtest import BacktestPolicy, History
from mlops_assets.core.training import Recipe
from mlops_assets.core.windows import Window
from mlops_assets.lake.tables import content_hash
from mlops_assets.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "optuna")


@dataclass(frozen=True)
class BacktestFolder:
    """One backtest's files."""

    path: Path

    @classmethod
    def of(cls, root: Path, history: History, *, search: bool) -> "BacktestFolder":
        """Return the folder of what data, spec, options, code and libraries determine, with the history in it."""
        content = {
            "spec": declared(history.spec),
            "source": content_hash(history.source),
            "rows": content_hash(history.rows),
            "windows": [window.key for window in history.windows],
            "search": search,
            "code": source_digest(Path(mlops_assets.core.__path__[0])),
            "libraries": {name: library_version(name) for name in LIBRARIES},
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        folder = cls(root / digest)
        for name in ("searches", "policies"):
            (folder.path / name).mkdir(parents=True, exist_ok=True)
        folder._store_frame("source", history.source)
        folder._store_frame("rows", history.rows)
        return folder

    def history(self, spec: ModelSpec, windows: tuple[Window, ...]) -> History:
        """Read the history."""
        import pandas as pd

        source, rows = (pd.read_parquet(self.path / f"{name}.parquet") for name in ("source", "rows"))
        return History(spec, source, rows, windows)

    def policy_result(self, policy: BacktestPolicy) -> dict[str, Any] | None:
        """Return a policy's result, None while there is none."""
        return _read_json(self._policy_path(policy))

    def store_policy_result(self, policy: BacktestPolicy, result: dict[str, Any]) -> None:
        """Write a policy's result."""
        _write_json(self._policy_path(policy), result)

    def found(self, snapshot: "pd.DataFrame") -> tuple[Recipe, float] | None:
        """Return what an earlier search on the same rows found, and its seconds."""
        document = _read_json(self._search_path(snapshot))
        if document is None:
            return None
        return Recipe(algorithm=document["algorithm"], params=document["params"]), float(document["seconds"])

    def store_found(self, snapshot: "pd.DataFrame", recipe: Recipe, seconds: float) -> None:
        """Write what a search found."""
        document = {"algorithm": recipe.algorithm, "params": recipe.params, "seconds": seconds}
        _write_json(self._search_path(snapshot), document)

    def _policy_path(self, policy: BacktestPolicy) -> Path:
        return self.path / "policies" / f"{hashlib.sha256(policy.name.encode()).hexdigest()[:16]}.json"

    def _search_path(self, snapshot: "pd.DataFrame") -> Path:
        return self.path / "searches" / f"{content_hash(snapshot)}.json"

    def _store_frame(self, name: str, frame: "pd.DataFrame") -> None:
        path = self.path / f"{name}.parquet"
        if path.exists():
            return
        temporary = path.with_name(f".{uuid4().hex}.tmp")
        try:
            frame.to_parquet(temporary, index=False)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def portable(spec: ModelSpec) -> ModelSpec:
    """Return the spec without its functions, which need not be picklable."""
    return replace(spec, source=_no_source, traffic=None, source_version=None)


def _no_source() -> "pd.DataFrame":
    raise NotImplementedError("a backtest's process reads its history from its folder")


def _read_json(path: Path) -> dict[str, Any] | None:
    return dict(json.loads(path.read_text())) if path.exists() else None


def _write_json(path: Path, document: dict[str, Any]) -> None:
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        temporary.write_text(json.dumps(document, allow_nan=False))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
