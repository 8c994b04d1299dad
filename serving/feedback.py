"""Takes labels, and finds the predictions that they belong to."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError

from protos.mlops.v1 import journal_pb2
from serving.errors import ContractError, LakeError, PredictionNotFoundError, Violation
from serving.formats.release import require_model_name
from serving.identifiers import now_us, received_date_of
from serving.journal.append import Journal
from serving.journal.decode import tables_of
from serving.journal.recover import journal_folders
from serving.journal.segment import read_records, segments_of
from serving.prediction import MAXIMUM_KEY_LENGTH
from serving.scoring.host import ModelHost
from serving.times import time_violations

MAXIMUM_LABELS = 1000


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One label as a client sent it; no time means the time of receipt."""

    prediction_id: str
    label: str
    observed_at_us: int | None
    source: str
    correction_of: str


class Feedback:
    """Journals labels."""

    def __init__(self, host: ModelHost, journal: Journal) -> None:
        self._host, self._journal = host, journal

    def submit(self, model: str, labels: list[LabelRow]) -> int:
        """Journal labels, all or none, and return their number.

        Raises:
            ContractError: Some labels are not possible; one violation for each.
        """
        contract = self._host.model(model).contract
        received_at = now_us()
        if not 1 <= len(labels) <= MAXIMUM_LABELS:
            raise ContractError([Violation("labels", f"must be 1 to {MAXIMUM_LABELS}", value=str(len(labels)))])
        known = (contract.negative, contract.positive)
        found = [v for row, label in enumerate(labels) for v in _violations(row, label, known, received_at)]
        if found:
            raise ContractError(found)
        rows = [
            journal_pb2.FeedbackRow(
                prediction_id=str(uuid.UUID(label.prediction_id)),
                label=label.label,
                observed_at_us=received_at if label.observed_at_us is None else label.observed_at_us,
                source=label.source,
                correction_of=label.correction_of,
            )
            for label in labels
        ]
        record = journal_pb2.FeedbackRecord(model=model, received_at_us=received_at, rows=rows)
        self._journal.append(journal_pb2.JournalRecord(feedback=record), rows=len(rows))
        return len(rows)


class PredictionLog:
    """Finds one prediction: in the lake, then in the local journals."""

    def __init__(self, lake: Path, journals: Path) -> None:
        self._lake, self._journals = lake, journals

    def find(self, model: str, prediction_id: str) -> dict[str, Any]:
        """Return the columns of a prediction.

        Raises:
            ContractError: It is not a UUID.
            ModelNotFoundError: That is no name of a model.
            PredictionNotFoundError: It is unknown or not shipped yet.
            LakeError: It is in no journal, and the lake can not be read.
        """
        require_model_name(model)
        parsed = _uuid(prediction_id)
        if parsed is None:
            raise ContractError([Violation("prediction_id", "is not a UUID", value=repr(prediction_id[:40]))])
        # The lake again at the end: what was in a journal may have been shipped between the two looks.
        away: Exception | None = None
        for look in (self._in_lake, self._in_journals, self._in_lake):
            try:
                if (row := look(model, parsed)) is not None:
                    return row
            except (DeltaError, OSError) as error:
                away = error
        if away is not None:
            raise LakeError(f"the lake can not be read: {away}") from away
        raise PredictionNotFoundError(f"prediction {parsed} is unknown or not shipped yet")

    def _in_lake(self, model: str, prediction_id: uuid.UUID) -> dict[str, Any] | None:
        path = str(self._lake / model / "predictions")
        received_on = received_date_of(prediction_id)
        if received_on is None or not DeltaTable.is_deltatable(path):
            return None
        # A query instead of Arrow's data sets, whose threads can abort the process at its exit; no text of the client's
        # is in it: `prediction_id` was parsed.
        query = f"SELECT * FROM log WHERE received_date = DATE '{received_on}' AND prediction_id = '{prediction_id}'"
        return _first_row(pa.table(QueryBuilder().register("log", DeltaTable(path)).execute(query).read_all()))

    def _in_journals(self, model: str, prediction_id: uuid.UUID) -> dict[str, Any] | None:
        for table in self._unshipped(model, prediction_id.bytes):
            if row := _first_row(table.filter(pc.equal(table["prediction_id"], str(prediction_id)))):
                return row
        return None

    def _unshipped(self, model: str, needle: bytes) -> Iterator[pa.Table]:
        for folder in journal_folders(self._journals):
            for segment in segments_of(folder):
                try:
                    content = segment.path.read_bytes()
                except FileNotFoundError:  # sealed or shipped meanwhile
                    continue
                if needle in content:
                    records = read_records(content)
                    tables = tables_of(records.payloads, journal=segment.journal, segment=segment.number)
                    yield from tables.get(f"{model}/predictions", [])


def _violations(row: int, label: LabelRow, known: tuple[str, str], received_at: int) -> Iterator[Violation]:
    place = f"labels[{row}]"
    if _uuid(label.prediction_id) is None:
        yield Violation(f"{place}.prediction_id", "is not a UUID", row, repr(label.prediction_id[:40]))
    if label.label not in known:
        yield Violation(f"{place}.label", f"is not one of {', '.join(known)}", row, repr(label.label[:40]))
    for name in ("source", "correction_of"):
        if len(getattr(label, name)) > MAXIMUM_KEY_LENGTH:
            yield Violation(f"{place}.{name}", f"is longer than {MAXIMUM_KEY_LENGTH} characters", row)
    if label.observed_at_us is not None:
        yield from time_violations(f"{place}.observed_at", [label.observed_at_us], received_at)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if len(text) == 36 else None
    except ValueError:
        return None


def _first_row(table: pa.Table) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = table.slice(0, 1).to_pylist()
    return rows[0] if rows else None
