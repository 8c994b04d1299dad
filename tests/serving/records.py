"""Journal records made by hand."""

import uuid
from pathlib import Path

import numpy as np

from protos.mlops.v1 import journal_pb2
from serving.formats.contract import Contract
from serving.identifiers import new_ids, now_us, texts_of
from serving.journal.append import Journal
from serving.journal.segment import Segment, segments_of
from tests.serving.toy import CONTRACT


def prediction_record(
    n_rows: int = 1, *, contract: Contract = CONTRACT, request_id: str = ""
) -> tuple[journal_pb2.JournalRecord, list[str]]:
    """Return a record and its prediction ids."""
    received_at = now_us()
    ids = new_ids(received_at, n_rows)
    texts = ["aa", ""][: len(contract.texts)]
    record = journal_pb2.PredictionRecord(
        contract_digest=contract.digest,
        model_version="1",
        generation=1,
        role="production",
        request_ids=[request_id] if request_id else [],
        received_at_us=received_at,
        prediction_ids=ids,
        event_times_us=[received_at] * n_rows,
        numbers=np.full((n_rows, len(contract.numbers)), 1.5).tobytes(),
        texts=texts,
        text_counts=[1] * len(texts) if n_rows > 1 else [],
        text_codes=bytes(4 * n_rows * len(texts)) if n_rows > 1 else b"",
        scores=np.linspace(0, 1, n_rows).tobytes(),
    )
    return journal_pb2.JournalRecord(prediction=record), texts_of(ids)


def feedback_record(model: str = CONTRACT.model) -> tuple[journal_pb2.JournalRecord, str]:
    """Return a record of one label and the prediction id in it."""
    row = journal_pb2.FeedbackRow(prediction_id=str(uuid.uuid4()), label="late", observed_at_us=1, source="test")
    record = journal_pb2.FeedbackRecord(model=model, received_at_us=now_us(), rows=[row])
    return journal_pb2.JournalRecord(feedback=record), row.prediction_id


def append_predictions(journal: Journal, count: int, *, contract: Contract = CONTRACT) -> list[str]:
    """Append single-row records and return their ids."""
    ids = []
    for _ in range(count):
        record, (prediction_id,) = prediction_record(contract=contract)
        journal.append(record, contract, rows=1)
        ids.append(prediction_id)
    return ids


def seal(journal: Journal) -> None:
    """Seal what is written, as the ticker would after a while."""
    journal._segment._began_at -= 60
    journal.tick()


def only_journal(root: Path) -> Path:
    (folder,) = (entry for entry in root.iterdir() if (entry / "lock").exists())
    return folder


def sealed(root: Path) -> list[Segment]:
    return [segment for segment in segments_of(only_journal(root)) if segment.sealed]
