"""What can go wrong on the serving side.

ServingError
├── ContractError            a row does not satisfy the model's contract (carries the violations)
├── BundleError              a bundle is damaged, foreign or not what it says
│   ├── BundleUnreadableError  a bundle can not be read at the moment
│   └── SignatureError         no trusted key vouches for a bundle
├── ReleaseError             a release document is damaged or out of order
│   └── ReleaseConflictError somebody else wrote this generation first: read again, decide again
├── ModelUnavailableError    no version of the model is loaded
├── ModelNotFoundError       the model or version is not known here
├── PredictionNotFoundError  the prediction id is not known here (yet)
├── ScoreError               a model's answer to a row is no probability
├── RequestConflictError     a request id was used before with another payload
├── UnauthenticatedError     the caller did not prove who it is
├── PermissionDeniedError    the caller is known, but may not do this
├── OverloadError            the server, or this caller's share of it, is busy: come again later (says when)
├── MessageLimitError        a message is larger, or made of more parts, than this method takes
├── DeadlineExceededError    the caller's deadline passed before the work began
├── DrainingError            the server is stopping: another one, or the next, answers
├── JournalError             the journal can not be written: nothing may be answered
├── LakeError                the lake can not be read
├── AuditError               the audit log can not be written: no control call may be carried out
├── OrchestratorError        Dagster can not be reached or refused
├── CallError                a call failed for a reason that none of these names (raised by the client)
└── SettingsError            a setting is wrong (names the setting and the mend)
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach of a contract: which field, which rule, and where it was seen first."""

    field: str
    rule: str
    row: int = 0
    value: str = ""
    count: int = 1

    def __str__(self) -> str:
        seen = f" (got {self.value})" if self.value else ""
        where = f" in {self.count} rows, first row {self.row}" if self.count > 1 else ""
        return f"{self.field}: {self.rule}{seen}{where}"


class ServingError(Exception):
    """Base of every error the serving side raises on purpose.

    Attributes:
        told: What clients are told instead of the text, where that may hold paths, addresses or the words of others.
    """

    told = ""


class ContractError(ServingError):
    """Rows do not satisfy the contract; `violations` names every offending field."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("; ".join(str(violation) for violation in violations))
        self.violations = violations


class BundleError(ServingError):
    """A bundle is damaged, foreign or not what it says."""

    told = "the bundle of this version is refused; the server's log says why"


class BundleUnreadableError(BundleError):
    """A bundle, or a signature of it, can not be read at the moment: try again."""

    told = "the bundle of this version can not be read at the moment; try again"


class SignatureError(BundleError):
    """No trusted key vouches for a bundle."""

    told = "no trusted key vouches for the bundle of this version"


class ReleaseError(ServingError):
    """A release document is damaged or out of order."""

    told = "a release document is refused; the server's log says why"


class ReleaseConflictError(ReleaseError):
    """This generation exists already: read the chain again and decide again."""


class ModelUnavailableError(ServingError):
    """No version of the model is loaded."""


class ModelNotFoundError(ServingError):
    """The model or the version is not known here."""


class PredictionNotFoundError(ServingError):
    """The prediction id is unknown or not shipped yet."""


class ScoreError(ServingError):
    """A model's answer to a row that its contract admits is no probability."""


class RequestConflictError(ServingError):
    """A request id came again with another payload."""


class UnauthenticatedError(ServingError):
    """The caller did not prove who it is."""


class PermissionDeniedError(ServingError):
    """The caller is known, but may not do this."""


class OverloadError(ServingError):
    """The server, or this caller's share of it, is busy."""

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class MessageLimitError(ServingError):
    """A message is larger, or made of more parts, than the method takes."""


class DeadlineExceededError(ServingError):
    """The caller's deadline passed before the work began."""


class DrainingError(ServingError):
    """The server is stopping; what it has not answered can be sent again, to another one or the next."""


class JournalError(ServingError):
    """The journal can not be written, so nothing may be answered."""


class LakeError(ServingError):
    """The lake can not be read."""

    told = "the lake can not be read"


class AuditError(ServingError):
    """The audit log can not be written, so no control call may be carried out."""


class OrchestratorError(ServingError):
    """Dagster can not be reached or refused the launch."""

    told = "Dagster can not be reached, or has refused; the server's log says which and why"


class CallError(ServingError):
    """A call failed for a reason that no other class names, for example because no server is there."""


class SettingsError(ServingError):
    """A setting is wrong; the message names it and the mend."""


def remember_version(error: Exception, version: str) -> None:
    """Keep with an error which version of a model it came from, for the log."""
    error.model_version = version  # type: ignore[attr-defined]


def version_behind(error: BaseException) -> str:
    """Return what was kept so, or ""."""
    return str(getattr(error, "model_version", ""))


def forget_frames(error: BaseException) -> None:
    """Drop what an error that is kept as a value holds of where it was raised.

    A frame that keeps the error would be kept by it: with the whole request in it, until the collector comes.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None
