"""Refuses calls on grpcio's serving thread itself: without a thread of a pool, and without a look at the message."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
else:
    Handler = grpc.RpcMethodHandler  # generic in the stubs only


class _AtOnce(ThreadPoolExecutor):
    """An executor of the kind that grpcio accepts, which runs what it is given before `submit` returns."""

    def submit(self, run: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        run(*arguments, **options)
        return _DONE


_AT_ONCE = _AtOnce(1)
_DONE: Future[Any] = Future()
_DONE.set_result(None)


def refusal(status: grpc.Status, record: Callable[[grpc.ServicerContext], None] | None = None) -> Handler:
    """Return a handler that answers any call, of whatever kind, with this status.

    Args:
        status: What the client is told.
        record: Called first, for refusals that must not go unnoticed.
    """

    # A handler of a stream of requests is the only one that grpcio calls before a message has arrived.
    def refuse(_messages: object, context: grpc.ServicerContext) -> bytes:
        if record is not None:
            record(context)
        context.abort_with_status(status)

    refuse.experimental_thread_pool = _AT_ONCE  # type: ignore[attr-defined]
    return grpc.stream_unary_rpc_method_handler(refuse)
