"""What the supervisor shows over HTTP: /livez, /readyz and the metrics of all its processes."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Info, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.build import build_info
from serving.journal.backlog import backlog_of

MAXIMUM_CONNECTIONS = 32
"""Of the HTTP port: each has a thread and a file descriptor, which the supervisor also needs to replace workers."""

_PATIENCE_SECONDS = 5.0
"""With a connection that neither sends nor takes anything."""


class JournalCollector(Collector):
    """Shows what the journals hold at the moment of the scrape."""

    def __init__(self, journals: Path) -> None:
        self._journals = journals

    def collect(self) -> Iterator[Metric]:
        """Look at the folders now."""
        backlog = backlog_of(self._journals)
        for name, help_text, value in (
            ("rows", "Rows of sealed segments that are not yet in the lake.", backlog.rows),
            ("bytes", "Journaled and not yet in the lake.", backlog.n_bytes),
            ("age_seconds", "Age of the oldest unshipped segment.", backlog.age_seconds),
        ):
            yield GaugeMetricFamily(f"journal_backlog_{name}", help_text, value)
        yield GaugeMetricFamily(
            "journal_quarantined_segments",
            "Damaged segments whose records are not in the lake until a person has looked at them.",
            backlog.quarantined_segments,
        )


class Observation:
    """A small HTTP server on a thread of its own."""

    def __init__(self, address: tuple[str, int], *, metrics: Path, journals: Path, ready: Callable[[], bool]) -> None:
        """Bind the address.

        Raises:
            OSError: It can not be bound.
        """
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(metrics))  # type: ignore[no-untyped-call]
        registry.register(JournalCollector(journals))
        Info("serving_build", "What this server is made of.", registry=registry).info(build_info())
        self._server = _BoundedServer(address, _handler(registry, ready))
        self.port = self._server.server_address[1]

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _BoundedServer(ThreadingHTTPServer):
    """Closes a connection at once for which there is no place."""

    daemon_threads = True
    request_queue_size = MAXIMUM_CONNECTIONS

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.Semaphore(MAXIMUM_CONNECTIONS)
        super().__init__(address, handler)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._places.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread is to be had
            self._places.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()


def _handler(registry: CollectorRegistry, ready: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _PATIENCE_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, generate_latest(registry), CONTENT_TYPE_LATEST)
            elif self.path == "/livez":
                self._answer(200, b"alive\n")
            elif self.path == "/readyz":
                self._answer(*((200, b"ready\n") if ready() else (503, b"not ready\n")))
            else:
                self._answer(404, b"there are /livez, /readyz and /metrics\n")

        def _answer(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Health checks are not worth a line each."""

    return Handler
