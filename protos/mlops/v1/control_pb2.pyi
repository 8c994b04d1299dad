from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class TriggerRetrainingRequest(_message.Message):
    __slots__ = ("model", "reason", "actor")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    model: str
    reason: str
    actor: str
    def __init__(self, model: _Optional[str] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class TriggerRetrainingResponse(_message.Message):
    __slots__ = ("dagster_run_id", "already_running")
    DAGSTER_RUN_ID_FIELD_NUMBER: _ClassVar[int]
    ALREADY_RUNNING_FIELD_NUMBER: _ClassVar[int]
    dagster_run_id: str
    already_running: bool
    def __init__(self, dagster_run_id: _Optional[str] = ..., already_running: _Optional[bool] = ...) -> None: ...
