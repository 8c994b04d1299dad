"""`mlops keys`: a rotation as docs/how-to/rotate-signing-keys.md tells it, and what goes wrong on the way."""

from pathlib import Path

import pytest

from serving.formats.signature import SigningKey
from tests.cli.test_commands import assert_one_line, mlops
from tests.serving.toy import MODEL, promote
from tests.signing import signing_store, trusted_keys


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose own key signed versions 1 and 2."""
    store = signing_store(tmp_path / "home")
    promote(store, 1)
    promote(store, 2)
    return tmp_path / "home"


def signers(home: Path, generation: int) -> list[str]:
    store = signing_store(home)
    return trusted_keys(home).signers(store.bundles, store.read(MODEL, generation).routing.production.bundle)


def test_a_rotation_leaves_every_version_signed_by_the_new_key_alone(home: Path, tmp_path: Path):
    (old,) = trusted_keys(home).ids
    path = tmp_path / "new.pem"
    made = mlops("keys", "create", str(path), home=home)
    new = SigningKey.load(path).id
    assert made.stdout.startswith(f"key {new}\n")
    signed = mlops("keys", "sign", home=home, MLOPS_SIGNING_KEY=str(path))
    assert signed.stdout == f"toy version 1: signed by {new}\ntoy version 2: signed by {new}\n"
    assert sorted(signers(home, 1)) == sorted([old, new])
    assert_one_line(mlops("keys", "retire", new, home=home, MLOPS_SIGNING_KEY=str(path)), new, "MLOPS_SIGNING_KEY")
    retired = mlops("keys", "retire", old, home=home, MLOPS_SIGNING_KEY=str(path))
    assert (retired.returncode, trusted_keys(home).ids) == (0, [new])
    assert (signers(home, 1), signers(home, 2)) == ([new], [new])
    listed = mlops("keys", "list", home=home, MLOPS_SIGNING_KEY=str(path))
    assert listed.stdout == f"{new}  signs\ntoy version 2: {new}\n"


def test_a_key_that_alone_vouches_for_what_is_routed_can_not_be_retired(home: Path, tmp_path: Path):
    (old,) = trusted_keys(home).ids
    path = tmp_path / "new.pem"
    mlops("keys", "create", str(path), home=home)
    result = mlops("keys", "retire", old, home=home, MLOPS_SIGNING_KEY=str(path))
    assert_one_line(result, "toy version 2", "mlops keys sign")
    assert old in trusted_keys(home).ids


def test_what_nobody_trusted_has_signed_is_signed_only_by_somebody_who_vouches(home: Path):
    for signature in (home / "release_store" / "bundles").glob("*.sig"):
        signature.unlink()
    listed = mlops("keys", "list", home=home)
    assert "toy version 2: NOT SIGNED by a trusted key" in listed.stdout
    assert_one_line(mlops("keys", "sign", home=home), "toy version 1", "--vouch")
    assert signers(home, 2) == []
    assert mlops("keys", "sign", "--vouch", MODEL, home=home).returncode == 0
    assert signers(home, 2) == trusted_keys(home).ids


def test_a_damaged_bundle_is_never_signed(home: Path):
    store = signing_store(home)
    digest = store.read(MODEL, 2).routing.production.bundle
    (store.bundles / digest / "model.onnx").write_bytes(b"other")
    assert_one_line(mlops("keys", "sign", "--vouch", home=home), "toy version 2", "model.onnx")


def test_mistakes_are_named(home: Path, tmp_path: Path):
    (own,) = trusted_keys(home).ids
    assert_one_line(mlops("keys", "create", str(home / "keys" / "signing.pem"), home=home), "never written over")
    assert_one_line(mlops("keys", "retire", own, home=home), own, "signs")
    assert_one_line(mlops("keys", "retire", "../signing", home=home), "no key '../signing'")
    assert_one_line(mlops("keys", "sign", "nope", home=home), "nope", MODEL)
    assert_one_line(mlops("keys", "list", home=home, MLOPS_SIGNING_KEY=str(tmp_path / "x.pem")), "x.pem", "create")
