"""The schemas of the two log tables, predictions and feedback, as Arrow.

Their rows carry `journal` and `sequence`: with `received_at` they give every record one place in one order.
`row` is a prediction's position in its call: a retried call repeats (request_id, row).
"""

import pyarrow as pa

from serving.formats.contract import Contract

TIMESTAMP = pa.timestamp("us", tz="UTC")

_PREDICTION_FIELDS = [
    pa.field("prediction_id", pa.string(), nullable=False),
    pa.field("request_id", pa.string()),
    pa.field("row", pa.int32(), nullable=False),
    pa.field("received_at", TIMESTAMP, nullable=False),
    pa.field("event_time", TIMESTAMP, nullable=False),
    pa.field("entity_key", pa.string()),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("generation", pa.int64(), nullable=False),
    pa.field("role", pa.string(), nullable=False),
    pa.field("score", pa.float64(), nullable=False),
    pa.field("label", pa.string(), nullable=False),
    pa.field("confidence", pa.float64(), nullable=False),
    pa.field("journal", pa.string(), nullable=False),
    pa.field("sequence", pa.int64(), nullable=False),
    pa.field("received_date", pa.date32(), nullable=False),
]

FEEDBACK_SCHEMA = pa.schema(
    [
        pa.field("prediction_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("observed_at", TIMESTAMP, nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("correction_of", pa.string()),
        pa.field("received_at", TIMESTAMP, nullable=False),
        pa.field("journal", pa.string(), nullable=False),
        pa.field("sequence", pa.int64(), nullable=False),
        pa.field("received_date", pa.date32(), nullable=False),
    ]
)

RESERVED_NAMES = frozenset(field.name for field in (*_PREDICTION_FIELDS, *FEEDBACK_SCHEMA)) | {
    "observed_label",
    "taken_from",
    "snapshot_end",
}
"""Column names that a feature can not have, because it would stand beside them in one table."""


def prediction_schema(contract: Contract) -> pa.Schema:
    """Return the schema of a model's predictions: the record's own columns, then one column per feature."""
    numbers = [pa.field(feature.name, pa.float64()) for feature in contract.numbers]
    texts = [pa.field(feature.name, pa.string()) for feature in contract.texts]
    return pa.schema([*_PREDICTION_FIELDS, *numbers, *texts])
