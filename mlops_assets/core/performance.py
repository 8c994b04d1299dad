"""How well scores match labels: metrics with 95 % intervals, and the constant predictor beside them."""

import math
from dataclasses import dataclass

import numpy as np

from mlops_assets.core.intervals import (
    Z_95,
    Estimate,
    Labels,
    Scores,
    delong_difference,
    delong_interval,
    f1_interval,
    mean_interval,
    wilson_interval,
)
from mlops_assets.core.reliability import calibration_error
from mlops_assets.core.resampling import bootstrap_intervals
from mlops_assets.errors import DataError, InsufficientDataError

__all__ = [
    "Z_95",
    "Estimate",
    "Labels",
    "PairedDifference",
    "Performance",
    "Scores",
    "average_precision",
    "delong_interval",
    "evaluate",
    "further_intervals",
    "paired_difference",
    "row_log_losses",
    "wilson_interval",
]

PROBABILITY_FLOOR = 1e-7
LARGEST_LOG_LOSS = -math.log(PROBABILITY_FLOOR)


@dataclass(frozen=True, kw_only=True)
class Performance:
    """The metrics of one set of labeled rows; None where its denominator is 0 or, of AUC, one class is missing."""

    n_rows: int
    prior: float
    accuracy: Estimate
    log_loss: Estimate
    auc: Estimate | None
    pr_auc: float | None
    brier: float
    precision: float | None
    recall: float | None
    f1: float | None
    calibration_error: float
    constant_accuracy: float
    constant_log_loss: float
    constant_brier: float
    constant_pr_auc: float | None
    constant_f1: float | None

    def metrics(self) -> dict[str, float | None]:
        """Return every metric's value by name, the constant predictor's among them."""
        return {
            "n_rows": float(self.n_rows),
            "prior": self.prior,
            "accuracy": self.accuracy.value,
            "log_loss": self.log_loss.value,
            "auc": self.auc.value if self.auc else None,
            "pr_auc": self.pr_auc,
            "brier": self.brier,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "calibration_error": self.calibration_error,
            "constant_accuracy": self.constant_accuracy,
            "constant_log_loss": self.constant_log_loss,
            "constant_brier": self.constant_brier,
            "constant_pr_auc": self.constant_pr_auc,
            "constant_f1": self.constant_f1,
        }

    def metrics_with_intervals(self) -> dict[str, float]:
        """Return the defined metrics, with `_low` and `_high` beside those that have an interval."""
        values = {name: value for name, value in self.metrics().items() if value is not None}
        for name in ("accuracy", "log_loss", "auc"):
            estimate: Estimate | None = getattr(self, name)
            if estimate is not None:
                values |= {f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        return values


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Challenger less champion on the same rows; accuracy and AUC up are better, log loss down is better."""

    accuracy: Estimate
    log_loss: Estimate
    auc: Estimate | None


def evaluate(scores: Scores, labels: Labels, *, threshold: float, prior: float) -> Performance:
    """Measure probabilities against labels.

    Args:
        scores: Probability of the positive label, shape (n_rows,), 0 to 1.
        labels: 1 where the positive label is true, else 0, shape (n_rows,).
        threshold: Probability from which the answer is positive.
        prior: Share of positives that the constant predictor answers with, 0 to 1.

    Raises:
        InsufficientDataError: There are no rows.
        DataError: A score is not finite.
    """
    if len(scores) == 0:
        raise InsufficientDataError("no labeled rows to measure")
    if not np.isfinite(scores).all():
        raise DataError(f"{int((~np.isfinite(scores)).sum())} of {len(scores)} scores are not finite")
    answers = scores >= threshold
    losses = row_log_losses(scores, labels)
    both_classes = 0 < labels.sum() < len(labels)
    true_positives, n_answers, n_positives = int(answers[labels == 1].sum()), int(answers.sum()), int(labels.sum())
    return Performance(
        n_rows=len(scores),
        prior=float(prior),
        accuracy=wilson_interval(int((answers == (labels == 1)).sum()), len(labels)),
        log_loss=mean_interval(losses, low=0.0, high=LARGEST_LOG_LOSS),
        auc=delong_interval(scores, labels) if both_classes else None,
        pr_auc=average_precision(scores, labels) if both_classes else None,
        brier=float(np.mean((scores - labels) ** 2)),
        precision=true_positives / n_answers if n_answers else None,
        recall=true_positives / n_positives if n_positives else None,
        f1=_f1(true_positives, n_answers, n_positives),
        calibration_error=calibration_error(scores, labels),
        constant_accuracy=float(np.mean(labels == (prior >= threshold))),
        constant_log_loss=float(row_log_losses(np.full(len(labels), prior), labels).mean()),
        constant_brier=float(np.mean((prior - labels) ** 2)),
        constant_pr_auc=n_positives / len(labels) if both_classes else None,
        constant_f1=_f1(n_positives, len(labels), n_positives) if prior >= threshold else _f1(0, 0, n_positives),
    )


def paired_difference(challenger: Scores, champion: Scores, labels: Labels, *, threshold: float) -> PairedDifference:
    """Compare two models row by row.

    Args:
        challenger: Probabilities, shape (n_rows,).
        champion: Probabilities on the same rows, shape (n_rows,).
        labels: 1 or 0, shape (n_rows,).
        threshold: Probability from which the answer is positive.

    Returns:
        Mean differences, challenger less champion, with 95 % t intervals of the paired differences (for AUC, None
        with one class, by DeLong's covariance).
    """
    hit = labels == 1
    right = ((challenger >= threshold) == hit).astype(float) - ((champion >= threshold) == hit).astype(float)
    worse = row_log_losses(challenger, labels) - row_log_losses(champion, labels)
    areas = delong_difference(challenger, champion, labels) if hit.any() and not hit.all() else None
    return PairedDifference(
        accuracy=mean_interval(right, low=-1.0, high=1.0),
        log_loss=mean_interval(worse, low=-LARGEST_LOG_LOSS, high=LARGEST_LOG_LOSS),
        auc=areas,
    )


def further_intervals(
    measured: Performance, scores: Scores, labels: Labels, *, threshold: float
) -> dict[str, Estimate]:
    """Return the metrics whose intervals cost more than a decision needs: what a report shows.

    Args:
        measured: Of the same rows.
        scores: Probability of the positive label, shape (n_rows,), 0 to 1.
        labels: 1 or 0, shape (n_rows,).
        threshold: Probability from which the answer is positive.

    Returns:
        Precision, recall and F1 by Wilson, the Brier score by its rows' variance, and the area under the
        precision-recall curve and the calibration error by the bootstrap; undefined metrics are left out.
    """
    answers, hits = scores >= threshold, labels == 1
    n_true = int((answers & hits).sum())
    shares = {"precision": int(answers.sum()), "recall": int(hits.sum())}
    intervals = {name: wilson_interval(n_true, n_rows) for name, n_rows in shares.items() if n_rows}
    if measured.f1 is not None:
        intervals["f1"] = f1_interval(measured.f1, int((answers | hits).sum()))
    return {
        **intervals,
        "brier": mean_interval((scores - labels) ** 2, low=0.0, high=1.0),
        **bootstrap_intervals(measured.pr_auc, measured.calibration_error, scores, labels),
    }


def row_log_losses(scores: Scores, labels: Labels) -> Scores:
    """Return each row's log loss in nats, shape (n_rows,); probabilities are kept 1e-7 away from 0 and 1."""
    clipped = np.clip(scores, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    losses: Scores = -np.where(labels == 1, np.log(clipped), np.log1p(-clipped))
    return losses


def average_precision(scores: Scores, labels: Labels) -> float:
    """Return the area under the precision-recall curve as the mean precision at each positive, 0 to 1.

    Args:
        scores: Shape (n_rows,); rows of equal score are taken together.
        labels: Shape (n_rows,), at least one positive.

    Source:
        Davis, Goadrich (2006); without interpolation, as `sklearn.metrics.average_precision_score`.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true_positives = np.cumsum(labels[order])[ends]
    gained = np.diff(true_positives, prepend=0)
    return float(np.sum(gained * true_positives / (ends + 1)) / true_positives[-1])


def _f1(true_positives: int, n_answers: int, n_positives: int) -> float | None:
    either = n_answers + n_positives
    return 2 * true_positives / either if either else None
