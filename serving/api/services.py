"""Puts a servicer on a server so that every method parses, counts and fails in the same way."""

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from serving.api.grpc_status import refuse

_Answer = Callable[[Any, grpc.ServicerContext], Message]


def add_service(server: grpc.Server, service: ServiceDescriptor, servicer: object) -> None:
    """Register all methods of a service; the servicer has a method of the same name for each."""
    handlers = {method.name: _handler(method, getattr(servicer, method.name)) for method in service.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def _handler(method: MethodDescriptor, answer: _Answer) -> "grpc.RpcMethodHandler[Any, Any]":
    parse = GetMessageClass(method.input_type).FromString

    # Bytes come in and are parsed here: grpcio itself would answer malformed ones with INTERNAL.
    def handle(content: bytes, context: grpc.ServicerContext) -> Message:
        try:
            request = parse(content)
        except DecodeError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"these bytes are not a {method.input_type.full_name}")
        try:
            return answer(request, context)
        except Exception as error:  # the edge of the process: the table decides what the client is told
            refuse(error, context)

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=_serialize)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()
