"""Windows of a stream through the project's own scoring, rules and trigger."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from mlops_assets.core.drift import WindowDrift, judge, score_window
from mlops_assets.core.profile import Counts, Profile
from mlops_assets.core.triggers import WindowVerdict, decide_drift_retraining
from mlops_assets.policies import DriftRule
from mlops_assets.spec import DriftPolicy, Feature, RetrainingPolicy
from tests.benchmarks.drift_rules.streams import N_FEATURES, STREAMS, WINDOWS_A_DAY, WINDOWS_A_WEEK

RULES: dict[DriftRule, DriftPolicy] = {
    "vote": DriftPolicy(),
    "calibrated": DriftPolicy(rule="calibrated"),
    "any": DriftPolicy(rule="any"),
    "all": DriftPolicy(rule="all"),
}
MINIMUM_ROWS = 1000
REFERENCE_WEEKS = 4
SEED = 20130101
_START, _HOUR = datetime(2024, 1, 1, tzinfo=UTC), timedelta(hours=1)


@dataclass(frozen=True)
class Block:
    """Up to four weeks of hourly windows against one reference.

    Attributes:
        stream: Its name.
        n_rows: Rows of a window.
        number: Of the block in its stream; windows are counted through.
        n_windows: Its length.
        matched: Whether seasonal features are compared with their hour of the day.
    """

    stream: str
    n_rows: int
    number: int
    n_windows: int = REFERENCE_WEEKS * WINDOWS_A_WEEK
    matched: bool = True


@dataclass(frozen=True)
class Run:
    """One feature shifted from the first window on, until a retraining is asked for or the windows end.

    Attributes:
        n_rows: Rows of a window.
        shift: In standard deviations of the feature.
        number: Of the run; says which feature is shifted.
        n_windows: When to give up.
    """

    n_rows: int
    shift: float
    number: int
    n_windows: int = 12


def verdicts_of(block: Block) -> dict[DriftRule, list[bool]]:
    """Return which windows of a block each rule calls drifted."""
    stream = STREAMS[block.stream]
    generator = np.random.default_rng([SEED, list(STREAMS).index(block.stream), block.n_rows, block.number])
    profile = stream.reference(generator)
    first = block.number * REFERENCE_WEEKS * WINDOWS_A_WEEK
    levels = stream.path(np.arange(first, first + block.n_windows), generator)
    hours = range(WINDOWS_A_DAY) if block.matched and stream.seasonal else ()
    seasons = {hour: stream.season(generator, profile, block.n_rows, hour) for hour in hours}
    measured = replace(RULES["vote"], seasonal="matched" if seasons else "count")
    found: dict[DriftRule, list[bool]] = {rule: [] for rule in RULES}
    for place, level in enumerate(levels):
        counts = stream.counts(generator, profile, block.n_rows, level)
        season = seasons.get((first + place) % WINDOWS_A_DAY)
        drift = _score(profile, counts, measured, stream.spec.features, season=season)
        # Every rule needs at least one vote: of most windows there is nothing more to ask.
        suspect = any(feature.votes for feature in drift.features)
        for rule, policy in RULES.items():
            found[rule].append(suspect and judge(drift, policy).verdict == "drifted")
    return found


def delays_of(run: Run) -> dict[DriftRule, int | None]:
    """Return after how many windows each rule asks for a retraining; None if it does not."""
    stream = STREAMS["independent"]
    generator = np.random.default_rng([SEED, run.n_rows, round(1000 * run.shift), run.number])
    profile = stream.reference(generator)
    level = run.shift * (np.arange(N_FEATURES) == run.number % N_FEATURES)
    delays: dict[DriftRule, int | None] = {}
    windows: list[WindowDrift] = []
    for rule, policy in RULES.items():

        def drifted(policy: DriftPolicy = policy) -> Iterator[bool]:
            for place in range(run.n_windows):
                if place == len(windows):
                    counts = stream.counts(generator, profile, run.n_rows, level)
                    windows.append(_score(profile, counts, policy, stream.spec.features))
                yield judge(windows[place], policy).verdict == "drifted"

        delays[rule] = next((place + 1 for place in retrainings(drifted(), policy)), None)
    return delays


def retrainings(drifted: Iterable[bool], policy: DriftPolicy) -> Iterator[int]:
    """Yield the windows after which the loop asks for a retraining; each one starts the cool-down.

    Only the newest windows are handed over: those before them can change neither streak nor cool-down.
    """
    cool_down = RetrainingPolicy().cool_down_windows
    newest: deque[WindowVerdict] = deque(maxlen=policy.consecutive_windows + cool_down)
    reset_at = None
    for place, is_drifted in enumerate(drifted):
        start = _START + place * _HOUR
        newest.append(WindowVerdict(start=start, end=start + _HOUR, drift="drifted" if is_drifted else "clean"))
        decision = decide_drift_retraining(newest, policy=policy, cool_down_windows=cool_down, reset_at=reset_at)
        if decision.retrain:
            reset_at = newest[-1].end
            yield place


def _score(
    profile: Profile, counts: Counts, policy: DriftPolicy, features: Sequence[Feature], *, season: Counts | None = None
) -> WindowDrift:
    """Score a window, below the minimum of rows too: the table shows why there is one."""
    minimum = min(MINIMUM_ROWS, counts.n_rows)
    return score_window(profile, counts, policy, features, minimum_rows=minimum, season=season)
