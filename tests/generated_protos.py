"""Generates the code beside the protos, or (`--check`) says whether the committed code is what they generate."""

import filecmp
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[1]
PROTOS = sorted(path.relative_to(ROOT) for path in (ROOT / "protos").rglob("*.proto"))


def generate(target: Path) -> None:
    """Write messages, stubs and type stubs of every proto below `target`."""
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    import grpc_tools

    included = Path(grpc_tools.__file__).parent / "_proto"
    if protoc.main(["protoc", f"-I{ROOT}", f"-I{included}", *outputs, *map(str, PROTOS)]) != 0:
        raise SystemExit("protoc failed")


def stale() -> list[str]:
    """Return the generated files that differ from what the protos generate now, or that no proto generates."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh, committed = _generated(Path(folder)), _generated(ROOT)
        return [str(name) for name in sorted(fresh | committed) if not _equal(Path(folder) / name, ROOT / name)]


def _generated(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in (root / "protos").rglob("*_pb2*.py*") if path.suffix != ".pyc"}


def _equal(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


if __name__ == "__main__":
    if "--check" in sys.argv:
        if differing := stale():
            raise SystemExit(f"generated code is stale, run `make protos`: {', '.join(differing)}")
        print(f"{len(PROTOS)} protos, generated code is up to date")
    else:
        generate(ROOT)
