"""What can go wrong on the training and monitoring side. Retryable or not is decided by the class.

MlopsError
├── DataError                 the data is wrong; trying again does not help
│   ├── ContractViolationError   rows break the contract (carries the failing cases)
│   ├── InsufficientDataError    too few rows for what was asked
│   └── LabelHealthError         labels too few, too many missing, or one class too rare
├── SpecError                 a model spec is wrong or can not be imported
├── UnknownModelError         no spec has this name
├── ConversionError           a pipeline does not survive the way to ONNX
├── SupersededError           a newer release has already answered what this run was started for
└── OperationError            a process, port, disk or setting is not as it must be (names it and the mend)
"""

from typing import Any


class MlopsError(Exception):
    """Base of every error this package raises on purpose; its text is shown to the user as it is."""


class DataError(MlopsError):
    """The data is wrong; trying again does not help."""


class ContractViolationError(DataError):
    """Rows break the contract.

    Attributes:
        cases: One dict a failing case: column, check, value, row and count.
    """

    def __init__(self, message: str, cases: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.cases = cases


class InsufficientDataError(DataError):
    """Too few rows for what was asked."""


class LabelHealthError(DataError):
    """Labels are too few, too many are missing, or one class is too rare."""


class SpecError(MlopsError):
    """A model spec is wrong or can not be imported; the message names the field and the mend."""


class UnknownModelError(MlopsError):
    """No spec has this name."""


class ConversionError(MlopsError):
    """A pipeline does not survive the way to ONNX."""


class SupersededError(MlopsError):
    """A newer release has already answered what this run was started for."""


class OperationError(MlopsError):
    """A process, port, disk or setting is not as it must be."""
