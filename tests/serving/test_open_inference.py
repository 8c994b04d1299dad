"""The Open Inference Protocol beside the project's own: the same answers, the same records, the same refusals."""

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from protos.inference import open_inference_pb2 as pb
from protos.inference import open_inference_pb2_grpc as pb_grpc
from serving.api import tensor_calls
from serving.client import Client, Label
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, promote, score_of

Tensor = pb.ModelInferRequest.InferInputTensor
Contents = pb.InferTensorContents

N_ROWS = 2
SCORES = [score_of(1, 400, 7, "aa"), score_of(1, 100, None, "bb")]


@pytest.fixture
def stub(server: RunningServer) -> Iterator[pb_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield pb_grpc.GRPCInferenceServiceStub(channel)


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


def bytes_of(*texts: str) -> bytes:
    return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in texts)


def numbers(datatype: str, *values: float, **contents: object) -> Tensor:
    return Tensor(datatype=datatype, contents=Contents(**contents))


def violations(call: Callable[[], object]) -> dict[str, str]:
    """Return the field violations with which a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = {detail.TypeName(): detail for detail in rpc_status.from_call(caught.value).details}
    request = error_details_pb2.BadRequest()
    details["google.rpc.BadRequest"].Unpack(request)
    return {violation.field: violation.description for violation in request.field_violations}


def test_typed_contents_get_typed_answers(stub):
    answer = stub.ModelInfer(typed())
    label, probabilities, ids = answer.outputs
    assert not answer.raw_output_contents
    assert list(label.contents.bytes_contents) == [b"late", b"on_time"]
    assert list(probabilities.shape) == [2, 2]
    expected = [SCORES[0], SCORES[1]]
    np.testing.assert_allclose(np.reshape(probabilities.contents.fp64_contents, (2, 2))[:, 1], expected, atol=1e-6)
    assert len(set(ids.contents.bytes_contents)) == 2


def test_raw_contents_get_raw_answers(stub):
    answer = stub.ModelInfer(raw())
    label, probabilities, ids = answer.raw_output_contents
    assert label == bytes_of("late", "on_time")
    np.testing.assert_allclose(np.frombuffer(probabilities, "<f8").reshape(2, 2)[:, 1], SCORES, atol=1e-6)
    assert len(ids) == 2 * (4 + 36)
    assert not any(output.HasField("contents") for output in answer.outputs)


def test_a_row_gets_the_same_probability_over_both_protocols(stub, client: Client):
    (theirs,) = stub.ModelInfer(typed_outputs("probabilities")).outputs
    row = {"distance": 400.0, "hour": 7, "carrier": "aa", "origin": "jfk"}
    assert theirs.contents.fp64_contents[1] == client.predict(MODEL, row).probability


def typed_outputs(*names: str) -> pb.ModelInferRequest:
    request = typed()
    for name in names:
        request.outputs.add(name=name)
    return request


def test_requested_outputs_come_once_in_the_order_of_the_request(stub):
    answer = stub.ModelInfer(typed_outputs("prediction_id", "label", "label"))
    assert [output.name for output in answer.outputs] == ["prediction_id", "label"]


@pytest.mark.parametrize(
    ("datatype", "field", "code"),
    [
        ("UINT8", "uint_contents", "u1"),
        ("UINT16", "uint_contents", "<u2"),
        ("UINT32", "uint_contents", "<u4"),
        ("UINT64", "uint64_contents", "<u8"),
        ("INT8", "int_contents", "i1"),
        ("INT16", "int_contents", "<i2"),
        ("INT32", "int_contents", "<i4"),
        ("INT64", "int64_contents", "<i8"),
        ("FP32", "fp32_contents", "<f4"),
        ("FP64", "fp64_contents", "<f8"),
    ],
)
def test_every_datatype_of_numbers_is_read_typed_and_raw(stub, datatype: str, field: str, code: str):
    expected = [score_of(1, 400, 3, "aa"), score_of(1, 100, 4, "bb")]
    by_type = typed(hour=numbers(datatype, **{field: [3, 4]}))
    by_bytes = raw(hour=np.array([3, 4], code).tobytes())
    by_bytes.inputs[1].datatype = datatype
    for request in (by_type, by_bytes):
        request.outputs.add(name="probabilities")
        (output,) = (answer := stub.ModelInfer(request)).outputs
        found = np.frombuffer(answer.raw_output_contents[0]) if request is by_bytes else output.contents.fp64_contents
        np.testing.assert_allclose(np.reshape(found, (2, 2))[:, 1], expected, atol=1e-6)


def test_booleans_are_the_numbers_0_and_1(stub):
    by_type = typed(hour=numbers("BOOL", bool_contents=[False, True]))
    by_bytes = raw(hour=b"\x00\x01")
    by_bytes.inputs[1].datatype = "BOOL"
    expected = [score_of(1, 400, 0, "aa"), score_of(1, 100, 1, "bb")]
    found = np.reshape(stub.ModelInfer(by_type).outputs[1].contents.fp64_contents, (2, 2))
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)
    found = np.frombuffer(stub.ModelInfer(by_bytes).raw_output_contents[1]).reshape(2, 2)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)


def test_keys_times_and_request_id_reach_the_log_and_labels_find_their_prediction(server, stub, client: Client):
    times = [datetime(2013, 2, 1, 12, tzinfo=UTC), datetime(2013, 2, 1, 13, tzinfo=UTC)]
    request = typed(
        entity_key=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"UA-1", b"UA-2"])),
        event_time=numbers("INT64", int64_contents=[int(time.timestamp() * 1e6) for time in times]),
    )
    request.parameters["request_id"].string_param = "with-keys"
    ids = [each.decode() for each in stub.ModelInfer(request).outputs[2].contents.bytes_contents]
    found = [client.prediction(MODEL, each) for each in ids]
    assert [each.entity_key for each in found] == ["UA-1", "UA-2"]
    assert [each.event_time.ToDatetime(UTC) for each in found] == times
    assert {each.request_id for each in found} == {"with-keys"}
    assert client.feedback(MODEL, [Label(each, "late") for each in ids]) == 2
    eventually(lambda: set(ids) <= set(server.shipped()), what="shipping")


def test_a_retry_gets_the_same_predictions_and_the_protocols_own_id_is_only_given_back(stub):
    request = typed()
    request.id = "constant"
    first, second = stub.ModelInfer(request), stub.ModelInfer(request)
    assert first.id == second.id == "constant"
    assert first.outputs[2] != second.outputs[2]
    request.parameters["request_id"].string_param = "once"
    assert stub.ModelInfer(request).outputs == stub.ModelInfer(request).outputs
    request.inputs[0].contents.fp32_contents[0] = 401
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "shape",
    [[], [0], [-1], [1001], [3], [2, 2], [2, 0], [2, -1], [2, 1, 1], [2**62, 2**62], [-(2**63), 2], [2] * 100_000],
)
def test_a_shape_that_is_not_one_element_a_row_is_refused(stub, shape: list[int]):
    request = typed()
    del request.inputs[0].shape[:]
    request.inputs[0].shape.extend(shape)
    found = violations(lambda: stub.ModelInfer(request))
    rule = "must have the shape [n] or [n, 1] with n from 1 to 1000"
    wrong = "must have 3 elements, as its shape says (got 2)"
    assert found == {"distance": wrong if shape == [3] else f"{rule} (got {shape[:4]})"}


def test_1000_rows_are_answered_and_1001_are_not(stub):
    def request(n_rows: int) -> pb.ModelInferRequest:
        return typed(
            distance=Tensor(datatype="FP64", shape=[n_rows, 1], contents=Contents(fp64_contents=range(n_rows)))
            if n_rows <= 1000
            else Tensor(datatype="FP64", shape=[n_rows], contents=Contents(fp64_contents=[1] * n_rows)),
            hour=Tensor(datatype="INT32", shape=[n_rows], contents=Contents(int_contents=[1] * n_rows)),
            carrier=Tensor(datatype="BYTES", shape=[n_rows], contents=Contents(bytes_contents=[b"aa"] * n_rows)),
            origin=Tensor(datatype="BYTES", shape=[n_rows], contents=Contents(bytes_contents=[b""] * n_rows)),
        )

    probabilities = np.reshape(stub.ModelInfer(request(1000)).outputs[1].contents.fp64_contents, (1000, 2))[:, 1]
    assert sorted(probabilities) == list(probabilities)
    assert set(violations(lambda: stub.ModelInfer(request(1001)))) == {"distance", "hour", "carrier", "origin"}


def test_every_offending_tensor_is_named_with_its_rule(stub):
    request = typed(
        distance=numbers("FP64", fp64_contents=[-1, 5000]),
        hour=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"a", b"b"])),
        carrier=None,
        origin=numbers("INT64", int64_contents=[1, 2]),
        tail=numbers("FP16", fp32_contents=[1, 2]),
        wing=numbers("FP32", fp32_contents=[1, 2]),
    )
    request.outputs.add(name="score")
    assert violations(lambda: stub.ModelInfer(request)) == {
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
def test_elements_that_are_not_what_datatype_and_shape_say_are_refused(stub, tensor: Tensor, rule: str):
    found = violations(lambda: stub.ModelInfer(typed(distance=tensor)))
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
        ({"carrier": b"\1\0\0\0\xff" + bytes_of("bb")}, "is not UTF-8"),
    ],
)
def test_raw_bytes_that_are_not_what_datatype_and_shape_say_are_refused(stub, entry: dict[str, bytes], rule: str):
    found = violations(lambda: stub.ModelInfer(raw(**entry)))
    assert found.keys() == entry.keys()
    assert next(iter(found.values())).startswith(rule)


def test_raw_and_typed_contents_are_not_mixed_and_counts_match(stub):
    request = raw()
    request.inputs[0].contents.fp32_contents.extend([1, 2])
    assert violations(lambda: stub.ModelInfer(request)) == {"distance": "has contents beside raw_input_contents"}
    short = raw()
    del short.raw_input_contents[-1]
    assert violations(lambda: stub.ModelInfer(short)) == {"raw_input_contents": "has 3 entries for 4 inputs"}


def test_an_input_that_comes_twice_or_has_other_rows_is_refused(stub):
    twice = typed()
    twice.inputs.append(twice.inputs[0])
    assert violations(lambda: stub.ModelInfer(twice)) == {"distance": "is there twice"}
    longer = typed(carrier=Tensor(datatype="BYTES", shape=[3], contents=Contents(bytes_contents=[b"aa"] * 3)))
    assert violations(lambda: stub.ModelInfer(longer)) == {"carrier": "has 3 rows, others have 2"}


def test_what_stands_beside_the_features_is_checked_too(stub):
    late = int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1e6)
    request = typed(
        entity_key=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"x" * 257, b""])),
        event_time=numbers("INT64", int64_contents=[late, -(2**63)]),
    )
    assert violations(lambda: stub.ModelInfer(request)) == {
        "entity_key": "is longer than 256 characters",
        "event_time": "is before the year 1900",
    }
    request = typed(
        entity_key=numbers("INT64", int64_contents=[1, 2]), event_time=numbers("FP64", fp64_contents=[1, 2])
    )
    request.id = "x" * 257
    request.parameters["request_id"].int64_param = 1
    assert violations(lambda: stub.ModelInfer(request)) == {
        "entity_key": "must have the datatype BYTES",
        "event_time": "must have the datatype INT64",
        "id": "is longer than 256 characters",
        "request_id": "must be a string parameter",
    }


def test_a_flood_of_tensors_is_refused_as_a_whole(stub):
    count = tensor_calls.MAXIMUM_INPUTS + 1
    for flood in ({"inputs": [Tensor()] * count}, {"raw_input_contents": [b""] * count}):
        request = pb.ModelInferRequest(model_name=MODEL, **flood)
        assert violations(lambda r=request: stub.ModelInfer(r)) == {"inputs": "are more than 10000"}
    assert violations(lambda: stub.ModelInfer(typed_outputs(*["label"] * 100_000))) == {"outputs": "are 100000 of 3"}


def test_an_empty_request_is_told_every_input(stub):
    found = violations(lambda: stub.ModelInfer(pb.ModelInferRequest(model_name=MODEL)))
    assert found == dict.fromkeys(["distance", "hour", "carrier", "origin"], "is missing")


def test_a_refused_call_is_counted_and_leaves_nothing_in_the_log(stub, server: RunningServer):
    def refused() -> int:
        (version,) = stub.ModelStatistics(pb.ModelStatisticsRequest(name=MODEL)).model_stats
        return version.inference_stats.fail.count

    before = refused()
    request = typed(distance=None)
    request.parameters["request_id"].string_param = "refused"
    violations(lambda: stub.ModelInfer(request))
    eventually(lambda: refused() == before + 1, what="the count")
    (kept,) = stub.ModelInfer(typed_outputs("prediction_id")).outputs
    last = kept.contents.bytes_contents[-1].decode()
    eventually(lambda: last in server.shipped(), what="shipping")
    assert "refused" not in server.table("predictions")["request_id"].to_pylist()


def test_statistics_sum_over_workers_and_survive_a_dead_one(new_server: Callable[..., RunningServer]):
    server = new_server(workers=2)
    promote(server.store, 1)
    server.start()
    channels = [
        grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1), ("grpc.channel_id", place)])
        for place in range(12)
    ]
    stubs = [pb_grpc.GRPCInferenceServiceStub(channel) for channel in channels]
    for stub in stubs:
        eventually(lambda s=stub: s.ModelReady(pb.ModelReadyRequest(name=MODEL)).ready, what="readiness")
    for stub in stubs * 5:
        stub.ModelInfer(typed())
    asked = pb.ModelStatisticsRequest(name=MODEL, version="1")
    for stub in stubs:
        eventually(lambda s=stub: s.ModelStatistics(asked).model_stats[0].inference_count == 120, what="all counts")
        (counts,) = stub.ModelStatistics(asked).model_stats
        assert counts.execution_count == counts.inference_stats.success.count == 60
    server.children("worker")[0].kill()
    eventually(lambda: "restart in" in server.log and len(server.children("worker")) == 2, what="restart")
    stub = pb_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(server.address))
    (counts,) = stub.ModelStatistics(asked, wait_for_ready=True).model_stats
    assert counts.inference_count == 120
    for channel in channels:
        channel.close()


def test_statistics_of_all_models_are_zero_before_the_first_call(new_server: Callable[..., RunningServer]):
    server = new_server()
    promote(server.store, 1)
    server.start()
    with grpc.insecure_channel(server.address) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        (counts,) = stub.ModelStatistics(pb.ModelStatisticsRequest()).model_stats
        assert (counts.name, counts.version, counts.inference_count) == (MODEL, "1", 0)
        promote(server.store, 2)
        second = pb.ModelReadyRequest(name=MODEL, version="2")
        eventually(lambda: stub.ModelReady(second).ready, what="the swap")
        assert not stub.ModelReady(pb.ModelReadyRequest(name=MODEL, version="1")).ready
        for version in ("1", "3"):
            with pytest.raises(grpc.RpcError) as caught:
                stub.ModelStatistics(pb.ModelStatisticsRequest(name=MODEL, version=version))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_version_that_does_not_answer_is_not_found(stub):
    for call, request in (
        (stub.ModelInfer, pb.ModelInferRequest(model_name=MODEL, model_version="2")),
        (stub.ModelMetadata, pb.ModelMetadataRequest(name=MODEL, version="2")),
        (stub.ModelConfig, pb.ModelConfigRequest(name=MODEL, version="2")),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "toy is answered by version 1, not by '2'" in caught.value.details()


def test_bytes_that_are_no_message_are_an_invalid_argument(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff", timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
