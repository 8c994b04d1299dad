"""The server's certificate, followed while it is rotated: new connections get the new one, open ones go on."""

import logging
from datetime import UTC, datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from serving.errors import SettingsError
from serving.security.watched_files import stamp_of
from serving.settings import ServingSettings

_log = logging.getLogger(__name__)


class ServerCertificate:
    """Certificate chain and key of the server, and the authorities of its clients where they must have certificates."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read the files (PEM).

        Raises:
            SettingsError: One is not there or is not what it should be, or key and certificate do not belong together.
        """
        self._files = (certificate, key, client_ca)
        self._stamp = self._stamp_now()
        self._present = self._read()
        self._next: grpc.ServerCertificateConfiguration | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a port is opened with; each new connection asks for what `refresh` found last."""
        return grpc.dynamic_ssl_server_credentials(
            self._present,
            self._changed,  # type: ignore[arg-type]  # the stubs do not know that None means no change
            require_client_authentication=self._files[2] is not None,
        )

    def refresh(self) -> None:
        """Read the files again if they have changed; what does not fit together leaves what was read before."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._next = self._read()
        except SettingsError as error:
            _log.error("%s; the certificate read before stays", error)

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        changed, self._next = self._next, None
        return changed

    def _stamp_now(self) -> object:
        return stamp_of(*(path for path in self._files if path is not None))

    def _read(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, client_ca = self._files
        chain_bytes, key_bytes = _content(certificate, "tls_certificate"), _content(key, "tls_key")
        ca_bytes = _content(client_ca, "tls_client_ca") if client_ca is not None else None
        chain = _certificates(chain_bytes, "tls_certificate", certificate)
        if client_ca is not None and ca_bytes is not None:
            _certificates(ca_bytes, "tls_client_ca", client_ca)
        try:
            private = load_pem_private_key(key_bytes, password=None)
        except (ValueError, TypeError):
            raise SettingsError(f"SERVING_TLS_KEY: {key} is no private key in PEM without a password") from None
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if private.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
            raise SettingsError(f"SERVING_TLS_KEY: {key} does not belong to the certificate {certificate}")
        until = chain[0].not_valid_after_utc
        report = _log.info if until > datetime.now(UTC) else _log.error
        report("TLS certificate %x is good until %s", chain[0].serial_number, until.isoformat())
        return grpc.ssl_server_certificate_configuration([(key_bytes, chain_bytes)], root_certificates=ca_bytes)


def server_certificate_of(settings: ServingSettings) -> ServerCertificate | None:
    """Return the certificate that the settings name, or None if they name none.

    Raises:
        SettingsError: See `ServerCertificate`.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return ServerCertificate(settings.tls_certificate, settings.tls_key, settings.tls_client_ca)


def _content(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"SERVING_{setting.upper()}: {path} can not be read: {error.strerror}") from None


def _certificates(content: bytes, setting: str, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise SettingsError(f"SERVING_{setting.upper()}: {path} holds no certificate in PEM") from None
