"""The Open Inference Protocol beside the project's own: the same answers, the same records."""

from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import numpy as np
import pytest

from protos.inference import open_inference_pb2 as pb
from protos.inference import open_inference_pb2_grpc as pb_grpc
from serving.client import Client, Label
from tests.serving.harness import RunningServer, eventually
from tests.serving.tensors import N_ROWS, SCORES, Contents, Tensor, bytes_of, numbers, raw, typed, typed_outputs
from tests.serving.toy import MODEL, promote, score_of


def test_typed_contents_get_typed_answers(inference):
    answer = inference.ModelInfer(typed())
    label, probabilities, ids = answer.outputs
    assert not answer.raw_output_contents
    assert list(label.contents.bytes_contents) == [b"late", b"on_time"]
    assert list(probabilities.shape) == [2, 2]
    np.testing.assert_allclose(np.reshape(probabilities.contents.fp64_contents, (2, 2))[:, 1], SCORES, atol=1e-6)
    assert len(set(ids.contents.bytes_contents)) == 2


def test_raw_contents_get_raw_answers(inference):
    answer = inference.ModelInfer(raw())
    label, probabilities, ids = answer.raw_output_contents
    assert label == bytes_of("late", "on_time")
    np.testing.assert_allclose(np.frombuffer(probabilities, "<f8").reshape(2, 2)[:, 1], SCORES, atol=1e-6)
    assert len(ids) == 2 * (4 + 36)
    assert not any(output.HasField("contents") for output in answer.outputs)


def test_a_row_gets_the_same_probability_over_both_protocols(inference, client: Client):
    (theirs,) = inference.ModelInfer(typed_outputs("probabilities")).outputs
    row = {"distance": 400.0, "hour": 7, "carrier": "aa", "origin": "jfk"}
    assert theirs.contents.fp64_contents[1] == client.predict(MODEL, row).probability


def test_requested_outputs_come_once_in_the_order_of_the_request(inference):
    answer = inference.ModelInfer(typed_outputs("prediction_id", "label", "label"))
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
def test_every_datatype_of_numbers_is_read_typed_and_raw(inference, datatype: str, field: str, code: str):
    expected = [score_of(1, 400, 3, "aa"), score_of(1, 100, 4, "bb")]
    by_type = typed(hour=numbers(datatype, **{field: [3, 4]}))
    by_bytes = raw(hour=np.array([3, 4], code).tobytes())
    by_bytes.inputs[1].datatype = datatype
    for request in (by_type, by_bytes):
        request.outputs.add(name="probabilities")
        (output,) = (answer := inference.ModelInfer(request)).outputs
        found = np.frombuffer(answer.raw_output_contents[0]) if request is by_bytes else output.contents.fp64_contents
        np.testing.assert_allclose(np.reshape(found, (2, 2))[:, 1], expected, atol=1e-6)


def test_booleans_are_the_numbers_0_and_1(inference):
    by_type = typed(hour=numbers("BOOL", bool_contents=[False, True]))
    by_bytes = raw(hour=b"\x00\x01")
    by_bytes.inputs[1].datatype = "BOOL"
    expected = [score_of(1, 400, 0, "aa"), score_of(1, 100, 1, "bb")]
    found = np.reshape(inference.ModelInfer(by_type).outputs[1].contents.fp64_contents, (2, 2))
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)
    found = np.frombuffer(inference.ModelInfer(by_bytes).raw_output_contents[1]).reshape(2, 2)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)


def test_keys_times_and_request_id_reach_the_log_and_labels_find_their_prediction(server, inference, client: Client):
    times = [datetime(2013, 2, 1, 12, tzinfo=UTC), datetime(2013, 2, 1, 13, tzinfo=UTC)]
    request = typed(
        entity_key=Tensor(datatype="BYTES", contents=Contents(bytes_contents=[b"UA-1", b"UA-2"])),
        event_time=numbers("INT64", int64_contents=[int(time.timestamp() * 1e6) for time in times]),
    )
    request.parameters["request_id"].string_param = "with-keys"
    ids = [each.decode() for each in inference.ModelInfer(request).outputs[2].contents.bytes_contents]
    found = [client.prediction(MODEL, each) for each in ids]
    assert [each.entity_key for each in found] == ["UA-1", "UA-2"]
    assert [each.event_time.ToDatetime(UTC) for each in found] == times
    assert {each.request_id for each in found} == {"with-keys"}
    assert client.feedback(MODEL, [Label(each, "late") for each in ids]) == 2
    eventually(lambda: set(ids) <= set(server.shipped()), what="shipping")


def test_a_retry_gets_the_same_predictions_and_the_protocols_own_id_is_only_given_back(inference):
    request = typed()
    request.id = "constant"
    first, second = inference.ModelInfer(request), inference.ModelInfer(request)
    assert first.id == second.id == "constant"
    assert first.outputs[2] != second.outputs[2]
    request.parameters["request_id"].string_param = "once"
    assert inference.ModelInfer(request).outputs == inference.ModelInfer(request).outputs
    request.inputs[0].contents.fp32_contents[0] = 401
    with pytest.raises(grpc.RpcError) as caught:
        inference.ModelInfer(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_refused_call_is_counted_and_leaves_nothing_in_the_log(inference, server: RunningServer):
    def refused() -> int:
        (version,) = inference.ModelStatistics(pb.ModelStatisticsRequest(name=MODEL)).model_stats
        return version.inference_stats.fail.count

    before = refused()
    request = typed(distance=None)
    request.parameters["request_id"].string_param = "refused"
    with pytest.raises(grpc.RpcError):
        inference.ModelInfer(request)
    eventually(lambda: refused() == before + 1, what="the count")
    (kept,) = inference.ModelInfer(typed_outputs("prediction_id")).outputs
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
        every = pb.ModelStatisticsRequest(name=MODEL)
        eventually(lambda: stub.ModelStatistics(every).model_stats[0].version == "2", what="the swap")
        asked = pb.ModelStatisticsRequest(name=MODEL, version="2")
        assert stub.ModelStatistics(asked).model_stats[0].inference_count == 0
        stub.ModelInfer(typed())
        eventually(lambda: stub.ModelStatistics(asked).model_stats[0].inference_count == N_ROWS, what="the count")


def test_a_version_that_does_not_answer_is_not_found(inference):
    for call, request in (
        (inference.ModelInfer, pb.ModelInferRequest(model_name=MODEL, model_version="2")),
        (inference.ModelMetadata, pb.ModelMetadataRequest(name=MODEL, version="2")),
        (inference.ModelConfig, pb.ModelConfigRequest(name=MODEL, version="2")),
        (inference.ModelStatistics, pb.ModelStatisticsRequest(name=MODEL, version="2")),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert "'2'" in caught.value.details()
