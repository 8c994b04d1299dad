"""What is refused of the Open Inference Protocol's tensors, and how it is named."""

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st

from protos.inference import open_inference_pb2 as pb
from protos.mlops.v1 import prediction_pb2
from serving.api import tensor_calls
from serving.api.codec import rows_of_columns
from serving.errors import ContractError
from serving.formats.encoding import Encoding
from serving.prediction import PredictionAnswer
from tests.serving.harness import RunningServer
from tests.serving.tensors import Contents, Tensor, bytes_of, numbers, raw, typed, typed_outputs
from tests.serving.toy import CONTRACT, MODEL


def violations(call: Callable[[], object]) -> dict[str, str]:
    """Return the field violations with which a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = {detail.TypeName(): detail for detail in rpc_status.from_call(caught.value).details}
    request = error_details_pb2.BadRequest()
    details["google.rpc.BadRequest"].Unpack(request)
    return {violation.field: violation.description for violation in request.field_violations}


@pytest.mark.parametrize(
    "shape",
    [[], [0], [-1], [1001], [3], [2, 2], [2, 0], [2, -1], [2, 1, 1], [2**62, 2**62], [-(2**63), 2], [2] * 100_000],
)
def test_a_shape_that_is_not_one_element_a_row_is_refused(inference, shape: list[int]):
    request = typed()
    del request.inputs[0].shape[:]
    request.inputs[0].shape.extend(shape)
    found = violations(lambda: inference.ModelInfer(request))
    rule = "must have the shape [n] or [n, 1] with n from 1 to 1000"
    wrong = "must have 3 elements, as its shape says (got 2)"
    assert found == {"distance": wrong if shape == [3] else f"{rule} (got {shape[:4]})"}


def request_of(n_rows: int) -> pb.ModelInferRequest:
    request = typed(
        distance=numbers("FP64", fp64_contents=[place % 1000 for place in range(n_rows)]),
        hour=numbers("INT32", int_contents=[1] * n_rows),
        carrier=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"aa"] * n_rows)),
        origin=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b""] * n_rows)),
    )
    for tensor in request.inputs:
        tensor.shape[:] = [n_rows]
    return request


def test_1000_rows_are_answered_and_1001_are_not(inference):
    probabilities = inference.ModelInfer(request_of(1000)).outputs[1].contents.fp64_contents[1::2]
    assert len(probabilities) == 1000
    assert sorted(probabilities) == list(probabilities)
    assert set(violations(lambda: inference.ModelInfer(request_of(1001)))) == {"distance", "hour", "carrier", "origin"}


def test_every_offending_tensor_is_named_with_its_rule(inference):
    request = typed(
        distance=numbers("FP64", fp64_contents=[-1, 5000]),
        hour=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"a", b"b"])),
        carrier=None,
        origin=numbers("INT64", int64_contents=[1, 2]),
        tail=numbers("FP16", fp32_contents=[1, 2]),
        wing=numbers("FP32", fp32_contents=[1, 2]),
    )
    request.outputs.add(name="score")
    assert violations(lambda: inference.ModelInfer(request)) == {
        "distance": "is out of range [0, 1000] (got -1.0) in 2 rows, first row 0",
        "hour": "has texts, must have numbers",
        "carrier": "is missing",
        "origin": "has numbers, must have texts (BYTES)",
        "tail": "must have one of the datatypes BOOL, UINT8, UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP32, "
        "FP64, BYTES (got 'FP16')",
        "score": "is not an output, these are: label, probabilities, prediction_id",
        "wing": "is not a feature of this model",
    }


@pytest.mark.parametrize(
    ("tensor", "rule"),
    [
        (Tensor(datatype="FP64"), "must have its elements in fp64_contents (got none)"),
        (numbers("FP64", fp32_contents=[1, 2]), "must have its elements in fp64_contents (got fp32_contents)"),
        (
            numbers("INT64", int64_contents=[1, 2], bool_contents=[True]),
            "must have its elements in int64_contents (got bool_contents, int64_contents)",
        ),
        (numbers("FP64", fp64_contents=[1]), "must have 2 elements, as its shape says (got 1)"),
        (numbers("INT8", int_contents=[1, 300]), "has elements that are not INT8"),
        (numbers("UINT16", uint_contents=[1, 70_000]), "has elements that are not UINT16"),
        (numbers("FP64", fp64_contents=[1, float("inf")]), "is not finite (got inf)"),
        (numbers("UINT64", uint64_contents=[1, 2**64 - 1]), "is out of range [0, 1000] (got 1.8446744073709552e+19)"),
        (numbers("", fp64_contents=[1, 2]), "must have one of the datatypes"),
    ],
)
def test_elements_that_are_not_what_datatype_and_shape_say_are_refused(inference, tensor: Tensor, rule: str):
    found = violations(lambda: inference.ModelInfer(typed(distance=tensor)))
    assert found.keys() == {"distance"}
    assert found["distance"].startswith(rule)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ({"distance": b"\0" * 7}, "must have 8 raw bytes for 2 elements of FP32 (got 7)"),
        ({"distance": b"\0" * 16}, "must have 8 raw bytes for 2 elements of FP32 (got 16)"),
        ({"carrier": bytes_of("aa")}, "must have 2 raw elements"),
        ({"carrier": bytes_of("aa", "bb", "aa")}, "must have 2 raw elements"),
        ({"carrier": bytes_of("aa", "bb")[:-1]}, "must have 2 raw elements"),
        ({"carrier": bytes_of("aa", "bb") + b"\0\0"}, "must have 2 raw elements"),
        ({"carrier": b"\xff\xff\xff\xff" + b"aa"}, "must have 2 raw elements"),
        ({"carrier": b""}, "must have 2 raw elements"),
        ({"carrier": b"\1\0\0\0\xff" + bytes_of("bb")}, "has elements that are not UTF-8"),
    ],
)
def test_raw_bytes_that_are_not_what_datatype_and_shape_say_are_refused(inference, entry: dict[str, bytes], rule: str):
    found = violations(lambda: inference.ModelInfer(raw(**entry)))
    assert found.keys() == entry.keys()
    assert next(iter(found.values())).startswith(rule)


def test_raw_and_typed_contents_are_not_mixed_and_counts_match(inference):
    request = raw()
    request.inputs[0].contents.fp32_contents.extend([1, 2])
    assert violations(lambda: inference.ModelInfer(request)) == {"distance": "has contents beside raw_input_contents"}
    short = raw()
    del short.raw_input_contents[-1]
    assert violations(lambda: inference.ModelInfer(short)) == {"raw_input_contents": "has 3 entries for 4 inputs"}


def test_an_input_that_comes_twice_or_has_other_rows_is_refused(inference):
    twice = typed()
    twice.inputs.append(twice.inputs[0])
    assert violations(lambda: inference.ModelInfer(twice)) == {"distance": "is there twice"}
    longer = typed(carrier=Tensor(datatype="BYTES", shape=[3], contents=Contents(bytes_contents=[b"aa"] * 3)))
    assert violations(lambda: inference.ModelInfer(longer)) == {"carrier": "has 3 rows, others have 2"}


def test_what_stands_beside_the_features_is_checked_too(inference):
    late = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1e6)
    request = typed(
        entity_key=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"x" * 257, b""])),
        event_time=numbers("INT64", int64_contents=[late, -(2**63)]),
    )
    assert violations(lambda: inference.ModelInfer(request)) == {
        "entity_key": "is longer than 256 characters",
        "event_time": "is before the year 1900",
    }
    request = typed(
        entity_key=numbers("INT64", int64_contents=[1, 2]), event_time=numbers("FP64", fp64_contents=[1, 2])
    )
    request.id = "x" * 257
    request.parameters["request_id"].int64_param = 1
    assert violations(lambda: inference.ModelInfer(request)) == {
        "entity_key": "must have the datatype BYTES",
        "event_time": "must have the datatype INT64",
        "id": "is longer than 256 characters",
        "request_id": "must be a string parameter",
    }


def test_a_flood_of_tensors_is_refused_as_a_whole(inference):
    count = tensor_calls.MAXIMUM_INPUTS + 1
    for flood in ({"inputs": [Tensor()] * count}, {"raw_input_contents": [b""] * count}):
        request = pb.ModelInferRequest(model_name=MODEL, **flood)
        assert violations(lambda r=request: inference.ModelInfer(r)) == {"inputs": "are more than 10000"}
    assert violations(lambda: inference.ModelInfer(typed_outputs(*["label"] * 50_000))) == {"outputs": "are 50000 of 3"}


def test_an_empty_request_is_told_every_input(inference):
    found = violations(lambda: inference.ModelInfer(pb.ModelInferRequest(model_name=MODEL)))
    assert found == dict.fromkeys(["distance", "hour", "carrier", "origin"], "is missing")


@settings(max_examples=300, deadline=None)
@given(is_raw=st.booleans(), changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8))
def test_damaged_requests_are_answered_or_refused_by_name(is_raw: bool, changes: list[tuple[int, int]]):
    content = bytearray((raw() if is_raw else typed_outputs("label")).SerializeToString())
    for place, value in changes:
        content[place % len(content)] = value
    try:
        request = pb.ModelInferRequest.FromString(bytes(content))
        numbers, _ = tensor_calls.call_of_tensors(request).rows_of(CONTRACT)
    except (DecodeError, ContractError):
        return
    n_rows = len(numbers)
    answer = PredictionAnswer(["id"] * n_rows, ["late"] * n_rows, [0.5] * n_rows, [0.5] * n_rows, "1", 1)
    assert tensor_calls.response_of(request, answer).outputs[0].shape == [n_rows]


def test_bytes_that_are_no_message_are_an_invalid_argument(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff", timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_signaling_nan_is_a_missing_value_in_tensors_and_columns():
    signaling = struct.pack("<Q", 0x7FF0000000000001)
    tensor = Tensor(name="hour", datatype="FP32", shape=[2])
    request = raw()
    place = [each.name for each in request.inputs].index("hour")
    request.inputs[place].CopyFrom(tensor)
    request.raw_input_contents[place] = struct.pack("<II", 0x7F800001, 0x7F800001)
    numbers, texts = tensor_calls.call_of_tensors(request).rows_of(CONTRACT)
    assert np.isnan(numbers[:, 1]).all()

    column = prediction_pb2.NumberColumn.FromString(b"\x0a\x10" + signaling * 2)
    columns = [prediction_pb2.Column(name="hour", numbers=column)]
    columns.append(prediction_pb2.Column(name="distance", numbers={"values": [1.0, 2.0]}))
    code = prediction_pb2.TextColumn(dictionary=["aa"], codes=[1, 1])
    columns += [prediction_pb2.Column(name=name, texts=code) for name in ("carrier", "origin")]
    numbers, texts = rows_of_columns(prediction_pb2.PredictBatchRequest(columns=columns), CONTRACT)
    features = Encoding((0, 1), ()).features(numbers, texts)
    assert np.isnan(features).tolist() == [[False, True]] * 2
