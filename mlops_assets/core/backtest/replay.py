"""One policy replayed over history: windows close, labels come, triggers ask, the gate decides, versions change.

The moments are those of the live loop on its event clock. At a window's end its drift is judged against the profile
of the version then in production. A label horizon later, with the labels known by then, its performance is judged,
the drift trigger and then the accuracy trigger decide, and a retraining takes its snapshot. A retraining takes no
time: its version answers from that moment on, so a window's first hours are still answered by the version before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.backtest.history import History
from mlops_assets.core.backtest.policies import BacktestPolicy, spec_under
from mlops_assets.core.backtest.versions import Train, Version, judge, train_version
from mlops_assets.core.drift import WindowDrift, score_window
from mlops_assets.core.performance import Estimate, Scores, evaluate, paired_difference
from mlops_assets.core.profile import LABEL, SCORE, Counts, count
from mlops_assets.core.promotion import PromotionDecision
from mlops_assets.core.seasons import count_season
from mlops_assets.core.triggers import (
    RetrainingDecision,
    Trigger,
    WindowVerdict,
    decide_accuracy_retraining,
    decide_drift_retraining,
)
from mlops_assets.core.windows import Window, snapshot_end
from mlops_assets.errors import DataError

FOLLOWING_WINDOWS = 4
"""So many window lengths after a retraining its challenger and its champion are compared on what really came."""


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """One retraining and what became of it.

    Attributes:
        at: When it was asked for.
        trigger: By which trigger.
        reason: The trigger's words.
        data_until: End of its snapshot.
        verdict: "promote" and "refuse" are the gate's, "fail" a snapshot that can not be trained on.
        gate_reason: The gate's words, or the error's.
        candidate: Number of the version that was trained; None if training failed.
        evidence: The gate's numbers.
        following_log_loss: Challenger less champion on the rows of the following windows, with the labels that came
            later; negative is better. None where no labeled row followed.
    """

    at: datetime
    trigger: Trigger | Literal["schedule"]
    reason: str
    data_until: datetime
    verdict: Literal["promote", "refuse", "fail"]
    gate_reason: str
    candidate: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    following_log_loss: Estimate | None = None

    @property
    def false_alarm(self) -> bool | None:
        """Whether it was asked for by drift or accuracy and brought nothing: refused, or promoted and not better.

        None where it can not be said: for the schedule, a failure, and where no labeled row followed.
        """
        if self.trigger == "schedule" or self.verdict == "fail":
            return None
        if self.verdict == "refuse":
            return True
        return None if self.following_log_loss is None else self.following_log_loss.value >= 0

    @property
    def missed_gain(self) -> bool:
        """Whether the gate refused a challenger that was then better than its champion, by the 95 % interval."""
        following = self.following_log_loss
        return self.verdict == "refuse" and following is not None and following.high < 0


@dataclass(frozen=True)
class PolicyReplay:
    """What a policy did.

    Attributes:
        scores: Of every row, by the version that answered it, shape (n_rows,).
        versions: The number of that version, shape (n_rows,).
        drift: Of every window with rows, at its end.
        verdicts: What the triggers saw, in order of the windows.
        retrainings: In order of time.
    """

    scores: Scores
    versions: NDArray[np.int_]
    drift: dict[Window, WindowDrift]
    verdicts: list[WindowVerdict]
    retrainings: list[Retraining]


def replay_policy(
    history: History,
    policy: BacktestPolicy,
    first: Version,
    *,
    train: Train,
    search: bool = False,
    scheduled: Sequence[datetime] = (),
    on_window: Callable[[int], None] = lambda _: None,
) -> PolicyReplay:
    """Replay one policy.

    Args:
        history: What came, in order.
        policy: Which triggers are on, and what it changes in the spec.
        first: In production before the first window.
        train: Fits, and searches where it gets no recipe.
        search: Whether a retraining searches again; else it fits the champion's recipe on the newer rows.
        scheduled: The schedule's times, for a policy with that trigger.
        on_window: Called with the number of windows that are settled.

    Raises:
        SpecError: An override of the policy does not fit.
    """
    replay = _Replay(history, policy, first, train=train, search=search)
    n_settled = 0
    for moment, step, window in _moments(history, scheduled if "schedule" in policy.triggers else ()):
        replay.answer_until(moment)
        if window is None:
            replay.retrain(moment, "schedule", "weekly rebuild")
        elif step == _ENDED:
            replay.close(window)
        else:
            replay.settle(window, moment)
            n_settled += 1
            on_window(n_settled)
    return replay.outcome


_ENDED, _SETTLED, _SCHEDULED = 0, 1, 2


def _moments(history: History, scheduled: Sequence[datetime]) -> Iterator[tuple[datetime, int, Window | None]]:
    """Yield in order of time when windows end, when their labels have had their horizon, and the schedule's times."""
    horizon = history.spec.windows.label_horizon
    places = {window: history.places(window.start, window.end) for window in history.windows}
    windows = [window for window in history.windows if places[window].stop > places[window].start]
    yield from sorted(
        [
            *((window.end, _ENDED, window) for window in windows),
            *((window.end + horizon, _SETTLED, window) for window in windows),
            *((time, _SCHEDULED, None) for time in scheduled),
        ],
        key=lambda moment: moment[:2],
    )


@dataclass
class _Replay:
    """The state of the loop under one policy."""

    history: History
    policy: BacktestPolicy
    champion: Version
    train: Train
    search: bool
    generation: int = 1
    n_trained: int = 1
    n_answered: int = 0
    given_up: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        n_rows = len(self.history.rows)
        self.spec = spec_under(self.history.spec, self.policy)
        self.data_until = self.history.source_end
        self.outcome = PolicyReplay(np.full(n_rows, np.nan), np.zeros(n_rows, dtype=np.int_), {}, [], [])

    def answer_until(self, moment: datetime) -> None:
        """Let the version in production answer the rows before a moment."""
        places = slice(self.n_answered, self.history.places(moment, moment).start)
        self.outcome.scores[places] = self.champion.scores(self.history.rows.iloc[places])
        self.outcome.versions[places] = self.champion.number
        self.n_answered = places.stop

    def close(self, window: Window) -> None:
        """Judge the drift of a window that has ended."""
        places = self.history.places(window.start, window.end)
        frame = self.history.rows.iloc[places][self.spec.feature_names]
        label, scores = self.spec.label, self.outcome.scores[places]
        decisions = np.where(scores >= label.threshold, label.positive, label.negative)
        counts = count(self.champion.profile, frame.assign(**{SCORE: scores, LABEL: decisions}))
        self.outcome.drift[window] = score_window(
            self.champion.profile,
            counts,
            self.spec.drift,
            self.spec.features,
            minimum_rows=self.spec.windows.minimum_rows,
            season=self._season(window),
        )

    def _season(self, window: Window) -> Counts | None:
        if not self.spec.compares_seasons:
            return None
        rows = self.history.season(window, self.spec.drift.season, until=self.champion.tuned_until)
        return count_season(self.champion.profile, rows[[*self.spec.feature_names, "event_time"]])

    def settle(self, window: Window, moment: datetime) -> None:
        """Judge the performance of a window whose labels have had their horizon, and ask the triggers."""
        places = self.history.places(window.start, window.end)
        own = self.history.known(places, moment) & (self.outcome.versions[places] == self.champion.number)
        measured = None
        if own.any():
            measured = evaluate(
                self.outcome.scores[places][own],
                self.history.truth[places][own],
                threshold=self.spec.label.threshold,
                prior=self.champion.holdout.prior,
            )
        self.outcome.verdicts.append(
            WindowVerdict(
                start=window.start,
                end=window.end,
                drift=self.outcome.drift[window].verdict,
                version=str(self.champion.number),
                n_labels=measured.n_rows if measured else 0,
                accuracy=measured.accuracy.value if measured else None,
                accuracy_high=measured.accuracy.high if measured else None,
                baseline_accuracy=self.champion.holdout.accuracy.value,
            )
        )
        for decision in self._decisions():
            if decision.retrain and decision.key not in self.given_up:
                self.retrain(moment, decision.trigger, decision.reason, key=decision.key)

    def _decisions(self) -> Iterator[RetrainingDecision]:
        """Yield each trigger's decision; the second one sees what came of the first."""
        if "drift" in self.policy.triggers:
            yield decide_drift_retraining(self.outcome.verdicts, policy=self.spec.drift, **self._since())
        if "accuracy" in self.policy.triggers:
            version = str(self.champion.number)
            yield decide_accuracy_retraining(
                self.outcome.verdicts, policy=self.spec.accuracy, version=version, **self._since()
            )

    def _since(self) -> dict[str, Any]:
        return {
            "cool_down_windows": self.spec.retraining.cool_down_windows,
            "reset_at": self.data_until,
            "generation": self.generation,
        }

    def retrain(self, moment: datetime, trigger: Trigger | Literal["schedule"], reason: str, *, key: str = "") -> None:
        """Take a snapshot, train a challenger, let the gate decide, and go on with the winner.

        What can not be trained on leaves no entry in the release chain; the live loop gives such a decision up after
        a few attempts, so it is not tried again here.
        """
        end = snapshot_end(self.history.source_end, moment, self.spec.windows)
        entry = partial(Retraining, at=moment, trigger=trigger, reason=reason, data_until=end)
        try:
            challenger, decision = self._challenge(moment, end)
        except DataError as error:
            self.given_up.add(key)
            self.outcome.retrainings.append(entry(verdict="fail", gate_reason=str(error)))
            return
        self.outcome.retrainings.append(
            entry(
                candidate=challenger.number,
                verdict=decision.verdict,
                gate_reason=decision.reason,
                evidence=decision.evidence,
                following_log_loss=self._following(challenger, moment),
            )
        )
        self.generation, self.n_trained, self.data_until = self.generation + 1, challenger.number, end
        if decision.verdict == "promote":
            self.champion = challenger

    def _challenge(self, moment: datetime, end: datetime) -> tuple[Version, PromotionDecision]:
        snapshot = self.history.snapshot(moment, end)
        recipe, number = None if self.search else self.champion.recipe, self.n_trained + 1
        challenger = train_version(self.spec, snapshot, end=end, train=self.train, recipe=recipe, number=number)
        return challenger, judge(self.spec, snapshot, end=end, challenger=challenger, champion=self.champion)

    def _following(self, challenger: Version, moment: datetime) -> Estimate | None:
        """Return by how much the challenger's log loss differs on the labeled rows of the following windows."""
        places = self.history.places(moment, moment + FOLLOWING_WINDOWS * self.spec.windows.length)
        labeled = self.history.labeled[places]
        if not labeled.any():
            return None
        frame, truth = self.history.rows.iloc[places][labeled], self.history.truth[places][labeled]
        new, old = challenger.scores(frame), self.champion.scores(frame)
        return paired_difference(new, old, truth, threshold=self.spec.label.threshold).log_loss
