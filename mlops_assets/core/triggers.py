"""Whether the verdicts so far ask for retraining; sensors, backtest and tests all decide through here."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from mlops_assets.spec import AccuracyPolicy, DriftPolicy

DriftVerdict = Literal["drifted", "clean", "insufficient_data"]
AccuracyVerdict = Literal["holds", "under_threshold", "insufficient_data"]
Trigger = Literal["drift", "accuracy", "new_data"]
ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True)
class WindowVerdict:
    """What the reports said about one window whose labels have had their horizon.

    Attributes:
        start: Start of the window.
        end: End of the window.
        drift: The drift report's verdict; None if there is no report.
        version: That the performance report is about.
        n_labels: Labeled rows that it answered.
        accuracy: Its accuracy on them, 0 to 1.
        accuracy_high: Upper bound of the 95 % interval.
        baseline_accuracy: Its accuracy on its hold-out when it was promoted.
    """

    start: datetime
    end: datetime
    drift: DriftVerdict | None = None
    version: str = ""
    n_labels: int = 0
    accuracy: float | None = None
    accuracy_high: float | None = None
    baseline_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class AccuracyJudgment:
    """Whether the accuracy of one window holds, against what, and a sentence with the numbers."""

    verdict: AccuracyVerdict
    reason: str
    threshold: float | None


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
    version: str,
    cool_down_windows: int,
    reset_at: datetime | None,
    generation: int = 0,
) -> RetrainingDecision:
    """Ask for retraining when the newest window with enough labels is under the accuracy threshold.

    Args:
        verdicts: In any order; of two on one window the later counts.
        policy: Margin or floor, point or bound, minimum labels.
        version: In production; a verdict on another is passed over.
        cool_down_windows: Windows after `reset_at` in which nothing may be asked for.
        reset_at: Until when the last entry of the release chain has used the data.
        generation: Of that entry.
    """
    later = _since(verdicts, reset_at)
    own = [verdict for verdict in later if verdict.version == version]
    judged = [verdict for verdict in own if verdict.n_labels >= policy.minimum_labels]
    if not judged:
        return _no("accuracy", f"no window since the last release has {policy.minimum_labels} labels of this version")
    newest = judged[-1]
    judgment = judge_accuracy(
        policy,
        n_labels=newest.n_labels,
        accuracy=newest.accuracy,
        accuracy_high=newest.accuracy_high,
        baseline=newest.baseline_accuracy,
    )
    if judgment.verdict != "under_threshold":
        return _no("accuracy", judgment.reason)
    if len(later) <= cool_down_windows:
        return _no(
            "accuracy", f"cooling down: {len(later)} windows since the last retraining, {cool_down_windows} must pass"
        )
    return RetrainingDecision(
        retrain=True,
        trigger="accuracy",
        reason=f"{judgment.reason} in the window of {newest.start:%Y-%m-%d %H:%M}",
        windows=(newest,),
        key=_key("accuracy", newest, generation),
        evidence={
            "accuracy": newest.accuracy,
            "accuracy_high": newest.accuracy_high,
            "threshold": judgment.threshold,
        },
    )


def judge_accuracy(
    policy: AccuracyPolicy,
    *,
    n_labels: int,
    accuracy: float | None,
    accuracy_high: float | None,
    baseline: float | None,
) -> AccuracyJudgment:
    """Judge the accuracy of one version in one window: the word of trigger, check and report.

    Args:
        policy: Margin or floor, point or bound, minimum labels.
        n_labels: Labeled rows that the version answered.
        accuracy: Its accuracy on them, 0 to 1.
        accuracy_high: Upper bound of the 95 % interval.
        baseline: Its accuracy on its hold-out when it was promoted.
    """
    what, measured = ("upper bound of accuracy", accuracy_high) if policy.confirm == "bound" else ("accuracy", accuracy)
    threshold = accuracy_threshold(policy, baseline)
    if n_labels < policy.minimum_labels:
        reason = f"{n_labels} labels of this version; {policy.minimum_labels} are needed to judge it"
    elif measured is None or threshold is None:
        reason = "no accuracy or no promotion baseline to compare"
    elif measured >= threshold - ROUNDING:
        reason = f"{what} {measured:.4f} holds against {threshold:.4f}"
        return AccuracyJudgment(verdict="holds", reason=reason, threshold=threshold)
    else:
        reason = f"{what} {measured:.4f} is under {threshold:.4f}"
        return AccuracyJudgment(verdict="under_threshold", reason=reason, threshold=threshold)
    return AccuracyJudgment(verdict="insufficient_data", reason=reason, threshold=threshold)


def decide_new_data_retraining(
    source_version: str,
    *,
    trained_on: str | None,
    last_decision: datetime,
    cool_down: timedelta,
    now: datetime,
    generation: int = 0,
) -> RetrainingDecision:
    """Ask for retraining when the source is not what the last training has read.

    Args:
        source_version: Of the source now.
        trained_on: Of the source at the last training, a refused one too; None if it was not known then.
        last_decision: When the last entry of the release chain was made.
        cool_down: Time after it in which nothing may be asked for.
        now: The present.
        generation: Of the last entry of the release chain.
    """
    if source_version == trained_on:
        return _no("new_data", f"the last training has read version {source_version} of the source")
    until = last_decision + cool_down
    if now < until:
        return _no("new_data", f"the source has changed; cooling down until {until:%Y-%m-%d %H:%M}")
    return RetrainingDecision(
        retrain=True,
        trigger="new_data",
        reason=f"the source has version {source_version}, the last training has read {trained_on or 'another'}",
        key=f"new_data:{source_version}:generation-{generation}",
        evidence={"source_version": source_version, "trained_on": trained_on},
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
