"""A policy's answers beside those of the static policy: figures per window and in total, with paired intervals."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.backtest.history import History
from mlops_assets.core.backtest.replay import PolicyReplay, Retraining
from mlops_assets.core.backtest.versions import Version
from mlops_assets.core.intervals import mean_interval
from mlops_assets.core.performance import Estimate, Labels, Scores, evaluate, paired_difference
from mlops_assets.core.triggers import ROUNDING, accuracy_threshold
from mlops_assets.core.windows import Window

METRICS = ("accuracy", "auc", "f1", "log_loss")
SECONDS_PER_DAY = 86400


def compare_with_static(history: History, replay: PolicyReplay, static: Scores, first: Version) -> dict[str, Any]:
    """Return what a policy gave, JSON-serializable.

    Args:
        history: What was replayed.
        replay: What the policy did.
        static: The first version's scores of every row, shape (n_rows,).
        first: That version; its prior is the constant predictor and its hold-out accuracy the yardstick of recovery.

    Returns:
        `totals` and `against_static` over all labeled rows; `windows` with the same per window; counts of
        `retrainings`, `promotions`, `refusals`, `failures`, `alarms` (retrainings by drift or accuracy),
        `false_alarms` and `missed_gains`; `mean_days_to_recover`, `degraded_windows` and `unrecovered`; and the
        retrainings one by one as `history`.
    """
    windows = [_window(history, replay, static, first, window) for window in history.windows]
    made = replay.retrainings
    return {
        **_figures(replay.scores[history.labeled], static[history.labeled], history.truth[history.labeled], first),
        "retrainings": len(made),
        "promotions": sum(one.verdict == "promote" for one in made),
        "refusals": sum(one.verdict == "refuse" for one in made),
        "failures": sum(one.verdict == "fail" for one in made),
        "alarms": sum(one.trigger != "schedule" for one in made),
        "false_alarms": sum(one.false_alarm is True for one in made),
        "missed_gains": sum(one.missed_gain for one in made),
        **_recovery(history.windows, [window["degraded"] for window in windows]),
        "windows": windows,
        "history": [_entry(one) for one in made],
    }


def f1_difference(challenger: Scores, champion: Scores, labels: Labels, *, threshold: float) -> Estimate | None:
    """Return the difference of two F1 scores on the same rows, challenger less champion, with its 95 % interval.

    Args:
        challenger: Probabilities, shape (n_rows,).
        champion: Probabilities on the same rows, shape (n_rows,).
        labels: 1 or 0, shape (n_rows,).
        threshold: Probability from which the answer is positive.

    Returns:
        None where either of them is undefined: neither a label nor an answer of that model is positive.

    Source:
        The delta method on F1 = 2 mean(y a) / mean(y + a), a ratio of means; paired by row.
    """
    new, old = (_f1_influence(scores >= threshold, labels) for scores in (challenger, champion))
    if new is None or old is None:
        return None
    return mean_interval(new[0] - old[0] + (new[1] - old[1]), low=-1.0, high=1.0)


def _f1_influence(answers: NDArray[np.bool_], labels: Labels) -> tuple[float, NDArray[np.float64]] | None:
    both, either = 2.0 * (answers & (labels == 1)), answers + labels.astype(np.float64)
    if not either.any():
        return None
    f1 = float(both.mean() / either.mean())
    return f1, (both - f1 * either) / float(either.mean())


def _figures(scores: Scores, static: Scores, truth: Labels, first: Version) -> dict[str, Any]:
    threshold, prior = first.spec.label.threshold, first.holdout.prior
    if not len(truth):
        return {"n_labels": 0, "totals": None, "against_static": None}
    own = evaluate(scores, truth, threshold=threshold, prior=prior)
    beside = paired_difference(scores, static, truth, threshold=threshold)
    f1 = f1_difference(scores, static, truth, threshold=threshold)
    return {
        "n_labels": own.n_rows,
        "totals": {
            "accuracy": asdict(own.accuracy),
            "auc": own.auc and asdict(own.auc),
            "f1": own.f1,
            "log_loss": asdict(own.log_loss),
            "constant_accuracy": own.constant_accuracy,
            "constant_log_loss": own.constant_log_loss,
        },
        "against_static": {
            "accuracy": asdict(beside.accuracy),
            "auc": beside.auc and asdict(beside.auc),
            "f1": f1 and asdict(f1),
            "log_loss": asdict(beside.log_loss),
        },
    }


def _window(history: History, replay: PolicyReplay, static: Scores, first: Version, window: Window) -> dict[str, Any]:
    places = history.places(window.start, window.end)
    labeled, drift = history.labeled[places], replay.drift.get(window)
    figures = _figures(replay.scores[places][labeled], static[places][labeled], history.truth[places][labeled], first)
    return {
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "n_rows": places.stop - places.start,
        **figures,
        "drift": drift.verdict if drift else None,
        "drifted_features": list(drift.drifted_features) if drift else [],
        "versions": [int(number) for number, _ in groupby(replay.versions[places].tolist())],
        "degraded": _degraded(figures, first),
    }


def _degraded(figures: dict[str, Any], first: Version) -> bool | None:
    """Say whether accuracy is under the accuracy trigger's threshold for the first version; None with few labels.

    One yardstick for all policies: a policy's own versions have baselines of their own.
    """
    policy = first.spec.accuracy
    threshold = accuracy_threshold(policy, first.holdout.accuracy.value)
    if figures["totals"] is None or figures["n_labels"] < policy.minimum_labels or threshold is None:
        return None
    accuracy: float = figures["totals"]["accuracy"]["high" if policy.confirm == "bound" else "value"]
    return accuracy < threshold - ROUNDING


def _recovery(windows: Sequence[Window], degraded: Sequence[bool | None]) -> dict[str, Any]:
    """Return how long accuracy stayed under its threshold: from the first such window to the next that is not.

    An episode that the history ends in is counted as unrecovered and left out of the mean.
    """
    days, since = [], None
    for window, low in zip(windows, degraded, strict=True):
        if low and since is None:
            since = window.start
        elif low is False and since is not None:
            days.append((window.start - since).total_seconds() / SECONDS_PER_DAY)
            since = None
    return {
        "degraded_windows": sum(low is True for low in degraded),
        "mean_days_to_recover": float(np.mean(days)) if days else None,
        "unrecovered": int(since is not None),
    }


def _entry(one: Retraining) -> dict[str, Any]:
    return {
        **asdict(one),
        "at": one.at.isoformat(),
        "data_until": one.data_until.isoformat(),
        "false_alarm": one.false_alarm,
        "missed_gain": one.missed_gain,
    }
