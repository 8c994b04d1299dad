"""Refuses to start a server that strangers could reach and that would not ask who they are."""

import ipaddress
import socket

from serving.errors import SettingsError
from serving.security.authentication import authenticator_of
from serving.security.tls import server_certificate_of
from serving.settings import ServingSettings, variable_of


def check_protection(settings: ServingSettings) -> None:
    """Check that the settings of security fit together and that the files they name can be used.

    Raises:
        SettingsError: They do not; names the variable and the mend.
    """
    _require_together(settings, "tls_certificate", "tls_key")
    _require_together(settings, "jwks", "jwt_issuer", "jwt_audience")
    if settings.tls_client_ca and not settings.tls_certificate:
        raise SettingsError(f"{variable_of('tls_client_ca')} needs {variable_of('tls_certificate')} too")
    if settings.jwks.startswith("http://") and not is_loopback(settings.jwks.split("/")[2].rsplit(":", 1)[0]):
        raise SettingsError(f"{variable_of('jwks')}: keys are fetched over https, or from a file")
    authenticator, certificate = authenticator_of(settings), server_certificate_of(settings)
    if settings.calls_per_second and authenticator is None:
        raise SettingsError(
            f"{variable_of('calls_per_second')} limits identities, and without tokens nobody has one: "
            f"set {variable_of('tokens')} or {variable_of('jwks')}, or do not set it"
        )
    if settings.allow_unprotected or is_loopback(settings.host):
        return
    missing = []
    if certificate is None:
        missing.append(f"{variable_of('tls_certificate')} and {variable_of('tls_key')}")
    if authenticator is None:
        missing.append(f"{variable_of('tokens')} or {variable_of('jwks')}")
    if missing:
        raise SettingsError(
            f"{variable_of('host')}={settings.host} can be reached from other machines: set {', and '.join(missing)}; "
            f"or set {variable_of('allow_unprotected')}=true if something else protects the port"
        )


def is_loopback(host: str) -> bool:
    """Return whether only processes of this machine reach an address; names count by what they resolve to."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host or None, 0, flags=socket.AI_PASSIVE)}
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def _require_together(settings: ServingSettings, *names: str) -> None:
    given = [name for name in names if getattr(settings, name)]
    if given and len(given) < len(names):
        absent = next(name for name in names if name not in given)
        raise SettingsError(f"{variable_of(given[0])} needs {variable_of(absent)} too")
