"""Answers `grpc.health.v1.Health`: the server by the name "", and each model by its own."""

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2


class HealthServicer(health.HealthServicer):  # type: ignore[misc]  # the library has no types
    """The library's servicer, with watches that hold up neither calls nor the end of the worker.

    Its default sends to a watching client while it holds its lock: one client that does not read would block every
    check. With threads of their own (see `call_pools`), watches wait for nobody but their own client.
    """

    def __init__(self) -> None:
        super().__init__(experimental_non_blocking=False)
        self._watches: set[Any] = set()
        self._ending = False
        self.report("", is_healthy=False)

    def report(self, name: str, *, is_healthy: bool) -> None:
        """Tell the health of a model, or of the server by the name "", to those who ask and those who watch."""
        status = health_pb2.HealthCheckResponse
        self.set(name, status.SERVING if is_healthy else status.NOT_SERVING)

    def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext, send_response_callback: Any = None
    ) -> Any:
        """Send the health now and at every change."""
        watch = super().Watch(request, context, send_response_callback)
        self._watches.add(watch)
        if not context.add_callback(lambda: self._watches.discard(watch)) or self._ending:
            watch.close()  # nobody will do it later
        return watch

    def end_watches(self) -> None:
        """End all watches after what was reported: the server waits for its calls, and a watch has no end."""
        self._ending = True
        for watch in list(self._watches):
            watch.close()
