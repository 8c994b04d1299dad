"""Certificates for development and tests: an authority of one's own, a server's and a client's certificate.

In production an authority that knows how to revoke and to rotate makes them; the server takes any PEM files.
"""

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from serving.errors import SettingsError

_CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def write(self, folder: Path, name: str) -> None:
        _write(folder / f"{name}.crt", self.certificate.public_bytes(Encoding.PEM), 0o644)
        private = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(folder / f"{name}.key", private, 0o600)


def create_certificates(folder: Path, hosts: Iterable[str], *, lifetime: timedelta) -> list[Path]:
    """Write `ca`, `server` and `client`, each as `.crt` and `.key`, and return the paths.

    An authority that is in the folder already signs the new certificates, so that its clients trust them.

    Args:
        folder: Where to; made if it is not there.
        hosts: Names and addresses under which clients reach the server.
        lifetime: From now.

    Raises:
        SettingsError: A host is none, the folder can not be written, or its authority can not be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        authority = _authority_in(folder) or _issue("mlops development authority", None, lifetime)
        pairs = {
            "ca": authority,
            "server": _issue("mlops server", authority, lifetime, hosts, ExtendedKeyUsageOID.SERVER_AUTH),
            "client": _issue("mlops client", authority, lifetime, (), ExtendedKeyUsageOID.CLIENT_AUTH),
        }
        for name, pair in pairs.items():
            pair.write(folder, name)
    except OSError as error:
        raise SettingsError(f"{folder} can not be used: {error.strerror}") from None
    return [folder / f"{name}.{kind}" for name in pairs for kind in ("crt", "key")]


def _authority_in(folder: Path) -> _Pair | None:
    certificate, key = folder / "ca.crt", folder / "ca.key"
    if not certificate.exists() or not key.exists():
        return None
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
        public = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (ValueError, TypeError):
        raise SettingsError(f"{certificate} or {key} is no PEM file of this command") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise SettingsError(f"{key} is no key of this command")
    return _Pair(public, private)


def _issue(
    name: str,
    issuer: _Pair | None,
    lifetime: timedelta,
    hosts: Iterable[str] = (),
    usage: ObjectIdentifier | None = None,
) -> _Pair:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if names := [_general_name(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _Pair(builder.sign((issuer.key if issuer else key), hashes.SHA256()), key)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError:
        raise SettingsError(f"{host[:80]!r} is no host name in ASCII") from None


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    temporary.replace(path)
