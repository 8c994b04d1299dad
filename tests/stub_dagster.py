"""Stands in for Dagster's webserver: gives prepared answers over real HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StubDagster:
    """Answers each field that it is asked for as `answers` says, or everything with `body`."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = {}
        self.body: bytes | None = None
        self.status = 200
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stub.asked.append(asked)
                found = stub.answer(asked["query"])
                body = json.dumps({"data": found}).encode() if stub.body is None else stub.body
                self.send_response(stub.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, query: str) -> dict[str, Any]:
        """Return what is said to a query."""
        return {name: answer for name, answer in self.answers.items() if f" {name}" in query}

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
