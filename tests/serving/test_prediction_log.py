"""A prediction is found while its lake is broken, as long as a journal holds it."""

import uuid
from pathlib import Path

import pytest

from serving.errors import LakeError, PredictionNotFoundError
from serving.feedback import PredictionLog
from serving.identifiers import new_ids, now_us
from serving.journal.append import Journal
from tests.serving.records import append_predictions


@pytest.fixture
def broken_lake(tmp_path: Path) -> Path:
    log = tmp_path / "lake" / "toy" / "predictions" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("not a commit")
    return tmp_path / "lake"


def test_a_broken_lake_is_named_unless_a_journal_has_the_prediction(broken_lake: Path, tmp_path: Path):
    journal = Journal(tmp_path / "journals")
    (journaled,) = append_predictions(journal, 1)
    log = PredictionLog(broken_lake, tmp_path / "journals")
    assert log.find("toy", journaled)["prediction_id"] == journaled
    with pytest.raises(LakeError, match="the lake can not be read"):
        log.find("toy", str(uuid.UUID(bytes=new_ids(now_us(), 1))))
    journal.close()


def test_an_id_that_is_in_no_journal_and_no_lake_is_not_found(tmp_path: Path):
    with pytest.raises(PredictionNotFoundError):
        PredictionLog(tmp_path / "lake", tmp_path / "journals").find("toy", str(uuid.uuid4()))
