"""What `make check` says when a proto changes that clients hold in their hands."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.generated_protos import PROTOS, ROOT

BUF = Path(sysconfig.get_path("scripts")) / "buf"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The protos and buf's configuration, with everything that is there now taken as released."""
    for name in (*PROTOS, Path("buf.yaml")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    assert buf(tmp_path, "build", "--exclude-source-info", "-o", "protos/released.yaml") == (0, "")
    return tmp_path


def buf(folder: Path, *arguments: str) -> tuple[int, str]:
    ended = subprocess.run([BUF, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def breaking(folder: Path) -> str:
    return buf(folder, "breaking", "--against", "protos/released.yaml")[1]


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_an_added_field_breaks_nothing(checkout: Path):
    edit(checkout / "protos/mlops/v1/control.proto", "  string actor = 3;", "  string actor = 3;\n  string note = 4;")
    assert breaking(checkout) == ""


@pytest.mark.parametrize(
    ("proto", "old", "new", "says"),
    [
        ("mlops/v1/control.proto", "string actor = 3;", "string actor = 4;", 'field "3" with name "actor"'),
        ("mlops/v1/control.proto", "string actor = 3;", "bytes actor = 3;", 'changed type from "string" to "bytes"'),
        ("mlops/v1/control.proto", "string actor = 3;", "string who = 3;", 'changed name from "actor" to "who"'),
        ("inference/open_inference.proto", "TYPE_BF16 = 14;", "TYPE_BF16 = 15;", 'enum value "14"'),
    ],
)
def test_a_renumbered_retyped_or_renamed_field_is_refused(checkout: Path, proto: str, old: str, new: str, says: str):
    edit(checkout / "protos" / proto, old, new)
    assert says in breaking(checkout)


def test_a_removed_proto_is_refused(checkout: Path):
    (checkout / "protos/mlops/v1/control.proto").unlink()
    assert "was deleted" in breaking(checkout)


def test_the_protos_that_were_released_are_kept():
    assert breaking(ROOT) == ""
