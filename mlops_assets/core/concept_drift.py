"""Whether the errors of one version became more or less frequent: evidence about the concept, never a trigger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.002


@dataclass(frozen=True, kw_only=True)
class ErrorChange:
    """One change of the error rate.

    Attributes:
        seen_at: Event time of the row at which the detector was sure.
        since: Event time of the row at which the rates before and after differ most.
        error_before: Error rate between the change before and this one, 0 to 1.
        error_after: Error rate since, up to the next change or the end.
    """

    seen_at: datetime
    since: datetime
    error_before: float
    error_after: float


@dataclass(frozen=True, kw_only=True)
class ConceptDrift:
    """What the detector says about the errors of one version.

    Attributes:
        n_rows: Labeled answers that it has seen.
        begins_at: Event time of the first of them; None without any.
        error: Share of them that were wrong.
        changes: In order.
    """

    n_rows: int
    begins_at: datetime | None
    error: float | None
    changes: tuple[ErrorChange, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return how many changes there were, with the newest of them, JSON-serializable."""
        newest = self.changes[-1] if self.changes else None
        return {
            "n_rows": self.n_rows,
            "begins_at": self.begins_at.isoformat() if self.begins_at else None,
            "error": self.error,
            "n_changes": len(self.changes),
            "detected": newest is not None,
            "seen_at": newest.seen_at.isoformat() if newest else None,
            "since": newest.since.isoformat() if newest else None,
            "error_before": newest.error_before if newest else None,
            "error_after": newest.error_after if newest else None,
        }

    def __str__(self) -> str:
        since = f" since {self.begins_at:%Y-%m-%d %H:%M}" if self.begins_at else ""
        rows = f"{self.n_rows} labeled rows{since}"
        if not self.changes:
            return f"no change of the error rate in {rows}"
        newest = self.changes[-1]
        return (
            f"error rate changed from {newest.error_before:.4f} to {newest.error_after:.4f} "
            f"since {newest.since:%Y-%m-%d %H:%M}, seen at {newest.seen_at:%Y-%m-%d %H:%M}, in {rows}"
        )


def detect_concept_drift(errors: NDArray[np.bool_], times: Sequence[datetime], *, minimum_rows: int) -> ConceptDrift:
    """Feed the errors to an adaptive window (ADWIN) and return the changes of their rate.

    The detector starts anew with every call, so the same rows always give the same answer.

    Args:
        errors: Whether each answer was wrong, in order of event time, shape (n_rows,).
        times: Event times, shape (n_rows,).
        minimum_rows: Rows for which a rate must hold to be one.

    Returns:
        Changes in order. The detector assumes independent rows: errors that come in clusters, as in a storm, are
        changes to it too, which is why this is evidence and no trigger.

    Source:
        Bifet, Gavalda (2007), Learning from time-changing data with adaptive windowing; river's implementation with
        its default confidence of 0.002.
    """
    starts, seen = _changes(errors, minimum_rows)
    bounds = [0, *starts, len(errors)]
    changes = tuple(
        ErrorChange(
            seen_at=times[place],
            since=times[start],
            error_before=float(errors[before:start].mean()),
            error_after=float(errors[start:end].mean()),
        )
        for place, before, start, end in zip(seen, bounds, bounds[1:], bounds[2:], strict=False)
    )
    if not len(errors):
        return ConceptDrift(n_rows=0, begins_at=None, error=None, changes=())
    return ConceptDrift(n_rows=len(errors), begins_at=times[0], error=float(errors.mean()), changes=changes)


def _changes(errors: NDArray[np.bool_], minimum_rows: int) -> tuple[list[int], list[int]]:
    """Return the rows at which a rate begins, ascending, and those at which the detector saw it."""
    from river.drift import ADWIN

    def fresh() -> Any:
        return ADWIN(delta=CONFIDENCE, min_window_length=minimum_rows)

    values = errors.tolist()
    detector, start, place = fresh(), 0, 0
    starts: list[int] = []
    seen: list[int] = []
    while place < len(values):
        detector.update(float(values[place]))
        if detector.drift_detected:
            start += _steepest(errors[start : place + 1])
            starts.append(start)
            seen.append(place)
            # What the detector keeps still holds rows of the old rate, and it would see the same change again.
            detector, place = fresh(), start
        else:
            place += 1
    return starts, seen


def _steepest(errors: NDArray[np.bool_]) -> int:
    """Return the row, 1 to n - 1, that divides two or more rows into the most different halves (maximal CUSUM)."""
    n = len(errors)
    before = np.arange(1, n)
    gap = np.abs(np.cumsum(errors)[:-1] - before * errors.mean()) / np.sqrt(before * (n - before))
    return int(np.argmax(gap)) + 1
