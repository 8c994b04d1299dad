"""A year of flights, week by week: what accuracy was expected before the labels came, and what came true."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlops_assets.core.concept_drift import ConceptDrift, detect_concept_drift
from mlops_assets.core.estimation import Calibration, calibrate, estimate_accuracy
from mlops_assets.core.intervals import Estimate, wilson_interval
from mlops_assets.core.pipelines import DEFAULTS, one_thread
from mlops_assets.core.splits import labeled_rows
from mlops_assets.core.training import make_pipeline
from mlops_assets.models.flight_delay import START, spec

SOURCE_WEEKS = 4
HISTORY_WEEKS = 8
ALGORITHM = "hist_gradient_boosting"


@dataclass(frozen=True)
class Week:
    """One week: the estimate, what came true, and two simpler guesses.

    Attributes:
        estimate: From calibrated scores.
        realized: Accuracy on the labeled flights.
        at_its_word: Mean probability that the scores give themselves of being right.
        holdout: Accuracy on the hold-out of the version.
    """

    number: int
    estimate: Estimate
    realized: Estimate
    at_its_word: float
    holdout: float


@dataclass(frozen=True)
class _Version:
    score: Callable[[pd.DataFrame], np.ndarray]
    calibration: Calibration
    holdout: float


def flights_by_week(flights: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Return the whole weeks of the year, counted from 0."""
    number = (flights["event_time"] - START) // spec.windows.length
    return {int(week): rows for week, rows in flights.groupby(number) if 0 <= week < 52}


def measure(weeks: dict[int, pd.DataFrame], *, every: int | None) -> tuple[list[Week], ConceptDrift]:
    """Estimate every week after the first four with a model that is trained anew every so many weeks.

    Args:
        weeks: Flights by week.
        every: Weeks between trainings on the trailing eight; None keeps the first model.

    Returns:
        The weeks, and the changes of the error rate since the newest training.
    """
    measured, errors, times = [], [], []
    version = _train(weeks, SOURCE_WEEKS)
    for number in range(SOURCE_WEEKS, max(weeks) + 1):
        if every and number > SOURCE_WEEKS and (number - SOURCE_WEEKS) % every == 0:
            version, errors, times = _train(weeks, number), [], []
        week, wrong, labeled = _measure_week(number, weeks[number], version)
        measured.append(week)
        errors.append(wrong)
        times.extend(labeled["event_time"])
    return measured, detect_concept_drift(np.concatenate(errors), times, minimum_rows=spec.windows.minimum_rows)


def _train(weeks: dict[int, pd.DataFrame], until: int) -> _Version:
    fitted_on = labeled_rows(pd.concat([weeks[week] for week in _history(until)], ignore_index=True), spec)
    pipeline = make_pipeline(ALGORITHM, DEFAULTS[ALGORITHM], spec.contract, seed=spec.training.seed)
    with one_thread():
        pipeline.fit(fitted_on.features, fitted_on.labels)

    def score(frame: pd.DataFrame) -> np.ndarray:
        rows = labeled_rows(frame.assign(**{spec.label.name: spec.label.positive}), spec)
        with one_thread():
            return np.asarray(pipeline.predict_proba(rows.features)[:, 1])

    holdout = weeks[until - 1][weeks[until - 1][spec.label.name].notna()]
    scores, labels = score(holdout), labeled_rows(holdout, spec).labels
    right = (scores >= spec.label.threshold) == (labels == 1)
    return _Version(score, calibrate(scores, labels), float(right.mean()))


def _history(until: int) -> Iterator[int]:
    yield from range(max(0, until - HISTORY_WEEKS), until - 1)


def _measure_week(number: int, flights: pd.DataFrame, version: _Version) -> tuple[Week, np.ndarray, pd.DataFrame]:
    scores = version.score(flights)
    positive = scores >= spec.label.threshold
    estimate = estimate_accuracy(version.calibration, scores, positive, np.ones(len(scores)))
    known = flights[spec.label.name].notna().to_numpy()
    wrong = (positive[known] != (flights[spec.label.name][known] == spec.label.positive)).to_numpy()
    assert estimate is not None
    at_its_word = float(np.where(positive, scores, 1 - scores).mean())
    realized = wilson_interval(int((~wrong).sum()), len(wrong))
    return Week(number, estimate, realized, at_its_word, version.holdout), wrong, flights[known]
