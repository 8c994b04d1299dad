"""Keys and signatures: who can make them, who is believed, and how one key follows another."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from serving.errors import BundleError, ReleaseError, SettingsError, SignatureError
from serving.formats.release import ReleaseStore, Routing
from serving.formats.signature import SigningKey, TrustedKeys, signing_key
from tests.serving.toy import MODEL, append_release, promote, write_toy_bundle
from tests.signing import signing_store, trusted_keys

DIGEST = "ab" * 32


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    folder.mkdir()
    return folder


@pytest.fixture
def trusted(tmp_path: Path) -> TrustedKeys:
    return TrustedKeys(tmp_path / "trusted")


def new_key(tmp_path: Path, name: str) -> SigningKey:
    return SigningKey.create(tmp_path / f"{name}.private")


def test_a_signature_is_believed_if_its_key_is_trusted(tmp_path: Path, bundles: Path, trusted: TrustedKeys):
    key = new_key(tmp_path, "one")
    key.sign(bundles, DIGEST)
    with pytest.raises(SignatureError, match="no signature by a trusted key \\(trusted: none\\)"):
        trusted.verify(bundles, DIGEST)
    key.publish(trusted.folder)
    assert trusted.verify(bundles, DIGEST) == key.id


def test_a_signature_of_one_bundle_says_nothing_of_another(tmp_path: Path, bundles: Path, trusted: TrustedKeys):
    key = new_key(tmp_path, "one")
    key.publish(trusted.folder)
    key.sign(bundles, DIGEST)
    other = "cd" * 32
    (bundles / f"{DIGEST}.{key.id}.sig").rename(bundles / f"{other}.{key.id}.sig")
    with pytest.raises(SignatureError, match=f"the signature by key {key.id} is wrong"):
        trusted.verify(bundles, other)


def test_during_a_rotation_the_old_key_and_the_new_one_are_believed(
    tmp_path: Path, bundles: Path, trusted: TrustedKeys
):
    old, new = new_key(tmp_path, "old"), new_key(tmp_path, "new")
    for key in (old, new):
        key.publish(trusted.folder)
    old.sign(bundles, DIGEST)
    assert trusted.verify(bundles, DIGEST) == old.id
    new.sign(bundles, DIGEST)
    assert sorted(trusted.signers(bundles, DIGEST)) == sorted([old.id, new.id])
    for path in trusted.files(old.id):
        path.unlink()
    assert trusted.verify(bundles, DIGEST) == new.id


def test_the_evidence_changes_with_keys_and_signatures_and_with_nothing_else(
    tmp_path: Path, bundles: Path, trusted: TrustedKeys
):
    key, stranger = new_key(tmp_path, "one"), new_key(tmp_path, "stranger")
    seen = [trusted.evidence(bundles, DIGEST)]
    key.publish(trusted.folder)
    seen.append(trusted.evidence(bundles, DIGEST))
    key.sign(bundles, DIGEST)
    seen.append(trusted.evidence(bundles, DIGEST))
    stranger.sign(bundles, DIGEST)
    key.sign(bundles, DIGEST)
    assert trusted.evidence(bundles, DIGEST) == seen[-1]
    assert len(set(seen)) == 3


@pytest.mark.parametrize("digest", ["../../etc/hostname", "", "AB" * 32, "ab" * 31, "ab" * 32 + "\n"])
def test_what_is_no_digest_is_neither_signed_nor_verified(
    tmp_path: Path, bundles: Path, trusted: TrustedKeys, digest: str
):
    key = new_key(tmp_path, "one")
    key.publish(trusted.folder)
    for use in (key.sign, trusted.verify, trusted.evidence):
        with pytest.raises(BundleError, match="is not a bundle digest"):
            use(bundles, digest)


def test_what_is_no_public_key_vouches_for_nothing_and_is_said_once(
    tmp_path: Path, bundles: Path, trusted: TrustedKeys, caplog: pytest.LogCaptureFixture
):
    key = new_key(tmp_path, "one")
    key.publish(trusted.folder)
    key.sign(bundles, DIGEST)
    foreign = rsa.generate_private_key(65537, 2048).public_key()
    encoding = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (trusted.folder / "rsa.pem").write_bytes(foreign.public_bytes(*encoding))
    (trusted.folder / "private.pem").write_bytes((tmp_path / "one.private").read_bytes())
    (trusted.folder / "noise.pem").write_bytes(bytes(range(256)))
    (trusted.folder / "folder.pem").mkdir()
    for _ in range(3):
        assert trusted.signers(bundles, DIGEST) == [key.id]
    assert caplog.text.count("it vouches for nothing") == 4


def test_a_private_key_is_readable_by_its_owner_only_and_never_written_over(tmp_path: Path):
    path = tmp_path / "keys" / "one.pem"
    key = SigningKey.create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(FileExistsError):
        SigningKey.create(path)
    assert SigningKey.load(path).id == key.id
    assert [entry.name for entry in path.parent.iterdir()] == ["one.pem"]


def test_a_home_makes_one_key_even_if_many_ask_at_once(tmp_path: Path):
    with ThreadPoolExecutor(16) as pool:
        ids = {key.id for key in pool.map(lambda _: signing_key(None, tmp_path / "keys"), range(16))}
    assert len(ids) == 1
    assert TrustedKeys(tmp_path / "keys" / "trusted").ids == list(ids)


def test_a_key_that_is_named_must_be_there_and_is_not_trusted_by_itself(tmp_path: Path):
    with pytest.raises(SettingsError, match="MLOPS_SIGNING_KEY names .* `mlops keys create"):
        signing_key(tmp_path / "gate.pem", tmp_path / "keys")
    key = SigningKey.create(tmp_path / "gate.pem")
    assert signing_key(tmp_path / "gate.pem", tmp_path / "keys").id == key.id
    assert not (tmp_path / "keys").exists()


@pytest.mark.parametrize("content", [b"", b"noise", b"-----BEGIN PRIVATE KEY-----\n"])
def test_what_is_no_private_key_is_named_with_the_mend(tmp_path: Path, content: bytes):
    path = tmp_path / "gate.pem"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="gate.pem is not an Ed25519 private key"):
        SigningKey.load(path)


def test_what_enters_the_routing_is_signed(tmp_path: Path):
    store = signing_store(tmp_path)
    production = promote(store, 1).routing.production
    assert trusted_keys(tmp_path).verify(store.bundles, production.bundle)


def test_nothing_unsigned_enters_the_routing_of_a_store_without_a_key(tmp_path: Path):
    store = ReleaseStore(tmp_path / "release_store")
    with pytest.raises(ReleaseError, match="version 1 is not signed"):
        append_release(store, write_toy_bundle(store.bundles, 1))
    assert store.latest_generation(MODEL) == 0


def test_a_store_without_a_key_can_bring_back_what_was_signed(tmp_path: Path):
    store = signing_store(tmp_path)
    first = promote(store, 1).routing.production
    promote(store, 2)
    keyless = ReleaseStore(store.root)
    assert append_release(keyless, first, action="rollback").generation == 3


def test_a_refusal_vouches_for_nothing_that_somebody_else_routed(tmp_path: Path):
    store = signing_store(tmp_path)
    promote(store, 1)
    evil = write_toy_bundle(store.bundles, 66)
    forged = replace(store.read(MODEL, 1), generation=2, routing=Routing(production=evil))
    (store.root / "releases" / MODEL / "2.json").write_bytes(forged.to_json())
    append_release(store, evil, action="refuse")
    with pytest.raises(SignatureError):
        trusted_keys(tmp_path).verify(store.bundles, evil.bundle)
