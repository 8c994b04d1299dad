"""Refuses ONNX graphs that would do more than compute on what the signed file holds.

The `onnx` package is no dependency of the server: `onnx.proto` names the few fields that matter.
"""

from collections.abc import Iterator

from google.protobuf.message import DecodeError, Message

from protos.mlops.v1.onnx_pb2 import OnnxModel, OnnxNode, OnnxTensor
from serving.errors import BundleError

_STANDARD_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})


def check_graph(model_bytes: bytes) -> None:
    """Check that all operators are ONNX's own and that all data are in the file.

    Raises:
        BundleError: They are not, or this is no ONNX file.
    """
    try:
        model = OnnxModel.FromString(model_bytes)
    except DecodeError:
        raise BundleError("the ONNX graph does not load: it is no ONNX file") from None
    for part in _parts_of(model):
        if isinstance(part, OnnxNode) and part.domain not in _STANDARD_DOMAINS:
            raise BundleError(f"the ONNX graph has the operator {part.op_type[:80]!r} of {part.domain[:80]!r}")
        if isinstance(part, OnnxTensor) and (part.data_location or part.external_data):
            raise BundleError("the ONNX graph has data outside of its file")


def _parts_of(message: Message) -> Iterator[Message]:
    """Yield a message and all that are in it: subgraphs are in attributes, attributes in functions."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if field.is_repeated else (value,):
                yield from _parts_of(inner)
