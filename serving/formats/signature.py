"""Detached signatures: which key vouches for a bundle before it may answer.

`<bundles>/<digest>.<key id>.sig` holds the 64 bytes of an Ed25519 signature over the bundle's digest. A bundle may
carry several, one a key: rotating keys adds files and changes none. Keys are PEM files; a key's id is the start of
the sha256 of its public bytes.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from serving.complaints import Complaints
from serving.errors import BundleUnreadableError, SettingsError, SignatureError
from serving.formats.bundle import bundle_folder
from serving.formats.files import create_file, read_bounded, replace_file

HOME_KEY, TRUSTED_FOLDER = "signing.pem", "trusted"
_SIGNATURE_BYTES = 64
_CONTEXT = b"mlops bundle signature 1\n"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SigningKey:
    """A private key that vouches for bundles."""

    private: Ed25519PrivateKey

    @classmethod
    def create(cls, path: Path) -> "SigningKey":
        """Make a new key and write it, readable by its owner only.

        Raises:
            FileExistsError: There is a file already; a key is never written over.
        """
        key = cls(Ed25519PrivateKey.generate())
        content = key.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        create_file(path, content, mode=0o600)
        return key

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read a key.

        Raises:
            FileNotFoundError: It is not there.
            SettingsError: It is not an Ed25519 private key in PEM.
        """
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise SettingsError(f"{path} is not an Ed25519 private key in PEM; `mlops keys create` makes one")
        return cls(private)

    @property
    def id(self) -> str:
        """The id of the public key."""
        return key_id(self.private.public_key())

    def publish(self, trusted: Path) -> Path:
        """Put the public key into a folder of trusted keys; doing it twice is harmless."""
        path = trusted / f"{self.id}.pem"
        if not path.exists():
            replace_file(
                path,
                self.private.public_key().public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                ),
            )
        return path

    def sign(self, bundles: Path, digest: str) -> None:
        """Vouch for a bundle; doing it twice is harmless.

        Raises:
            BundleError: `digest` is not one.
        """
        replace_file(_signature_path(bundles, digest, self.id), self.private.sign(_signed_bytes(digest)))


class TrustedKeys:
    """A folder of public keys, `*.pem`; read whenever a bundle is judged, so that rotation needs no restart."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._complaints = Complaints(_log)

    @property
    def ids(self) -> list[str]:
        """The ids of the keys."""
        return [key_id(key) for _, key in self._read()]

    def files(self, identity: str) -> list[Path]:
        """Return the files that hold a key."""
        return [path for path, key in self._read() if key_id(key) == identity]

    def signers(self, bundles: Path, digest: str) -> list[str]:
        """Return the ids of the trusted keys that vouch for a bundle."""
        return [key_id(key) for _, key in self._read() if _vouches(key, bundles, digest)]

    def verify(self, bundles: Path, digest: str) -> str:
        """Return the id of a trusted key that vouches for a bundle.

        Raises:
            SignatureError: There is none.
            BundleError: `digest` is not one.
            BundleUnreadableError: A signature is there and can not be read.
        """
        if signers := self.signers(bundles, digest):
            return signers[0]
        ids = self.ids
        wrong = [identity for identity in ids if _read_signature(bundles, digest, identity)]
        what = f"the signature by key {wrong[0]} is wrong" if wrong else "no signature by a trusted key"
        raise SignatureError(f"bundle {digest[:12]}: {what} (trusted: {', '.join(ids) or 'none'})")

    def evidence(self, bundles: Path, digest: str) -> str:
        """Return a digest of everything that `verify` looks at: as long as it is the same, so is the verdict."""
        seen = hashlib.sha256()
        for identity in self.ids:
            seen.update(identity.encode() + _read_signature(bundles, digest, identity).ljust(_SIGNATURE_BYTES + 1))
        return seen.hexdigest()

    def _read(self) -> Iterator[tuple[Path, Ed25519PublicKey]]:
        for path in sorted(self.folder.glob("*.pem")):
            try:
                key = serialization.load_pem_public_key(path.read_bytes())
            except (OSError, ValueError, UnsupportedAlgorithm):
                key = None
            if isinstance(key, Ed25519PublicKey):
                yield path, key
            else:
                self._complaints.say(str(path), "not an Ed25519 public key in PEM: it vouches for nothing")


def signing_key(path: Path | None, home_keys: Path) -> SigningKey:
    """Return the key that signs here: that of `path`, or without one the home's own, made at first use.

    The home's own key is published to the home's trusted keys, so that a fresh home works without set-up. A key that
    is named by a path is trusted only where somebody says so.

    Raises:
        SettingsError: `path` names no key.
    """
    if path is not None:
        try:
            return SigningKey.load(path)
        except FileNotFoundError:
            mend = f"`mlops keys create {path}` makes it"
            raise SettingsError(f"MLOPS_SIGNING_KEY names {path}, which is not there; {mend}") from None
    own = home_keys / HOME_KEY
    if not own.exists():
        try:
            SigningKey.create(own)
        except FileExistsError:
            _log.info("another process made %s", own)
    key = SigningKey.load(own)
    key.publish(home_keys / TRUSTED_FOLDER)
    return key


def key_id(key: Ed25519PublicKey) -> str:
    """Return the id of a key: 16 hex digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def signature_files(bundles: Path, digest: str) -> list[Path]:
    """Return all signatures of a bundle, whoever made them."""
    bundle_folder(bundles, digest)
    if not bundles.is_dir():
        return []
    return sorted(path for path in bundles.iterdir() if path.name.startswith(f"{digest}.") and path.suffix == ".sig")


def copy_signatures(source: Path, target: Path, digest: str) -> None:
    """Copy all signatures of a bundle to another folder of bundles."""
    for path in signature_files(source, digest):
        replace_file(target / path.name, read_bounded(path, _SIGNATURE_BYTES))


def _signature_path(bundles: Path, digest: str, identity: str) -> Path:
    folder = bundle_folder(bundles, digest)
    return folder.with_name(f"{digest}.{identity}.sig")


def _vouches(key: Ed25519PublicKey, bundles: Path, digest: str) -> bool:
    try:
        key.verify(_read_signature(bundles, digest, key_id(key)), _signed_bytes(digest))
    except InvalidSignature:
        return False
    return True


def _read_signature(bundles: Path, digest: str, identity: str) -> bytes:
    path = _signature_path(bundles, digest, identity)
    try:
        return read_bounded(path, _SIGNATURE_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BundleUnreadableError(f"{path.name[:12]}: a signature can not be read: {error.strerror}") from error


def _signed_bytes(digest: str) -> bytes:
    return _CONTEXT + digest.encode()
