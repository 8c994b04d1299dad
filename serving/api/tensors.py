"""The elements of one tensor of the Open Inference Protocol: raw or typed bytes to columns, columns to bytes.

A missing number is NaN in FP32 or FP64, a missing text is an empty element of BYTES; other datatypes have no missing
values.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protos.inference import open_inference_pb2 as pb
from serving.api.codec import MAXIMUM_ROWS
from serving.errors import ContractError, Violation

Column = NDArray[np.generic]
"""Shape (n_rows,): numbers in the dtype of the tensor's datatype, or str objects."""

_LENGTH = struct.Struct("<I")

# The dtype of raw elements, and the field of typed ones.
_NUMBERS = {
    "BOOL": (np.dtype("?"), "bool_contents"),
    "UINT8": (np.dtype("u1"), "uint_contents"),
    "UINT16": (np.dtype("<u2"), "uint_contents"),
    "UINT32": (np.dtype("<u4"), "uint_contents"),
    "UINT64": (np.dtype("<u8"), "uint64_contents"),
    "INT8": (np.dtype("i1"), "int_contents"),
    "INT16": (np.dtype("<i2"), "int_contents"),
    "INT32": (np.dtype("<i4"), "int_contents"),
    "INT64": (np.dtype("<i8"), "int64_contents"),
    "FP32": (np.dtype("<f4"), "fp32_contents"),
    "FP64": (np.dtype("<f8"), "fp64_contents"),
}


def column_of(tensor: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Column:
    """Read the elements of an input.

    Args:
        tensor: Of shape [n] or [n, 1].
        raw: Its entry of `raw_input_contents`; None: the elements are in its `contents`.

    Raises:
        ContractError: Shape, datatype and elements do not belong together; carries one violation.
    """
    n_rows = _n_rows(tensor)
    if tensor.datatype == "BYTES":
        elements = _typed(tensor, "bytes_contents", n_rows) if raw is None else _split(tensor.name, raw, n_rows)
        return _texts(tensor.name, elements)
    if tensor.datatype not in _NUMBERS:
        known = ", ".join([*_NUMBERS, "BYTES"])
        raise _violation(tensor.name, f"must have one of the datatypes {known}", repr(tensor.datatype[:40]))
    dtype, field = _NUMBERS[tensor.datatype]
    if raw is None:
        try:
            return np.array(_typed(tensor, field, n_rows), dtype=dtype)
        except OverflowError:
            raise _violation(tensor.name, f"has elements that are not {tensor.datatype}") from None
    if len(raw) != n_rows * dtype.itemsize:
        rule = f"must have {n_rows * dtype.itemsize} raw bytes for {n_rows} elements of {tensor.datatype}"
        raise _violation(tensor.name, rule, str(len(raw)))
    return np.frombuffer(raw, dtype)


def raw_of(values: Sequence[str] | NDArray[np.float64]) -> bytes:
    """Return texts or numbers as raw bytes."""
    if isinstance(values, np.ndarray):
        return values.astype("<f8").tobytes()
    elements = [text.encode() for text in values]
    return b"".join([_LENGTH.pack(len(element)) + element for element in elements])


def contents_of(values: Sequence[str] | NDArray[np.float64]) -> pb.InferTensorContents:
    """Return texts or numbers as typed contents."""
    if isinstance(values, np.ndarray):
        return pb.InferTensorContents(fp64_contents=values.ravel().tolist())
    return pb.InferTensorContents(bytes_contents=[text.encode() for text in values])


def _n_rows(tensor: pb.ModelInferRequest.InferInputTensor) -> int:
    shape = tensor.shape
    n_dimensions = len(shape)
    if not 1 <= n_dimensions <= 2 or not 1 <= shape[0] <= MAXIMUM_ROWS or (n_dimensions == 2 and shape[1] != 1):
        rule = f"must have the shape [n] or [n, 1] with n from 1 to {MAXIMUM_ROWS}"
        raise _violation(tensor.name, rule, f"{list(shape[:4])}")
    return shape[0]


def _typed(tensor: pb.ModelInferRequest.InferInputTensor, field: str, n_rows: int) -> Sequence[Any]:
    given = [descriptor.name for descriptor, _ in tensor.contents.ListFields()]
    if given != [field]:
        raise _violation(tensor.name, f"must have its elements in {field}", ", ".join(given) or "none")
    elements: Sequence[Any] = getattr(tensor.contents, field)
    if len(elements) != n_rows:
        raise _violation(tensor.name, f"must have {n_rows} elements, as its shape says", str(len(elements)))
    return elements


def _split(name: str, raw: bytes, n_rows: int) -> list[bytes]:
    """Cut raw BYTES at the little-endian u32 length before each element."""
    elements: list[bytes] = []
    end = 0
    try:
        while end < len(raw) and len(elements) <= n_rows:
            start = end + _LENGTH.size
            end = start + _LENGTH.unpack_from(raw, end)[0]
            elements.append(raw[start:end])
    except struct.error:
        end = -1
    if end != len(raw) or len(elements) != n_rows:
        raise _violation(name, f"must have {n_rows} raw elements, each after its length as a little-endian u32")
    return elements


def _texts(name: str, elements: Sequence[bytes]) -> Column:
    texts = np.empty(len(elements), dtype=object)
    try:
        texts[:] = [element.decode() for element in elements]
    except UnicodeDecodeError as error:
        raise _violation(name, "has elements that are not UTF-8", repr(error.object[:40])) from None
    return texts


def _violation(name: str, rule: str, value: str = "") -> ContractError:
    return ContractError([Violation(name[:80], rule, value=value)])
