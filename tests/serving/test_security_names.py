"""Names from outside: matched before anything is done with them, and never a path or a metric label."""

import string
from pathlib import Path

import pytest

from serving.client import Client, Label
from serving.errors import ModelNotFoundError
from serving.feedback import PredictionLog
from tests.serving.harness import RunningServer
from tests.serving.toy import ROW

ID = "01a1feee-bba0-70da-8e40-3607550e6538"
HOSTILE = [
    "",
    "..",
    "../toy",
    "toy/../toy",
    "/etc/passwd",
    "toy\0",
    "toy\n",
    "TOY",
    "t" * 64,
    "tоy",
    "toy%2f",
    "{model}",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_model_name_is_refused_by_every_method(client: Client, name: str):
    calls = [
        lambda: client.predict(name, ROW),
        lambda: client.predict_batch(name, {"distance": [1.0]}),
        lambda: client.feedback(name, [Label(ID, "late")]),
        lambda: client.prediction(name, ID),
        lambda: client.model_info(name),
        lambda: client.trigger_retraining(name),
    ]
    for call in calls:
        with pytest.raises(ModelNotFoundError, match="is not a model name"):
            call()


def test_a_prediction_is_looked_for_in_no_folder_but_the_models(tmp_path: Path):
    log = PredictionLog(tmp_path / "lake", tmp_path / "journals")
    with pytest.raises(ModelNotFoundError, match="is not a model name"):
        log.find("../outside", ID)


def test_names_that_nobody_knows_are_in_no_metric(server: RunningServer, client: Client):
    for letter in string.ascii_lowercase:
        with pytest.raises(ModelNotFoundError):
            client.predict(f"unknown_{letter}", ROW)
    assert "unknown_" not in server.http("/metrics")[1]
