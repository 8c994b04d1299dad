from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JournalRecord(_message.Message):
    __slots__ = ("contract", "prediction", "feedback")
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    contract: ContractRecord
    prediction: PredictionRecord
    feedback: FeedbackRecord
    def __init__(self, contract: _Optional[_Union[ContractRecord, _Mapping]] = ..., prediction: _Optional[_Union[PredictionRecord, _Mapping]] = ..., feedback: _Optional[_Union[FeedbackRecord, _Mapping]] = ...) -> None: ...

class ContractRecord(_message.Message):
    __slots__ = ("digest", "json")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    digest: str
    json: str
    def __init__(self, digest: _Optional[str] = ..., json: _Optional[str] = ...) -> None: ...

class PredictionRecord(_message.Message):
    __slots__ = ("contract_digest", "model_version", "generation", "role", "request_ids", "received_at_us", "prediction_ids", "event_times_us", "entity_keys", "numbers", "texts", "scores", "text_counts", "text_codes", "call_rows")
    CONTRACT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_IDS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_IDS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIMES_US_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KEYS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    TEXT_COUNTS_FIELD_NUMBER: _ClassVar[int]
    TEXT_CODES_FIELD_NUMBER: _ClassVar[int]
    CALL_ROWS_FIELD_NUMBER: _ClassVar[int]
    contract_digest: str
    model_version: str
    generation: int
    role: str
    request_ids: _containers.RepeatedScalarFieldContainer[str]
    received_at_us: int
    prediction_ids: bytes
    event_times_us: _containers.RepeatedScalarFieldContainer[int]
    entity_keys: _containers.RepeatedScalarFieldContainer[str]
    numbers: bytes
    texts: _containers.RepeatedScalarFieldContainer[str]
    scores: bytes
    text_counts: _containers.RepeatedScalarFieldContainer[int]
    text_codes: bytes
    call_rows: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, contract_digest: _Optional[str] = ..., model_version: _Optional[str] = ..., generation: _Optional[int] = ..., role: _Optional[str] = ..., request_ids: _Optional[_Iterable[str]] = ..., received_at_us: _Optional[int] = ..., prediction_ids: _Optional[bytes] = ..., event_times_us: _Optional[_Iterable[int]] = ..., entity_keys: _Optional[_Iterable[str]] = ..., numbers: _Optional[bytes] = ..., texts: _Optional[_Iterable[str]] = ..., scores: _Optional[bytes] = ..., text_counts: _Optional[_Iterable[int]] = ..., text_codes: _Optional[bytes] = ..., call_rows: _Optional[_Iterable[int]] = ...) -> None: ...

class FeedbackRecord(_message.Message):
    __slots__ = ("model", "received_at_us", "rows")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    model: str
    received_at_us: int
    rows: _containers.RepeatedCompositeFieldContainer[FeedbackRow]
    def __init__(self, model: _Optional[str] = ..., received_at_us: _Optional[int] = ..., rows: _Optional[_Iterable[_Union[FeedbackRow, _Mapping]]] = ...) -> None: ...

class FeedbackRow(_message.Message):
    __slots__ = ("prediction_id", "label", "observed_at_us", "source", "correction_of")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OBSERVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CORRECTION_OF_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    label: str
    observed_at_us: int
    source: str
    correction_of: str
    def __init__(self, prediction_id: _Optional[str] = ..., label: _Optional[str] = ..., observed_at_us: _Optional[int] = ..., source: _Optional[str] = ..., correction_of: _Optional[str] = ...) -> None: ...
