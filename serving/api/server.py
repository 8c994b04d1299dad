"""The gRPC server of one worker: its port, its threads, its gate, and what it keeps an eye on."""

import logging
from collections.abc import Iterable

from google.protobuf.descriptor import ServiceDescriptor

from serving.api.call_pools import call_pools
from serving.api.gate import gate_of
from serving.api.method_handlers import MethodHandlers
from serving.api.refusal_log import RefusalLog
from serving.api.services import Services
from serving.api.transport import Transport
from serving.metrics import CALLS_IN_FLIGHT
from serving.security.authentication import authenticator_of
from serving.security.tls import server_certificate_of
from serving.settings import ServingSettings
from serving.ticker import Ticker

_COUNT_SECONDS = 0.1
_WATCH_SECONDS = 0.5
_CREDENTIALS_SECONDS = 1.0
_LAST_SECONDS = 1.0
"""For a thread to notice that its call was canceled. One that does not ends with the process."""

_ONLY_UNCOMPRESSED = 1
"""Bit set of gRPC's compression algorithms: a small compressed request could become a large one."""

_MAXIMUM_UNSEEN = 4096
"""Calls that have arrived and that the gate has not seen yet."""


class ApiServer:
    """Answers calls from `start` to `refuse_new_calls`."""

    def __init__(
        self,
        settings: ServingSettings,
        servicers: Iterable[tuple[ServiceDescriptor, object]],
        refusals: RefusalLog,
    ) -> None:
        """Read the credentials and prepare the methods.

        Args:
            settings: Address, credentials and bounds.
            servicers: What answers the methods of each service.
            refusals: Logs calls that are not answered.

        Raises:
            SettingsError: A file that the settings name can not be used.
        """
        logging.getLogger("grpc._cython.cygrpc").addFilter(_says_nothing_of_headers)
        self._address = settings.address
        self._certificate = server_certificate_of(settings)
        self._authenticator = authenticator_of(settings)
        self.pools = call_pools(settings)
        gate = gate_of(settings, self._authenticator)
        self._transport = Transport(server_options(settings))
        self._handlers = MethodHandlers(settings, gate, self._transport.soon, refusals)
        self._services = Services(gate, self._handlers, self.pools)
        for service, servicer in servicers:
            self._services.add(service, servicer)
        self._tickers = [
            Ticker(self._watch, seconds=_WATCH_SECONDS, name="api-watch"),
            Ticker(self._count, seconds=_COUNT_SECONDS, name="calls-in-flight"),
        ]
        if self._authenticator is not None:
            self._tickers.append(Ticker(self._authenticator.refresh, seconds=_CREDENTIALS_SECONDS, name="credentials"))

    def start(self) -> int:
        """Open the port and answer; returns its number.

        Raises:
            RuntimeError: The port can not be opened.
        """
        if self._authenticator is not None:
            self._authenticator.refresh()
        credentials = None if self._certificate is None else self._certificate.credentials()
        port = self._transport.open(self._address, credentials)
        self._transport.start(self._services.arrived)
        for ticker in self._tickers:
            ticker.start()
        return port

    def refuse_new_calls(self, grace_seconds: float) -> None:
        """Take no more calls; those that were taken have so long to be answered."""
        self._transport.stop(grace_seconds)
        self._handlers.drain()

    def wait(self) -> None:
        """Return when they are, or the time is over."""
        is_over = self._transport.wait()
        for ticker in self._tickers:
            ticker.stop()
        pools = (*self.pools.values(), self._handlers.audit_trail.pool)
        all_closed = [pool.close(_LAST_SECONDS) for pool in pools]
        if is_over and all(all_closed):
            self._transport.close()

    def _watch(self) -> None:
        self._handlers.tick()
        if self._certificate is not None:
            self._certificate.refresh()

    def _count(self) -> None:
        for name, pool in self.pools.items():
            CALLS_IN_FLIGHT.labels(name).set(pool.calls)


def _says_nothing_of_headers(record: logging.LogRecord) -> bool:
    """Drop what grpcio logs of a header that is not UTF-8: its value, which may be most of a token."""
    return not str(record.msg).startswith("Invalid encoding")


def server_options(settings: ServingSettings) -> list[tuple[str, int]]:
    """Return how the transport is set up."""
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", settings.maximum_message_bytes),
        ("grpc.max_send_message_length", settings.maximum_message_bytes),
        ("grpc.compression_enabled_algorithms_bitset", _ONLY_UNCOMPRESSED),
        # A flood that the gate can not even refuse in time: gRPC's core cancels it.
        ("grpc.server.max_pending_requests", _MAXIMUM_UNSEEN),
        ("grpc.server.max_pending_requests_hard_limit", _MAXIMUM_UNSEEN),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.server_handshake_timeout_ms", 10_000),
    ]
