"""What a refused call is in Python: the error that the server raised."""

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from serving import errors
from serving.errors import CallError, ContractError, ServingError, Violation

_KINDS: dict[str, type[ServingError]] = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, ServingError)
}


def error_of(error: grpc.RpcError) -> ServingError:
    """Return the serving error that the status stands for, or a `CallError` with a readable text."""
    status = rpc_status.from_call(error)
    text = f"{error.code().name}: {error.details()}"
    if status is None:
        return CallError(text)
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        for message in (info, request):
            detail.Unpack(message)
    if info.reason == ContractError.__name__:
        return ContractError([Violation(entry.field, entry.description) for entry in request.field_violations])
    kind = _KINDS.get(info.reason)
    return kind(status.message) if kind is not None else CallError(text)
