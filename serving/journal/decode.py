"""Turns the records of a segment into Arrow tables, column by column."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from protos.mlops.v1 import journal_pb2
from serving.formats.contract import Contract
from serving.formats.record import FEEDBACK_SCHEMA, prediction_schema
from serving.identifiers import arrow_texts_of
from serving.journal.segment import ID_BYTES

SEQUENCE_BITS = 32
"""A record's sequence is its segment's number, shifted by these bits, plus the row's place in the segment."""


@dataclass
class _Batch:
    """Records of one kind, with the sequence of the first row of each."""

    records: list[journal_pb2.PredictionRecord] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add(self, record: journal_pb2.PredictionRecord, *, start: int) -> int:
        """Take a record; returns how many rows it has."""
        count = len(record.prediction_ids) // ID_BYTES
        self.records.append(record)
        self.starts.append(start)
        self.counts.append(count)
        return count

    def sequences(self) -> NDArray[np.int64]:
        counts = np.array(self.counts)
        before = np.cumsum(counts) - counts
        return np.repeat(np.array(self.starts, dtype=np.int64) - before, counts) + np.arange(counts.sum())


def tables_of(payloads: Iterable[bytes], *, journal: str, segment: int) -> dict[str, list[pa.Table]]:
    """Decode one segment.

    Args:
        payloads: Serialized `JournalRecord`s in their order.
        journal: The id of the journal.
        segment: The number of the segment.

    Returns:
        `<model>/predictions` and `<model>/feedback` to Arrow tables of the agreed schemas, one per contract.

    Raises:
        ValueError: A payload is of an unknown kind, or refers to a contract that the segment does not hold.
        DecodeError: A payload is not a record.
    """
    contracts: dict[str, Contract] = {}
    predictions: dict[str, _Batch] = defaultdict(_Batch)
    feedback: dict[str, list[tuple[int, journal_pb2.FeedbackRecord]]] = defaultdict(list)
    sequence = segment << SEQUENCE_BITS
    for payload in payloads:
        record = journal_pb2.JournalRecord.FromString(payload)
        kind = record.WhichOneof("kind")
        if kind == "prediction":
            prediction = record.prediction
            sequence += predictions[prediction.contract_digest].add(prediction, start=sequence)
        elif kind == "feedback":
            feedback[record.feedback.model].append((sequence, record.feedback))
            sequence += len(record.feedback.rows)
        elif kind == "contract":
            contracts[record.contract.digest] = Contract.from_json(record.contract.json)
        else:
            raise ValueError("a record of a kind that this release does not know")
    tables: dict[str, list[pa.Table]] = defaultdict(list)
    for digest, batch in predictions.items():
        if digest not in contracts:
            raise ValueError(f"contract {digest[:12]} is not in the segment")
        tables[f"{contracts[digest].model}/predictions"].append(_prediction_table(contracts[digest], batch, journal))
    for model, records in feedback.items():
        tables[f"{model}/feedback"].append(_feedback_table(records, journal))
    return dict(tables)


def _prediction_table(contract: Contract, batch: _Batch, journal: str) -> pa.Table:
    records, counts = batch.records, np.array(batch.counts)
    grouped = [record.call_rows for record in records]
    n_calls = [len(some) or 1 for some in grouped]
    calls = np.array([n for some, count in zip(grouped, batch.counts, strict=True) for n in some or (count,)])
    scores = np.frombuffer(b"".join([record.scores for record in records]), dtype="<f8")
    positive = scores >= contract.threshold
    received = np.repeat(np.array([record.received_at_us for record in records], dtype=np.int64), counts)
    columns: dict[str, pa.Array] = {
        "prediction_id": arrow_texts_of(b"".join([record.prediction_ids for record in records])),
        "request_id": _optional([record.request_ids for record in records], n_calls).take(
            np.repeat(np.arange(len(calls)), calls)
        ),
        "row": pa.array(np.arange(len(scores)) - np.repeat(np.cumsum(calls) - calls, calls)),
        "received_at": _timestamps(received),
        "event_time": _timestamps([*chain.from_iterable([record.event_times_us for record in records])]),
        "entity_key": _optional([record.entity_keys for record in records], batch.counts),
        "model_version": _repeated([record.model_version for record in records], counts),
        "generation": pa.array(np.repeat(np.array([r.generation for r in records], dtype=np.int64), counts)),
        "role": _repeated([record.role for record in records], counts),
        "score": pa.array(scores),
        "label": pa.array(np.array([contract.negative, contract.positive], dtype=object)[positive.astype(np.intp)]),
        "confidence": pa.array(np.where(positive, scores, 1 - scores)),
        **_provenance(received, batch.sequences(), journal),
        **_features(contract, records, len(scores)),
    }
    schema = prediction_schema(contract)
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)


def _features(contract: Contract, records: list[journal_pb2.PredictionRecord], n_rows: int) -> dict[str, pa.Array]:
    numbers = np.frombuffer(b"".join([record.numbers for record in records]), dtype="<f8").reshape(n_rows, -1)
    columns: dict[str, pa.Array] = {}
    for place, number in enumerate(contract.numbers):
        values = np.ascontiguousarray(numbers[:, place])
        columns[number.name] = pa.array(values, mask=np.isnan(values))
    for text, texts in zip(contract.texts, _texts(records, len(contract.texts)), strict=True):
        columns[text.name] = _missing_if_empty(texts)
    return columns


def _texts(records: list[journal_pb2.PredictionRecord], n_texts: int) -> list[list[str]]:
    """Return each column's texts, row by row."""
    row_by_row: list[str] = []
    for record in records:
        texts, counts = record.texts, record.text_counts
        if not counts:
            if len(texts) != n_texts:
                raise ValueError(f"a row with {len(texts)} texts, its contract has {n_texts}")
            row_by_row.extend(texts)
            continue
        codes = np.frombuffer(record.text_codes, dtype="<u4").reshape(n_texts, -1).tolist()
        columns, end = [], 0
        for count, column_codes in zip(counts, codes, strict=True):
            begin, end = end, end + count
            values = texts[begin:end]
            columns.append([values[code] for code in column_codes])
        row_by_row.extend(chain.from_iterable(zip(*columns, strict=True)))
    return [row_by_row[place::n_texts] for place in range(n_texts)]


def _feedback_table(records: list[tuple[int, journal_pb2.FeedbackRecord]], journal: str) -> pa.Table:
    rows = [row for _, record in records for row in record.rows]
    counts = np.array([len(record.rows) for _, record in records])
    received = np.repeat(np.array([record.received_at_us for _, record in records], dtype=np.int64), counts)
    sequences = [start + place for start, record in records for place in range(len(record.rows))]
    columns = {
        "prediction_id": pa.array([row.prediction_id for row in rows], pa.string()),
        "label": pa.array([row.label for row in rows], pa.string()),
        "observed_at": _timestamps([row.observed_at_us for row in rows]),
        "source": pa.array([row.source for row in rows], pa.string()),
        "correction_of": _missing_if_empty([row.correction_of for row in rows]),
        **_provenance(received, np.array(sequences, dtype=np.int64), journal),
    }
    columns["received_at"] = _timestamps(received)
    return pa.table([columns[name] for name in FEEDBACK_SCHEMA.names], schema=FEEDBACK_SCHEMA)


def _provenance(received: NDArray[np.int64], sequences: NDArray[np.int64], journal: str) -> dict[str, pa.Array]:
    return {
        "journal": pa.DictionaryArray.from_arrays(np.zeros(len(received), dtype=np.int32), [journal]).cast(pa.string()),
        "sequence": pa.array(sequences),
        "received_date": _timestamps(received).cast(pa.timestamp("s", "UTC"), safe=False).cast(pa.date32(), safe=False),
    }


def _optional(values: list[Sequence[str]], counts: Iterable[int]) -> pa.Array:
    """Return a column of texts of which each record has as many as `counts` says, or none."""
    if not any(values):
        return pa.nulls(sum(counts), pa.string())
    return _missing_if_empty([text for some, n in zip(values, counts, strict=True) for text in some or [""] * n])


def _repeated(values: list[str], counts: NDArray[np.int64]) -> pa.Array:
    return pa.array(np.repeat(np.array(values, dtype=object), counts), pa.string())


def _timestamps(microseconds: NDArray[np.int64] | list[int]) -> pa.Array:
    return pa.array(np.array(microseconds, dtype=np.int64)).cast(pa.timestamp("us", tz="UTC"))


def _missing_if_empty(values: list[str] | NDArray[np.object_]) -> pa.Array:
    texts = pa.array(values, pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)
