"""What a healthy server answers, logs and says about itself."""

import uuid
from datetime import UTC, datetime, timedelta

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from serving.client import Client, Label
from serving.errors import ContractError, PredictionNotFoundError
from serving.identifiers import received_date_of
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW, score_of


def random_rows(n_rows: int) -> dict[str, list]:
    random = np.random.default_rng(7)
    hours = [
        None if missing else int(hour)
        for hour, missing in zip(random.integers(0, 24, n_rows), random.random(n_rows) < 0.2, strict=True)
    ]
    return {
        "distance": random.uniform(0, 1000, n_rows).tolist(),
        "hour": hours,
        "carrier": random.choice(["aa", "bb"], n_rows).tolist(),
        "origin": [None, "jfk", "lga", "unseen"] * (n_rows // 4),
    }


def test_served_probabilities_equal_the_models_on_1000_rows(client: Client):
    columns = random_rows(1000)
    answers = client.predict_batch(MODEL, columns)
    expected = [score_of(1, *row) for row in zip(columns["distance"], columns["hour"], columns["carrier"], strict=True)]
    np.testing.assert_allclose([answer.probability for answer in answers], expected, atol=1e-6)


def test_one_row_gets_the_same_answer_alone_and_in_a_batch(client: Client):
    columns = random_rows(40)
    together = client.predict_batch(MODEL, columns)
    for place, answer in enumerate(together):
        alone = client.predict(MODEL, {name: values[place] for name, values in columns.items()})
        assert alone.probability == pytest.approx(answer.probability, abs=1e-7)
        assert alone.label == answer.label


def test_an_answer_carries_label_confidence_version_generation_and_an_id_of_today(client: Client):
    answer = client.predict(MODEL, ROW | {"carrier": "bb"})
    assert (answer.label, answer.model_version, answer.generation) == ("on_time", "1", 1)
    assert answer.confidence == pytest.approx(1 - answer.probability)
    prediction_id = uuid.UUID(answer.prediction_id)
    assert prediction_id.version == 7
    assert abs(received_date_of(prediction_id) - datetime.now(UTC).date()) <= timedelta(days=1)


def test_predictions_in_flight_from_one_thread_all_arrive(client: Client):
    pending = [client.predict_future(MODEL, ROW) for _ in range(100)]
    assert len({each.result().prediction_id for each in pending}) == 100


def test_a_prediction_can_be_read_back_from_the_journal_and_then_from_the_lake(server: RunningServer, client: Client):
    event_time = datetime(2013, 2, 1, 12, tzinfo=UTC)
    answer = client.predict(MODEL, ROW | {"hour": None}, entity_key="UA-1", event_time=event_time, request_id="read")
    found = client.prediction(MODEL, answer.prediction_id)
    eventually(lambda: answer.prediction_id in server.shipped(), what="shipping")
    assert client.prediction(MODEL, answer.prediction_id) == found
    assert found.event_time.ToDatetime(UTC) == event_time
    assert (found.entity_key, found.request_id, found.label) == ("UA-1", "read", answer.label)
    assert found.probability == answer.probability
    assert dict(found.numbers) == {"distance": 400.0}
    assert dict(found.texts) == {"carrier": "aa", "origin": "jfk"}


def test_a_prediction_that_nobody_made_is_not_found(client: Client):
    with pytest.raises(PredictionNotFoundError, match="unknown or not shipped yet"):
        client.prediction(MODEL, str(uuid.uuid4()))
    with pytest.raises(ContractError, match="is not a UUID"):
        client.prediction(MODEL, "../../etc/passwd")


def test_what_is_shipped_is_what_was_answered(server: RunningServer, client: Client):
    columns = random_rows(8)
    answers = client.predict_batch(MODEL, columns, entity_keys=list("abcdefgh"), request_id="batch")
    eventually(lambda: answers[-1].prediction_id in server.shipped(), what="shipping")
    rows = [row for row in server.table("predictions").to_pylist() if row["request_id"] == "batch"]
    rows.sort(key=lambda row: row["row"])
    assert [row["row"] for row in rows] == list(range(8))
    assert [row["prediction_id"] for row in rows] == [answer.prediction_id for answer in answers]
    assert [row["score"] for row in rows] == [answer.probability for answer in answers]
    assert [row["label"] for row in rows] == [answer.label for answer in answers]
    assert [row["confidence"] for row in rows] == pytest.approx([answer.confidence for answer in answers])
    assert [row["entity_key"] for row in rows] == list("abcdefgh")
    for name in columns:
        assert [row[name] for row in rows] == columns[name]
    assert len({(row["journal"], row["sequence"]) for row in rows}) == 8
    assert {row["role"] for row in rows} == {"production"}


def test_labels_are_journaled_and_shipped(server: RunningServer, client: Client):
    answer = client.predict(MODEL, ROW)
    observed = datetime(2013, 2, 1, 15, tzinfo=UTC)
    assert client.feedback(MODEL, [Label(answer.prediction_id, "late", observed, source="airline")] * 1001) == 1001
    eventually(lambda: len(server.shipped("feedback")) >= 1001, what="shipping")
    row = server.table("feedback").to_pylist()[0]
    assert (row["prediction_id"], row["label"], row["source"]) == (answer.prediction_id, "late", "airline")
    assert (row["observed_at"], row["correction_of"]) == (observed, None)


def test_wrong_labels_are_refused_as_a_whole_and_each_is_named(client: Client):
    good = client.predict(MODEL, ROW).prediction_id
    later = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(ContractError) as caught:
        client.feedback(
            MODEL, [Label(good, "late"), Label("x", "late"), Label(good, "maybe"), Label(good, "late", later)]
        )
    assert [violation.field for violation in caught.value.violations] == [
        "labels[1].prediction_id",
        "labels[2].label",
        "labels[3].observed_at",
    ]


def test_the_model_describes_its_contract_and_lineage(client: Client):
    info = client.model_info(MODEL)
    assert (info.model_version, info.mlflow_run_id, info.data_version) == ("1", "m1", "d1")
    assert (info.negative_label, info.positive_label, info.threshold) == ("on_time", "late", 0.5)
    features = {feature.name: feature for feature in info.features}
    assert (features["distance"].kind, features["distance"].maximum) == ("number", 1000)
    assert (list(features["carrier"].categories), features["origin"].open) == (["aa", "bb"], True)


def test_health_is_known_for_the_server_and_for_each_model(client: Client):
    assert client.health()
    assert client.health(MODEL)
    assert not client.health("nonsense")


def test_reflection_lists_the_services(server: RunningServer):
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answer = next(iter(stub.ServerReflectionInfo(iter([request]), timeout=5)))
    names = {service.name for service in answer.list_services_response.service}
    assert names == {
        "mlops.v1.PredictionService",
        "mlops.v1.FeedbackService",
        "mlops.v1.ControlService",
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_metrics_and_probes_are_answered_over_http(server: RunningServer, client: Client):
    client.predict(MODEL, ROW)
    assert server.http("/livez")[0] == server.http("/readyz")[0] == 200
    metrics = server.http("/metrics")[1]
    assert "journal_backlog_age_seconds" in metrics
    assert "journal_writable 1.0" in metrics
    assert server.http("/elsewhere")[0] == 404
