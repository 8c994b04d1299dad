"""Requests of the Open Inference Protocol for two rows of the toy model."""

import struct

import numpy as np

from protos.inference import open_inference_pb2 as pb
from tests.serving.toy import MODEL, score_of

Tensor = pb.ModelInferRequest.InferInputTensor
Contents = pb.InferTensorContents

N_ROWS = 2
SCORES = [score_of(1, 400, 7, "aa"), score_of(1, 100, None, "bb")]


def typed(**changed: Tensor | None) -> pb.ModelInferRequest:
    """Two rows with typed contents; `changed` replaces an input, or adds one, or leaves one out."""
    tensors = {
        "distance": Tensor(datatype="FP32", contents=Contents(fp32_contents=[400, 100])),
        "hour": Tensor(datatype="FP64", contents=Contents(fp64_contents=[7, float("nan")])),
        "carrier": Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"aa", b"bb"])),
        "origin": Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"jfk", b""])),
    } | changed
    inputs = []
    for name, tensor in tensors.items():
        if tensor is not None:
            inputs.append(tensor)
            tensor.name = tensor.name or name
            tensor.shape.extend([] if tensor.shape else [N_ROWS])
    return pb.ModelInferRequest(model_name=MODEL, inputs=inputs)


def raw(**changed: bytes) -> pb.ModelInferRequest:
    """The same two rows with raw contents; `changed` replaces an entry."""
    entries = {
        "distance": np.array([400, 100], "<f4").tobytes(),
        "hour": np.array([7, np.nan], "<f8").tobytes(),
        "carrier": bytes_of("aa", "bb"),
        "origin": bytes_of("jfk", ""),
    } | changed
    request = typed()
    for tensor in request.inputs:
        tensor.ClearField("contents")
    request.raw_input_contents.extend(entries.values())
    return request


def typed_outputs(*names: str) -> pb.ModelInferRequest:
    request = typed()
    for name in names:
        request.outputs.add(name=name)
    return request


def bytes_of(*texts: str) -> bytes:
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def numbers(datatype: str, **contents: object) -> Tensor:
    return Tensor(datatype=datatype, contents=Contents(**contents))
