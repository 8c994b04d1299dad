"""What a client is told when a call can not be answered: the one table from error to gRPC status."""

import math
from typing import NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from serving.errors import (
    AuditError,
    BundleError,
    BundleUnreadableError,
    ContractError,
    DeadlineExceededError,
    DrainingError,
    JournalError,
    LakeError,
    MessageLimitError,
    ModelNotFoundError,
    ModelUnavailableError,
    OrchestratorError,
    OverloadError,
    PermissionDeniedError,
    PredictionNotFoundError,
    ReleaseError,
    RequestConflictError,
    ScoreError,
    ServingError,
    UnauthenticatedError,
    Violation,
)


class CallStatus(NamedTuple):
    """How a call ends."""

    code: grpc.StatusCode
    details: str = ""
    trailers: tuple[tuple[str, str | bytes], ...] = ()


OK = CallStatus(grpc.StatusCode.OK)
UNIMPLEMENTED = CallStatus(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

STATUS_OF_ERROR: dict[type[ServingError], grpc.StatusCode] = {
    ContractError: grpc.StatusCode.INVALID_ARGUMENT,
    RequestConflictError: grpc.StatusCode.INVALID_ARGUMENT,
    ModelNotFoundError: grpc.StatusCode.NOT_FOUND,
    PredictionNotFoundError: grpc.StatusCode.NOT_FOUND,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    OverloadError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    MessageLimitError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    ModelUnavailableError: grpc.StatusCode.UNAVAILABLE,
    JournalError: grpc.StatusCode.UNAVAILABLE,
    DrainingError: grpc.StatusCode.UNAVAILABLE,
    LakeError: grpc.StatusCode.UNAVAILABLE,
    OrchestratorError: grpc.StatusCode.UNAVAILABLE,
    AuditError: grpc.StatusCode.UNAVAILABLE,
    BundleUnreadableError: grpc.StatusCode.UNAVAILABLE,
    BundleError: grpc.StatusCode.FAILED_PRECONDITION,
    ReleaseError: grpc.StatusCode.FAILED_PRECONDITION,
    ScoreError: grpc.StatusCode.INTERNAL,
}

ERROR_DOMAIN = "mlops.v1"
"""`google.rpc.ErrorInfo` of this domain carries the error's class as the reason."""

RETRY_PUSHBACK = "grpc-retry-pushback-ms"
"""Trailer that tells a client, and gRPC's own retries, how long to stay away."""

# Everything travels in the trailers, which common clients limit to 8 KiB; there the details stand in base64.
_MAXIMUM_MESSAGE = 1000
_MAXIMUM_DETAILS = 4000


def status_of(error: BaseException) -> grpc.StatusCode:
    """Return the status that a client gets for an error."""
    return _foreseen_status_of(error) or _INTERNAL


def status_name_of(error: BaseException) -> str:
    """Return its name, as metrics show it."""
    return status_of(error).name


def end_of(error: BaseException) -> CallStatus:
    """Return what the client of a call is told about an error; what is not foreseen is not told."""
    return _UNFORESEEN if _foreseen_status_of(error) is None else rich_status_of(error)


def rich_status_of(error: BaseException) -> CallStatus:
    """Return status, text, details and trailers of a foreseen error."""
    rich = rpc_status.to_status(status_message_of(error))
    trailers = rich.trailing_metadata
    if isinstance(error, OverloadError):
        trailers = (*trailers, (RETRY_PUSHBACK, str(math.ceil(1000 * error.retry_after_seconds))))
    return CallStatus(rich.code, rich.details, trailers)


def status_message_of(error: BaseException) -> status_pb2.Status:
    """Return the status, text and details of an error as a message."""
    text = (isinstance(error, ServingError) and error.told) or str(error)
    status = status_pb2.Status(code=status_of(error).value[0], message=_shortened(text))
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=type(error).__name__, domain=ERROR_DOMAIN))
    if isinstance(error, ContractError):
        status.details.add().Pack(_bad_request(error))
    return status


def _foreseen_status_of(error: BaseException) -> grpc.StatusCode | None:
    return next((STATUS_OF_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_OF_ERROR), None)


def _bad_request(error: ContractError) -> error_details_pb2.BadRequest:
    details = error_details_pb2.BadRequest()
    for place, violation in enumerate(error.violations):
        details.field_violations.add(field=violation.field[:200], description=_description(violation))
        if details.ByteSize() > _MAXIMUM_DETAILS:
            del details.field_violations[-1]
            details.field_violations.add(field="...", description=f"and {len(error.violations) - place} more")
            break
    return details


def _description(violation: Violation) -> str:
    return str(violation).removeprefix(f"{violation.field}: ")[:300]


def _shortened(text: str) -> str:
    return text if len(text) <= _MAXIMUM_MESSAGE else f"{text[: _MAXIMUM_MESSAGE - 3]}..."


_INTERNAL = grpc.StatusCode.INTERNAL
_UNFORESEEN = CallStatus(_INTERNAL, "internal error; the server's log says more")
