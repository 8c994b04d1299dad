"""What is not whole, not signed or not what it says never answers: it is reported, counted, and not tried again."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest

from serving.formats.contract import NumberFeature
from serving.formats.release import Deployed, ReleaseStore
from serving.formats.signature import SigningKey, signing_key
from serving.scoring.host import ModelHost
from tests.serving.hosts import bundle_failures
from tests.serving.toy import CONTRACT, MODEL, append_release, onnx_of, promote, write_toy_bundle

pytestmark = pytest.mark.usefixtures("impatient")
Damage = Callable[[Path], None]


def truncated(folder: Path) -> None:
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-10])


def with_a_flipped_bit(folder: Path) -> None:
    model = folder / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 4
    model.write_bytes(content)


def with_a_forged_manifest(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"threshold": 0.5', '"threshold": 0.1'))


def with_an_endless_file(folder: Path) -> None:
    with (folder / "model.onnx").open("ab") as file:
        file.truncate(2**40)


def with_a_pipe(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    os.mkfifo(folder / "model.onnx")


def that_is_a_link(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    folder.symlink_to(folder.parent / "elsewhere")


def without_signature(folder: Path) -> None:
    signature_of(folder).unlink()


def with_the_signature_of_another(folder: Path) -> None:
    other = next(path for path in folder.parent.glob("*.sig") if not path.name.startswith(folder.name))
    shutil.copy(other, signature_of(folder))


def with_a_signature_cut_short(folder: Path) -> None:
    signature = signature_of(folder)
    signature.write_bytes(signature.read_bytes()[:63])


def with_a_signature_too_long(folder: Path) -> None:
    signature = signature_of(folder)
    signature.write_bytes(signature.read_bytes() + b"\0")


def signed_by_a_stranger(folder: Path) -> None:
    without_signature(folder)
    SigningKey.create(folder.parents[2] / "stranger.pem").sign(folder.parent, folder.name)


def signature_of(folder: Path) -> Path:
    (path,) = folder.parent.glob(f"{folder.name}.*.sig")
    return path


DAMAGES: list[Damage] = [
    truncated,
    with_a_flipped_bit,
    with_a_forged_manifest,
    with_an_endless_file,
    with_a_pipe,
    that_is_a_link,
    without_signature,
    with_the_signature_of_another,
    with_a_signature_cut_short,
    with_a_signature_too_long,
    signed_by_a_stranger,
]


def assert_refused_once(host: ModelHost, failures: float, log: str) -> None:
    """The old version goes on; however often the host looks, the bundle is reported and counted once."""
    assert host.model(MODEL).version == "1"
    assert bundle_failures() == failures + 1
    assert log.count("what answered before goes on") == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_bundle_keeps_the_old_version_and_is_not_tried_again(
    store: ReleaseStore, host: ModelHost, damage: Damage, caplog: pytest.LogCaptureFixture
):
    promote(store, 1)
    host.poll()
    failures = bundle_failures()
    damage(store.bundles / promote(store, 2).routing.production.bundle)
    for _ in range(5):
        host.poll()
    assert_refused_once(host, failures, caplog.text)
    promote(store, 3)
    host.poll()
    assert host.model(MODEL).version == "3"


def crafted(store: ReleaseStore, change: Callable[[dict], None]) -> Deployed:
    """Write a bundle whose manifest says what it should not; its digest is right, and it will be signed."""
    honest = store.bundles / write_toy_bundle(store.bundles, 2).bundle
    document = json.loads((honest / "manifest.json").read_bytes())
    change(document)
    manifest = json.dumps(document).encode()
    digest = hashlib.sha256(manifest).hexdigest()
    shutil.copytree(honest, store.bundles / digest)
    (store.bundles / digest / "manifest.json").write_bytes(manifest)
    return Deployed("2", digest)


def leave_the_folder(document: dict) -> None:
    document["files"]["../../../../etc/hostname"] = document["files"]["model.onnx"]


def leave_by_an_absolute_path(document: dict) -> None:
    document["files"]["/etc/hostname"] = document["files"]["model.onnx"]


def have_no_model(document: dict) -> None:
    del document["files"]["model.onnx"]


def be_of_another_format(document: dict) -> None:
    document["format"] = 99


def be_no_document(document: dict) -> None:
    document["contract"] = [[]]


def have_another_version(document: dict) -> None:
    document["version"] = "17"


def have_a_contract_of_another_model(document: dict) -> None:
    document["contract"]["model"] = "other"


def have_a_contract_that_the_graph_does_not_fit(document: dict) -> None:
    document["contract"]["numbers"].append(document["contract"]["numbers"][0] | {"name": "more"})


@pytest.mark.parametrize(
    "change",
    [
        leave_the_folder,
        leave_by_an_absolute_path,
        have_no_model,
        be_of_another_format,
        be_no_document,
        have_another_version,
        have_a_contract_of_another_model,
        have_a_contract_that_the_graph_does_not_fit,
    ],
)
def test_a_signed_bundle_that_should_not_be_is_refused_too(
    store: ReleaseStore, host: ModelHost, change: Callable[[dict], None], caplog: pytest.LogCaptureFixture
):
    promote(store, 1)
    host.poll()
    failures = bundle_failures()
    append_release(store, crafted(store, change))
    for _ in range(3):
        host.poll()
    assert_refused_once(host, failures, caplog.text)


@pytest.mark.parametrize(
    "flaw",
    [
        {"golden_error": 0.001},
        {"model": onnx_of(2)[:50]},
        {"contract": replace(CONTRACT, numbers=(NumberFeature("distance"),))},
        {"golden": b"{}"},
        {"golden": b'{"numbers": [], "texts": [], "scores": []}'},
        {"golden": b"[" * 100_000},
        {"golden": b'{"numbers": [[1]], "texts": [[1, 2]], "scores": ["x"]}'},
    ],
    ids=["wrong-answers", "half-a-graph", "other-shape", "no-golden", "empty-golden", "deep-golden", "odd-golden"],
)
def test_a_bundle_that_does_not_answer_as_it_says_is_refused(
    store: ReleaseStore, host: ModelHost, flaw: dict, caplog: pytest.LogCaptureFixture
):
    promote(store, 1)
    host.poll()
    failures = bundle_failures()
    append_release(store, write_toy_bundle(store.bundles, 2, **flaw))
    for _ in range(3):
        host.poll()
    assert_refused_once(host, failures, caplog.text)


def test_a_bundle_of_another_model_is_refused(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    append_release(store, write_toy_bundle(store.bundles, 2, contract=replace(CONTRACT, model="other")))
    host.poll()
    assert host.model(MODEL).version == "1"


def test_a_refused_bundle_answers_as_soon_as_a_trusted_key_vouches_for_it(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    digest = promote(store, 2).routing.production.bundle
    without_signature(store.bundles / digest)
    host.poll()
    assert host.model(MODEL).version == "1"
    signing_key(None, store.root.parent / "keys").sign(store.bundles, digest)
    host.poll()
    assert host.model(MODEL).version == "2"


def test_a_refused_bundle_answers_as_soon_as_its_key_is_trusted(store: ReleaseStore, host: ModelHost, tmp_path: Path):
    promote(store, 1)
    host.poll()
    digest = promote(store, 2).routing.production.bundle
    signed_by_a_stranger(store.bundles / digest)
    host.poll()
    assert host.model(MODEL).version == "1"
    SigningKey.load(tmp_path / "stranger.pem").publish(tmp_path / "keys" / "trusted")
    host.poll()
    assert host.model(MODEL).version == "2"


def test_a_bundle_that_can_not_be_read_for_a_while_is_tried_again(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    folder = store.bundles / promote(store, 2).routing.production.bundle
    folder.rename(store.root / "away")
    host.poll()
    assert host.model(MODEL).version == "1"
    (store.root / "away").rename(folder)
    host.poll()
    assert host.model(MODEL).version == "2"


def test_other_libraries_than_in_training_are_said_once(
    store: ReleaseStore, host: ModelHost, caplog: pytest.LogCaptureFixture
):
    built = write_toy_bundle(store.bundles, 1, libraries={"onnxruntime": "0.1", "scikit-learn": "0.1"})
    append_release(store, built)
    host.poll()
    promote(store, 2)
    host.poll()
    append_release(store, built)
    host.poll()
    assert (host.model(MODEL).version, host.model(MODEL).generation) == ("1", 3)
    assert caplog.text.count("built with other libraries: onnxruntime 0.1, here") == 1
    assert "scikit-learn" not in caplog.text


def test_the_same_libraries_as_in_training_are_not_worth_a_word(
    store: ReleaseStore, host: ModelHost, caplog: pytest.LogCaptureFixture
):
    append_release(store, write_toy_bundle(store.bundles, 1, libraries={"onnxruntime": onnxruntime.__version__}))
    host.poll()
    assert "libraries" not in caplog.text
