"""What a refused call is in Python: the error that the server raised."""

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from protos.mlops.v1 import prediction_pb2
from serving import errors
from serving.errors import CallError, ContractError, ServingError, Violation

# CANCELLED is what grpc's server says to a call that reaches it while it stops: the call was not accepted.
_RETRIED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
_RETRY_PUSHBACK = "grpc-retry-pushback-ms"
_NAMES = {code.value[0]: code.name for code in grpc.StatusCode}
_KINDS: dict[str, type[ServingError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ServingError)
}


def seconds_to_retry(error: grpc.RpcError) -> float | None:
    """Return how long to stay away before the same call may be sent again, or None if it must not be."""
    for trailer in error.trailing_metadata() or ():
        if trailer.key == _RETRY_PUSHBACK and str(trailer.value).isdecimal():
            return int(trailer.value) / 1000
    return 0.0 if error.code() in _RETRIED else None


def error_of(error: grpc.RpcError) -> ServingError:
    """Return the serving error that the status stands for, or a `CallError` with a readable text."""
    status = rpc_status.from_call(error)
    return CallError(f"{error.code().name}: {error.details()}") if status is None else error_of_status(status)


def error_of_status(status: status_pb2.Status | prediction_pb2.Refusal) -> ServingError:
    """Return the serving error that a status with details stands for, or a `CallError` with a readable text."""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for message in (info, request):
            detail.Unpack(message)
    if info.reason == ContractError.__name__:
        return ContractError([Violation(entry.field, entry.description) for entry in request.field_violations])
    kind = _KINDS.get(info.reason)
    if kind is not None:
        return kind(status.message)
    return CallError(f"{_NAMES.get(status.code, status.code)}: {status.message}")
