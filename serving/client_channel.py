"""How the client reaches a server: connections, and what proves to each side who the other is."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from serving.errors import SettingsError

_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 300),
]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a protected server asks for.

    Args:
        token: Bearer token; sent only over TLS, or to this machine.
        ca: PEM file of the authorities that may vouch for the server; given, the connection is TLS.
        certificate: PEM file with the client's certificate chain, for mutual TLS.
        key: PEM file with its private key.
    """

    token: str = field(default="", repr=False)
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


NONE = Credentials()


def open_channel(address: str, credentials: Credentials) -> grpc.Channel:
    """Open one connection.

    Raises:
        SettingsError: The token would travel in the clear, or a file can not be read.
    """
    if credentials.ca is None:
        if credentials.token and not _is_loopback(address):
            raise SettingsError(f"a token for {address} needs TLS: name the authority of the server's certificate")
        channel = grpc.insecure_channel(address, _OPTIONS)
    else:
        tls = grpc.ssl_channel_credentials(
            _content(credentials.ca), _content(credentials.key), _content(credentials.certificate)
        )
        channel = grpc.secure_channel(address, tls, _OPTIONS)
    return grpc.intercept_channel(channel, _Bearer(credentials.token)) if credentials.token else channel


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    """Adds the token to every call; gRPC's own call credentials refuse to, on connections without TLS."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        return continuation(self._with_token(details), request)

    def intercept_stream_stream(self, continuation: Callable[..., Any], details: Any, requests: Any) -> Any:
        return continuation(self._with_token(details), requests)

    def _with_token(self, details: Any) -> Any:
        return details._replace(metadata=(*(details.metadata or ()), self._header))


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _content(path: Path | None) -> bytes | None:
    try:
        return path.read_bytes() if path is not None else None
    except OSError as error:
        raise SettingsError(f"{path} can not be read: {error.strerror}") from None
