"""Whether the verdicts so far ask for retraining; sensors, backtest and tests all decide through here."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from mlops_assets.spec import AccuracyPolicy, DriftPolicy

DriftVerdict = Literal["drifted", "clean", "insufficient_data"]
Trigger = Literal["drift", "accuracy"]
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class WindowVerdict:
    """What the reports said about one window whose labels have had their horizon.

    Attributes:
        start: Start of the window.
        end: End of the window.
        drift: The drift report's verdict; None if there is no report.
        n_labels: Labeled rows that the version in production answered.
        accuracy: Its accuracy on them, 0 to 1.
        accuracy_high: Upper bound of the 95 % interval.
        baseline_accuracy: Its accuracy on its hold-out when it was promoted.
    """

    start: datetime
    end: datetime
    drift: DriftVerdict | None = None
    n_labels: int = 0
    accuracy: float | None = None
    accuracy_high: float | None = None
    baseline_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class RetrainingDecision:
    """Whether to retrain, why, and a key that the same verdicts always give."""

    retrain: bool
    trigger: Trigger
    reason: str
    windows: tuple[WindowVerdict, ...] = ()
    key: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


def decide_drift_retraining(
    verdicts: Iterable[WindowVerdict],
    *,
    policy: DriftPolicy,
    cool_down_windows: int,
    reset_at: datetime | None,
    generation: int = 0,
) -> RetrainingDecision:
    """Ask for retraining after enough drifted windows in a row since the last release entry.

    A clean window resets the streak; a window with too little data neither counts nor resets.

    Args:
        verdicts: In any order; of two on one window the later counts.
        policy: How many windows in a row.
        cool_down_windows: Windows after `reset_at` in which nothing may be asked for; they do count for the streak.
        reset_at: Until when the last entry of the release chain, a refusal too, has used the data.
        generation: Of that entry.
    """
    later = _since(verdicts, reset_at)
    streak: list[WindowVerdict] = []
    for verdict in later:
        if verdict.drift == "drifted":
            streak.append(verdict)
        elif verdict.drift == "clean":
            streak.clear()
    wanted = policy.consecutive_windows
    if len(streak) < wanted:
        return _no("drift", f"{len(streak)} of {wanted} consecutive drifted windows")
    if len(later) <= cool_down_windows:
        return _no(
            "drift", f"cooling down: {len(later)} windows since the last retraining, {cool_down_windows} must pass"
        )
    counted = tuple(streak[-wanted:])
    names = ", ".join(f"{verdict.start:%Y-%m-%d %H:%M}" for verdict in counted)
    return RetrainingDecision(
        retrain=True,
        trigger="drift",
        reason=f"{wanted} consecutive drifted windows ({names})",
        windows=counted,
        key=_key("drift", streak[wanted - 1], generation),
        evidence={
            "consecutive_drifted_windows": len(streak),
            "windows": [verdict.start.isoformat() for verdict in counted],
        },
    )


def decide_accuracy_retraining(
    verdicts: Iterable[WindowVerdict],
    *,
    policy: AccuracyPolicy,
    cool_down_windows: int,
    reset_at: datetime | None,
    generation: int = 0,
) -> RetrainingDecision:
    """Ask for retraining when the newest window with enough labels is under the accuracy threshold.

    Args:
        verdicts: In any order; of two on one window the later counts.
        policy: Margin or floor, point or bound, minimum labels.
        cool_down_windows: Windows after `reset_at` in which nothing may be asked for.
        reset_at: Until when the last entry of the release chain has used the data.
        generation: Of that entry.
    """
    later = _since(verdicts, reset_at)
    judged = [verdict for verdict in later if verdict.n_labels >= policy.minimum_labels]
    if not judged:
        return _no("accuracy", f"no window since the last release has {policy.minimum_labels} labels of this version")
    newest = judged[-1]
    measured = newest.accuracy_high if policy.confirm == "bound" else newest.accuracy
    threshold = accuracy_threshold(policy, newest.baseline_accuracy)
    if measured is None or threshold is None:
        return _no("accuracy", "no accuracy or no promotion baseline to compare")
    what = "upper bound of accuracy" if policy.confirm == "bound" else "accuracy"
    if measured >= threshold - ROUNDING:
        return _no("accuracy", f"{what} {measured:.4f} holds against {threshold:.4f}")
    if len(later) <= cool_down_windows:
        return _no(
            "accuracy", f"cooling down: {len(later)} windows since the last retraining, {cool_down_windows} must pass"
        )
    return RetrainingDecision(
        retrain=True,
        trigger="accuracy",
        reason=f"{what} {measured:.4f} is under {threshold:.4f} in the window of {newest.start:%Y-%m-%d %H:%M}",
        windows=(newest,),
        key=_key("accuracy", newest, generation),
        evidence={"accuracy": newest.accuracy, "accuracy_high": newest.accuracy_high, "threshold": threshold},
    )


def accuracy_threshold(policy: AccuracyPolicy, baseline: float | None) -> float | None:
    """Return the accuracy under which the trigger fires: the floor, else the baseline less the margin."""
    if policy.floor is not None:
        return policy.floor
    return None if baseline is None else baseline - policy.margin


def _since(verdicts: Iterable[WindowVerdict], reset_at: datetime | None) -> list[WindowVerdict]:
    """Return the last word on each window that ends after the reset, oldest window first."""
    by_end = {verdict.end: verdict for verdict in verdicts if reset_at is None or verdict.end > reset_at}
    return [by_end[end] for end in sorted(by_end)]


def _key(trigger: Trigger, verdict: WindowVerdict, generation: int) -> str:
    return f"{trigger}:{verdict.end.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}:generation-{generation}"


def _no(trigger: Trigger, reason: str) -> RetrainingDecision:
    return RetrainingDecision(retrain=False, trigger=trigger, reason=reason)
