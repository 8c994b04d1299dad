"""What a client is told about data that can not be scored."""

import uuid
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from protos.mlops.v1 import feedback_pb2
from protos.mlops.v1 import prediction_pb2 as pb
from protos.mlops.v1 import prediction_pb2_grpc as pb_grpc
from protos.mlops.v1.feedback_pb2_grpc import FeedbackServiceStub
from serving.api.grpc_status import status_of
from serving.client import Client
from serving.errors import ContractError, ModelNotFoundError
from tests.serving.harness import RunningServer
from tests.serving.toy import MODEL, ROW

COLUMNS = {"distance": [1.0, 2.0], "hour": [1, None], "carrier": ["aa", "bb"], "origin": [None, "lga"]}


@pytest.fixture
def stub(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel:
        yield pb_grpc.PredictionServiceStub(channel)


def violations(call) -> dict[str, str]:
    with pytest.raises(ContractError) as caught:
        call()
    return {violation.field: violation.rule for violation in caught.value.violations}


def test_every_offending_field_of_a_row_is_named_with_its_rule(client: Client):
    found = violations(
        lambda: client.predict(MODEL, {"distance": -1.0, "hour": 7.5, "carrier": "zz", "tail": "x", "wing": 1})
    )
    assert found == {
        "distance": "is out of range [0, 1000] (got -1.0)",
        "hour": "is not a whole number (got 7.5)",
        "carrier": "is not one of its categories (got 'zz')",
        "origin": "is missing",
        "tail": "is not a feature of this model",
        "wing": "is not a feature of this model",
    }


def test_a_value_of_the_wrong_type_is_named(client: Client):
    found = violations(lambda: client.predict(MODEL, ROW | {"distance": "far", "carrier": 3}))
    assert found == {
        "distance": "is a text, must be a number (got 'far')",
        "carrier": "is a number, must be a text (got 3.0)",
    }


@pytest.mark.parametrize("number", [float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_named(client: Client, number: float):
    assert violations(lambda: client.predict(MODEL, ROW | {"hour": number})) == {
        "hour": f"is not finite (got {number})"
    }


def test_a_feature_that_comes_as_a_number_and_as_a_text_is_named(stub):
    request = pb.PredictRequest(
        model=MODEL, numbers={"distance": 1, "hour": 7}, texts={"carrier": "aa", "origin": "jfk"}
    )
    request.texts["hour"] = "7"
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "hour: is a text, must be a number (got '7')"


def test_a_missing_value_is_accepted_only_where_the_contract_admits_it(client: Client):
    assert client.predict(MODEL, ROW | {"hour": None, "origin": None}).label == "on_time"
    assert violations(lambda: client.predict(MODEL, ROW | {"distance": None, "carrier": None})) == {
        "distance": "is missing",
        "carrier": "is missing",
    }


def test_violations_travel_as_bad_request_details_that_any_client_can_read(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(pb.PredictRequest(model=MODEL))
    details = {detail.TypeName(): detail for detail in rpc_status.from_call(caught.value).details}
    request = error_details_pb2.BadRequest()
    details["google.rpc.BadRequest"].Unpack(request)
    assert [violation.field for violation in request.field_violations] == ["distance", "hour", "carrier", "origin"]


def test_a_very_long_list_of_violations_still_reaches_the_client(client: Client):
    found = violations(lambda: client.predict(MODEL, ROW | {f"unknown_{i:04}" + "x" * 60: 1.0 for i in range(2000)}))
    assert any(field.startswith("unknown_0000") for field in found)
    assert found["..."].endswith(" more")


def test_every_offending_column_of_a_batch_is_named_with_its_first_row(client: Client):
    bad = {"distance": [1.0, 5000.0], "hour": ["a", "b"], "carrier": ["aa"], "wing": [1, 2]}
    assert violations(lambda: client.predict_batch(MODEL, bad)) == {
        "distance": "is out of range [0, 1000] (got 5000.0)",
        "hour": "is a column of texts, must be numbers",
        "carrier": "has 1 rows, others have 2",
        "origin": "is missing",
        "wing": "is not a feature of this model",
    }


def test_a_column_that_comes_twice_or_has_foreign_codes_is_refused(stub):
    column = pb.Column(name="distance", numbers=pb.NumberColumn(values=[1.0]))
    codes = pb.Column(name="carrier", texts=pb.TextColumn(dictionary=["aa"], codes=[2]))
    with pytest.raises(grpc.RpcError) as caught:
        stub.PredictBatch(pb.PredictBatchRequest(model=MODEL, columns=[column, column, codes]))
    assert "distance: is there twice" in caught.value.details()
    assert "carrier: has a code beyond its dictionary of 1" in caught.value.details()


@pytest.mark.parametrize("n_rows", [0, 1001])
def test_a_batch_outside_1_to_1000_rows_is_refused(client: Client, n_rows: int):
    columns = {"distance": [1.0], "hour": [1.0], "carrier": ["aa"], "origin": ["jfk"]}
    found = violations(lambda: client.predict_batch(MODEL, {name: values * n_rows for name, values in columns.items()}))
    assert found["columns"].startswith("must have 1 to 1000 rows")


def test_a_batch_of_1000_rows_is_answered_in_order(client: Client):
    distances = [float(i) for i in range(1000)]
    rest = {"hour": [0] * 1000, "carrier": ["aa"] * 1000, "origin": [None] * 1000}
    probabilities = [p.probability for p in client.predict_batch(MODEL, {"distance": distances} | rest)]
    assert len(probabilities) == 1000
    assert probabilities == sorted(probabilities)


def test_keys_and_times_must_be_one_a_row(client: Client):
    now = datetime.now(UTC)
    found = violations(lambda: client.predict_batch(MODEL, COLUMNS, entity_keys=["a"], event_times=[now] * 3))
    assert found == {"entity_keys": "has 1 entries for 2 rows", "event_times_us": "has 3 entries for 2 rows"}


def test_an_event_more_than_five_minutes_ahead_is_refused_and_one_a_little_ahead_is_not(client: Client):
    now = datetime.now(UTC)
    client.predict(MODEL, ROW, event_time=now + timedelta(minutes=4))
    found = violations(lambda: client.predict(MODEL, ROW, event_time=now + timedelta(minutes=6)))
    assert found == {"event_time": "is more than 5 minutes in the future"}


@pytest.mark.parametrize("nanos", [-5, -(2**31), 1_000_000_000, 2**31 - 1])
def test_a_time_whose_nanos_are_no_part_of_a_second_is_refused(server: RunningServer, nanos: int):
    time = Timestamp(seconds=1_700_000_000, nanos=nanos)
    numbers, texts = {"distance": 1.0, "hour": 1}, {"carrier": "aa", "origin": "jfk"}
    row = pb.PredictRequest(model=MODEL, numbers=numbers, texts=texts, event_time=time)
    label = feedback_pb2.Label(prediction_id=str(uuid.uuid4()), label="late", observed_at=time)
    labels = feedback_pb2.SubmitFeedbackRequest(model=MODEL, labels=[label])
    with grpc.insecure_channel(server.address) as channel:
        predict, submit = pb_grpc.PredictionServiceStub(channel).Predict, FeedbackServiceStub(channel).SubmitFeedback
        for call, request, field in ((predict, row, "event_time"), (submit, labels, "labels[0].observed_at")):
            with pytest.raises(grpc.RpcError) as caught:
                call(request)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert caught.value.details() == f"{field}: is not a time: nanos must be 0 to 999999999"


def test_an_unknown_model_is_not_found_and_leaves_no_metric_label(server: RunningServer, client: Client):
    with pytest.raises(ModelNotFoundError, match="no model 'nonsense' here"):
        client.predict("nonsense", ROW)
    assert "nonsense" not in server.http("/metrics")[1]


def test_bytes_that_are_no_message_are_an_invalid_argument(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/mlops.v1.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\xff\xff\xff", timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_over_the_limit_is_refused(stub):
    request = pb.PredictRequest(model=MODEL, entity_key="x" * (4 * 1024 * 1024 + 1))
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_error_that_nobody_foresaw_is_internal():
    assert status_of(ZeroDivisionError("secret")) is grpc.StatusCode.INTERNAL
