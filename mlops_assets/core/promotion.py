"""The gate: does the challenger beat the champion, by enough, on rows that neither has seen?"""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from mlops_assets.core.performance import Labels, Performance, Scores, evaluate, paired_difference
from mlops_assets.spec import GatePolicy

HIGHER_IS_BETTER = {"accuracy": True, "auc": True, "log_loss": False}
ROUNDING = 1e-12


@dataclass(frozen=True)
class PromotionDecision:
    """The verdict with its numbers; `evidence` is JSON-serializable."""

    verdict: Literal["promote", "refuse"]
    reason: str
    evidence: dict[str, Any]


def decide_promotion(
    *,
    challenger: Scores,
    champion: Scores | None,
    labels: Labels,
    policy: GatePolicy,
    prior: float,
    threshold: float,
    accuracy_floor: float | None = None,
) -> PromotionDecision:
    """Decide from both models' scores of the same hold-out rows.

    Args:
        challenger: Probabilities, shape (n_rows,).
        champion: Probabilities on the same rows, or None if nothing is in production yet: then the challenger must
            beat the constant predictor.
        labels: 1 or 0, shape (n_rows,).
        policy: Metric, margin and unit.
        prior: Share of positives before the hold-out: the constant predictor.
        threshold: Probability from which the answer is positive.
        accuracy_floor: The spec's absolute floor, which the first version must reach; 0 to 1.
    """
    evidence: dict[str, Any] = {"n_rows": len(labels), **asdict(policy)}
    n_classes = len(np.unique(labels))
    if len(labels) < policy.minimum_holdout_rows or n_classes < 2:
        what = f"{len(labels)} labeled hold-out rows with {n_classes} classes"
        reason = f"insufficient_evidence: {what}; {policy.minimum_holdout_rows} rows and both classes are needed"
        return PromotionDecision("refuse", reason, evidence)
    if not np.isfinite(challenger).all():
        return PromotionDecision("refuse", "the challenger answers with scores that are not finite", evidence)
    new = evaluate(challenger, labels, threshold=threshold, prior=prior)
    evidence |= {
        "challenger": new.metrics_with_intervals(),
        "constant": {"accuracy": new.constant_accuracy, "log_loss": new.constant_log_loss, "auc": 0.5},
    }
    if champion is None:
        return _first(new, accuracy_floor, evidence)
    old = evaluate(champion, labels, threshold=threshold, prior=prior)
    evidence |= {
        "champion": old.metrics_with_intervals(),
        "paired_difference": asdict(paired_difference(challenger, champion, labels, threshold=threshold)),
    }
    return _compare(new, old, policy, evidence)


def _first(new: Performance, accuracy_floor: float | None, evidence: dict[str, Any]) -> PromotionDecision:
    better_loss = new.log_loss.value < new.constant_log_loss
    accurate = new.accuracy.value >= new.constant_accuracy
    numbers = (
        f"log loss {new.log_loss.value:.4f} against {new.constant_log_loss:.4f}, "
        f"accuracy {new.accuracy.value:.4f} against {new.constant_accuracy:.4f} of the constant predictor"
    )
    if accuracy_floor is not None and new.accuracy.value < accuracy_floor - ROUNDING:
        return PromotionDecision("refuse", f"under the accuracy floor of {accuracy_floor:g}: {numbers}", evidence)
    if better_loss and accurate:
        return PromotionDecision("promote", f"first version: {numbers}", evidence)
    return PromotionDecision("refuse", f"does not beat the constant predictor: {numbers}", evidence)


def _compare(new: Performance, old: Performance, policy: GatePolicy, evidence: dict[str, Any]) -> PromotionDecision:
    challenger, champion = _value(new, policy.metric), _value(old, policy.metric)
    gain = challenger - champion if HIGHER_IS_BETTER[policy.metric] else champion - challenger
    if policy.unit == "relative":
        gain = gain / champion if champion else math.inf if gain > 0 else 0.0
    promoted = gain >= policy.margin - ROUNDING
    unit = "" if policy.unit == "points" else " relative"
    evidence |= {
        "gain": gain if math.isfinite(gain) else None,
        "challenger_value": challenger,
        "champion_value": champion,
    }
    reason = (
        f"{policy.metric} {challenger:.4f} against {champion:.4f} of the champion on {new.n_rows} rows: "
        f"gain {gain:+.4f}{unit}, {policy.margin:g}{unit} needed"
    )
    return PromotionDecision("promote" if promoted else "refuse", reason, evidence)


def _value(performance: Performance, metric: str) -> float:
    value = performance.metrics()[metric]
    if value is None:  # decide_promotion has refused hold-outs of one class
        raise ValueError(f"{metric} is undefined on this hold-out")
    return value
