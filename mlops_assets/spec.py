"""The one declaration per model: everything else (assets, checks, sensors, schedule, API) is generated from it."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from mlops_assets.errors import SpecError
from serving.formats.contract import Contract, NumberFeature, TextFeature
from serving.formats.record import RESERVED_NAMES
from serving.formats.release import MODEL_NAME

if TYPE_CHECKING:
    import pandas as pd

_TAG = re.compile(r"[A-Za-z0-9_.-]{1,63}")

Metric = Literal["accuracy", "log_loss", "auc"]
TriggerName = Literal["drift", "accuracy", "schedule"]
Algorithm = Literal["logistic_regression", "random_forest", "hist_gradient_boosting"]
DriftRule = Literal["vote", "calibrated", "any", "all"]
Seasonality = Literal["matched", "count"]


@dataclass(frozen=True, kw_only=True)
class Number:
    """A numeric feature. The range says what is possible, not what was seen.

    Attributes:
        counts_for_drift: Whether it decides about windows; otherwise its drift is only reported.
        seasonal: Whether it follows the season that `DriftPolicy` names.
    """

    name: str
    minimum: float | None = None
    maximum: float | None = None
    integer: bool = False
    nullable: bool = False
    description: str = ""
    counts_for_drift: bool = True
    seasonal: bool = False


@dataclass(frozen=True, kw_only=True)
class Category:
    """A categorical feature; an `open` list admits values that are not in it. Drift as in `Number`."""

    name: str
    categories: tuple[str, ...] = ()
    open: bool = False
    nullable: bool = False
    description: str = ""
    counts_for_drift: bool = True
    seasonal: bool = False


Feature = Number | Category

_DRIFT_BOUNDS: dict[str, tuple[float, float]] = {
    "ks_p_value": (0, 1),
    "population_stability_index": (0, math.inf),
    "jensen_shannon_distance": (0, 1),
    "votes": (1, 3),
    "false_discovery_rate": (0, 1),
    "ks_statistic": (0, 1),
    "cramers_v": (0, 1),
    "drifted_share": (0, 1),
    "consecutive_windows": (1, math.inf),
}


@dataclass(frozen=True, kw_only=True)
class Label:
    """The column to predict and its two values; probabilities are those of `positive`."""

    name: str
    negative: str
    positive: str
    threshold: float = 0.5


@dataclass(frozen=True, kw_only=True)
class WindowPolicy:
    """How event time is cut into monitoring windows.

    Attributes:
        length: Length of one window.
        anchor: A start of a window; all others are whole lengths away.
        label_horizon: How long after its event a label may take; performance of a window closes that much later.
        minimum_rows: A window with fewer rows is "insufficient data": neither drifted nor clean.
    """

    length: timedelta = timedelta(days=7)
    anchor: datetime = datetime(2024, 1, 1, tzinfo=UTC)
    label_horizon: timedelta = timedelta(hours=36)
    minimum_rows: int = 1000


@dataclass(frozen=True, kw_only=True)
class DriftPolicy:
    """When a feature and a window count as drifted, and how many windows in a row ask for retraining.

    The rules, for one feature:

    - "vote": at least `votes` of three methods exceed their threshold: a test, PSI, Jensen-Shannon distance.
    - "any" and "all": one and three of them.
    - "calibrated": the test is significant at `false_discovery_rate`, and the effect is large enough: `ks_statistic`
      for a number, `cramers_v` for a category, or the Jensen-Shannon distance for either.

    The test is Kolmogorov-Smirnov for a number (its missing values apart) and chi-square for a category, corrected by
    Benjamini-Hochberg over all features that count. How often each rule is wrong is in `docs/benchmarks.md`.

    Attributes:
        rule: How one feature is judged.
        ks_p_value: Of the test, after correction; not used by "calibrated".
        population_stability_index: PSI in nats, on the ten quantile bins of the reference.
        jensen_shannon_distance: Distance, base 2, 0 to 1.
        votes: How many of the three must exceed their threshold; used by "vote" alone.
        false_discovery_rate: Of the test, after correction; used by "calibrated" alone.
        ks_statistic: Smallest effect of a number, 0 to 1; used by "calibrated" alone.
        cramers_v: Smallest effect of a category, 0 to 1; used by "calibrated" alone.
        drifted_share: A window is drifted if more than this share of the features that count is; 0 means any feature.
        decisive_features: The only features that count; empty: all that have `counts_for_drift`.
        seasonal: "matched" compares features declared seasonal with rows of the same phase of the season, as far as
            history holds `WindowPolicy.minimum_rows` of them, and otherwise reports without counting them. "count"
            treats them like every other feature: the change of seasons is drift then, and asks for retraining.
        season: Length of the cycle: a whole number of windows, more than one. 364 days keep the days of the week.
        consecutive_windows: Drifted windows in a row that ask for one retraining.
    """

    rule: DriftRule = "vote"
    ks_p_value: float = 0.05
    population_stability_index: float = 0.2
    jensen_shannon_distance: float = 0.1
    votes: int = 2
    false_discovery_rate: float = 0.01
    ks_statistic: float = 0.05
    cramers_v: float = 0.1
    drifted_share: float = 0.0
    decisive_features: tuple[str, ...] = ()
    seasonal: Seasonality = "matched"
    season: timedelta = timedelta(days=364)
    consecutive_windows: int = 3


@dataclass(frozen=True, kw_only=True)
class AccuracyPolicy:
    """When labelled accuracy asks for retraining.

    Attributes:
        margin: Points (0 to 1) under the accuracy that the version had on its hold-out when it was promoted.
        floor: An absolute threshold instead of the margin.
        confirm: "bound" compares the upper bound of the 95 % interval, "point" the bare value.
        minimum_labels: Fewer labels than this never trigger.
    """

    margin: float = 0.03
    floor: float | None = None
    confirm: Literal["bound", "point"] = "bound"
    minimum_labels: int = 500


@dataclass(frozen=True, kw_only=True)
class DataQualityPolicy:
    """From when a feature's column is worth a warning; nothing is refused for it.

    Attributes:
        maximum_missing_share: Of all rows, 0 to 1.
        maximum_extreme_share: Of the values that are there: those more than three standard deviations from the mean,
            0.0027 for normal values.
    """

    maximum_missing_share: float = 0.5
    maximum_extreme_share: float = 0.05


@dataclass(frozen=True, kw_only=True)
class TrainingPolicy:
    """What is trained on and how the search is bounded.

    Attributes:
        history: Length of the trailing training window, hold-out included.
        holdout: The newest part of it, on which champion and challenger are compared.
        validation: The part before the hold-out that the search is judged on.
        trials: Optuna trials of the search.
        seconds: Stops the search earlier; recorded when it does.
        folds: Time-ordered folds per trial, the last being `validation` long.
    """

    history: timedelta = timedelta(weeks=8)
    holdout: timedelta = timedelta(days=7)
    validation: timedelta = timedelta(days=7)
    trials: int = 20
    seconds: float = 600.0
    folds: int = 2
    seed: int = 20130101
    algorithms: tuple[Algorithm, ...] = ("logistic_regression", "random_forest", "hist_gradient_boosting")
    minimum_rows: int = 100
    minimum_minority_share: float = 0.05
    maximum_null_label_share: float = 0.2


@dataclass(frozen=True, kw_only=True)
class GatePolicy:
    """By how much the challenger must beat the champion on the same hold-out.

    Attributes:
        metric: "accuracy" and "auc" must rise, "log_loss" must fall.
        margin: In `unit`.
        unit: "points" is an absolute difference (0.005 is half a percentage point), "relative" a share of the
            champion's value.
        minimum_holdout_rows: Fewer labelled hold-out rows are refused as `insufficient_evidence`.
    """

    metric: Metric = "accuracy"
    margin: float = 0.005
    unit: Literal["points", "relative"] = "points"
    minimum_holdout_rows: int = 100


@dataclass(frozen=True, kw_only=True)
class RetrainingPolicy:
    """What starts a retraining by itself, and how soon the next may follow.

    `mlops backtest` says what each choice of triggers would have given and cost. One by hand is always possible.

    Attributes:
        triggers: Drifted windows in a row, accuracy under its threshold, the schedule. A trigger that is not named has
            no sensor; its reports and checks are made all the same.
        schedule: Cron, UTC.
        cool_down_windows: Windows after a retraining in which drift and accuracy ask for nothing.
        attempts: Runs for one reason before it is given up.
    """

    triggers: tuple[TriggerName, ...] = ("drift", "accuracy", "schedule")
    schedule: str = "0 2 * * 0"
    cool_down_windows: int = 1
    attempts: int = 3


@dataclass(frozen=True, kw_only=True)
class UpkeepPolicy:
    """When the model's tables in the lake are compacted, and for how long older versions stay readable.

    Attributes:
        schedule: Cron, UTC.
        time_travel: A day at least. Snapshots that a promoted version was trained on stay readable for good.
    """

    schedule: str = "0 3 * * *"
    time_travel: timedelta = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model.

    Attributes:
        name: Lower case letters, digits and _; the prefix of its assets and its name on the wire.
        features: In any order; the contract puts numbers before categories.
        source: Returns the source rows: every feature, the label (text, None where unknown), `event_time` (UTC) and
            `entity_key`. Unique on the last two.
        traffic: For the replay: the same columns plus `observed_at` (when the label became known, NaT: never),
            sorted or not, later than the source's rows.
        source_version: Returns, without loading the rows, a text that changes when they do: a modification time, a
            table version, an ETag. With it, new data in the source retrain once.
        slices: Categories for each of whose values performance is reported apart.
    """

    name: str
    description: str
    label: Label
    features: tuple[Feature, ...]
    source: Callable[[], "pd.DataFrame"]
    traffic: Callable[[], "pd.DataFrame"] | None = None
    source_version: Callable[[], str] | None = None
    slices: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    windows: WindowPolicy = WindowPolicy()
    drift: DriftPolicy = DriftPolicy()
    accuracy: AccuracyPolicy = AccuracyPolicy()
    quality: DataQualityPolicy = DataQualityPolicy()
    training: TrainingPolicy = TrainingPolicy()
    gate: GatePolicy = GatePolicy()
    retraining: RetrainingPolicy = RetrainingPolicy()
    upkeep: UpkeepPolicy = UpkeepPolicy()
    remarks: str = ""

    def __post_init__(self) -> None:
        """Refuse what could not work later, naming the field and the mend."""
        if not MODEL_NAME.fullmatch(self.name):
            raise SpecError(f"model name {self.name!r}: use lower case letters, digits and _, starting with a letter")
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpecError(f"{self.name}: feature {twice[0]!r} is declared twice; remove one")
        if not names:
            raise SpecError(f"{self.name}: no features; declare at least one")
        taken = sorted((RESERVED_NAMES | {self.label.name}) & set(names))
        if taken:
            raise SpecError(f"{self.name}: feature {taken[0]!r} has a name that is in use; rename it")
        if self.label.name in RESERVED_NAMES - {"label"}:
            raise SpecError(f"{self.name}: label column {self.label.name!r} has a name that is in use; rename it")
        if self.label.negative == self.label.positive:
            raise SpecError(f"{self.name}: both labels are {self.label.positive!r}; name two different values")
        if self.windows.length <= timedelta(0) or self.windows.anchor.tzinfo is None:
            raise SpecError(f"{self.name}: windows need a positive length and an anchor with a time zone")
        for part in (*self.tags, *self.tags.values()):
            if not _TAG.fullmatch(part):
                raise SpecError(f"{self.name}: tag {part!r} may have letters, digits, _ - . and at most 63 characters")
        for owner in self.owners:
            if "@" not in owner and not owner.startswith("team:"):
                raise SpecError(f"{self.name}: owner {owner!r} must be an e-mail address or team:<name>")
        policy = self.training
        if policy.holdout + policy.validation >= policy.history:
            raise SpecError(f"{self.name}: training.history must be longer than hold-out and validation together")
        if self.upkeep.time_travel < timedelta(days=1):
            raise SpecError(f"{self.name}: upkeep.time_travel must be a day at least, or files in use could be removed")
        unknown = sorted(set(self.retraining.triggers) - set(get_args(TriggerName)))
        if unknown:
            raise SpecError(f"{self.name}: no trigger {unknown[0]!r}; there are {', '.join(get_args(TriggerName))}")
        for feature in self.features:
            if isinstance(feature, Category) and not feature.categories and not feature.open:
                raise SpecError(f"{self.name}: {feature.name!r} has no categories; list them or say open=True")
        self._refuse_bad_drift_policy()

    def _refuse_bad_drift_policy(self) -> None:
        policy, length = self.drift, self.windows.length
        choices = {"rule": get_args(DriftRule), "seasonal": get_args(Seasonality)}
        for name, known in choices.items():
            if getattr(policy, name) not in known:
                raise SpecError(
                    f"{self.name}: drift.{name} is {getattr(policy, name)!r}; use one of {', '.join(known)}"
                )
        for name, (low, high) in _DRIFT_BOUNDS.items():
            if not low <= getattr(policy, name) <= high:
                raise SpecError(f"{self.name}: drift.{name} is {getattr(policy, name)}; it must be {low:g} to {high:g}")
        counting = [feature.name for feature in self.features if feature.counts_for_drift]
        for name in policy.decisive_features:
            if name not in counting:
                raise SpecError(f"{self.name}: drift.decisive_features names {name!r}, which is no feature that counts")
        matched = policy.seasonal == "matched" and any(feature.seasonal for feature in self.features)
        if matched and (policy.season <= length or policy.season % length):
            raise SpecError(f"{self.name}: drift.season must be a whole number of windows of {length}, more than one")

        categories = {feature.name for feature in self.features if isinstance(feature, Category)}
        unknown = [name for name in self.slices if name not in categories]
        if unknown:
            raise SpecError(
                f"{self.name}: slices names {unknown[0]!r}, which is no Category; declare it or leave it out"
            )
        judged = self.accuracy.margin if self.accuracy.floor is None else self.accuracy.floor
        if not 0 <= judged < 1:
            raise SpecError(f"{self.name}: accuracy margin and floor are shares; write 0.03 for three points")

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """The numeric features in contract order."""
        return tuple(feature for feature in self.features if isinstance(feature, Number))

    @cached_property
    def categories(self) -> tuple[Category, ...]:
        """The categorical features in contract order."""
        return tuple(feature for feature in self.features if isinstance(feature, Category))

    @cached_property
    def feature_names(self) -> list[str]:
        """Numbers, then categories."""
        return [*(number.name for number in self.numbers), *(category.name for category in self.categories)]

    @cached_property
    def compares_seasons(self) -> bool:
        """Whether some feature is compared with earlier windows of the same phase of the season."""
        return self.drift.seasonal == "matched" and any(feature.seasonal for feature in self.features)

    @cached_property
    def contract(self) -> Contract:
        """The serving side's view of this spec."""
        return Contract(
            model=self.name,
            numbers=tuple(NumberFeature(f.name, f.minimum, f.maximum, f.integer, f.nullable) for f in self.numbers),
            texts=tuple(TextFeature(f.name, f.categories, f.open, f.nullable) for f in self.categories),
            negative=self.label.negative,
            positive=self.label.positive,
            threshold=self.label.threshold,
        )
