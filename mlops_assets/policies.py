"""What a model spec decides: when rows are windows, when a window has drifted, what is trained, promoted and kept."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from mlops_assets.cron import valid_cron

Metric = Literal["accuracy", "log_loss", "auc"]
TriggerName = Literal["drift", "accuracy", "schedule", "new_data"]
Algorithm = Literal["logistic_regression", "random_forest", "hist_gradient_boosting"]
DriftRule = Literal["vote", "calibrated", "any", "all"]
Seasonality = Literal["matched", "count"]

MAXIMUM_SEED = 2**32 - 1
Count = Annotated[int, Field(ge=1)]
Cron = Annotated[str, AfterValidator(valid_cron)]
Duration = Annotated[timedelta, Field(gt=timedelta(0))]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, kw_only=True)
class WindowPolicy:
    """How event time is cut into monitoring windows.

    Attributes:
        length: Length of one window.
        anchor: A start of a window; all others are whole lengths away.
        label_horizon: How long after its event a label may take; performance of a window closes that much later.
        minimum_rows: A window with fewer rows is "insufficient data": neither drifted nor clean.
    """

    length: Duration = timedelta(days=7)
    anchor: AwareDatetime = datetime(2024, 1, 1, tzinfo=UTC)
    label_horizon: Annotated[timedelta, Field(ge=timedelta(0))] = timedelta(hours=36)
    minimum_rows: Count = 1000


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
    ks_p_value: Share = 0.05
    population_stability_index: Annotated[float, Field(ge=0)] = 0.2
    jensen_shannon_distance: Share = 0.1
    votes: Annotated[int, Field(ge=1, le=3)] = 2
    false_discovery_rate: Share = 0.01
    ks_statistic: Share = 0.05
    cramers_v: Share = 0.1
    drifted_share: Share = 0.0
    decisive_features: tuple[str, ...] = ()
    seasonal: Seasonality = "matched"
    season: Duration = timedelta(days=364)
    consecutive_windows: Count = 3


@dataclass(frozen=True, kw_only=True)
class AccuracyPolicy:
    """When labelled accuracy asks for retraining.

    Attributes:
        margin: Points (0 to 1) under the accuracy that the version had on its hold-out when it was promoted.
        floor: An absolute threshold instead of the margin.
        confirm: "bound" compares the upper bound of the 95 % interval, "point" the bare value.
        minimum_labels: Fewer labels than this never trigger.
    """

    margin: Annotated[float, Field(ge=0, lt=1)] = 0.03
    floor: Annotated[float, Field(ge=0, lt=1)] | None = None
    confirm: Literal["bound", "point"] = "bound"
    minimum_labels: Count = 500


@dataclass(frozen=True, kw_only=True)
class DataQualityPolicy:
    """From when a feature's column is worth a warning; nothing is refused for it.

    Attributes:
        maximum_missing_share: Of all rows, 0 to 1.
        maximum_extreme_share: Of the values that are there: those more than three standard deviations from the mean,
            0.0027 for normal values.
    """

    maximum_missing_share: Share = 0.5
    maximum_extreme_share: Share = 0.05


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

    history: Duration = timedelta(weeks=8)
    holdout: Duration = timedelta(days=7)
    validation: Duration = timedelta(days=7)
    trials: Count = 20
    seconds: Annotated[float, Field(gt=0)] = 600.0
    folds: Count = 2
    seed: Annotated[int, Field(ge=0, le=MAXIMUM_SEED)] = 20130101
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = (
        "logistic_regression",
        "random_forest",
        "hist_gradient_boosting",
    )
    minimum_rows: Count = 100
    minimum_minority_share: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    maximum_null_label_share: Share = 0.2


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
    margin: Annotated[float, Field(allow_inf_nan=False)] = 0.005
    unit: Literal["points", "relative"] = "points"
    minimum_holdout_rows: Count = 100


@dataclass(frozen=True, kw_only=True)
class RetrainingPolicy:
    """What starts a retraining by itself, and how soon the next may follow.

    `mlops backtest` says what each choice of triggers would have given and cost. One by hand is always possible.

    Attributes:
        triggers: Drifted windows in a row, accuracy under its threshold, the schedule, and new data where the spec
            tells the version of its source. A trigger that is not named has no sensor; its reports and checks are
            made all the same.
        schedule: Cron, UTC. A retraining begins the count of drifted windows again: one that comes sooner than
            `DriftPolicy.consecutive_windows` of them leaves nothing to the drift trigger.
        cool_down_windows: Windows after a retraining in which drift, accuracy and new data ask for nothing.
        attempts: Runs for one reason before it is given up.
    """

    triggers: tuple[TriggerName, ...] = ("drift", "accuracy", "schedule", "new_data")
    schedule: Cron = "0 2 * * 0"
    cool_down_windows: Annotated[int, Field(ge=0)] = 1
    attempts: Count = 3


@dataclass(frozen=True, kw_only=True)
class UpkeepPolicy:
    """When the model's tables in the lake are compacted, and for how long older versions stay readable.

    Attributes:
        schedule: Cron, UTC.
        time_travel: A day at least. Snapshots that a promoted version was trained on stay readable for good.
    """

    schedule: Cron = "0 3 * * *"
    time_travel: Annotated[timedelta, Field(ge=timedelta(days=1))] = timedelta(days=30)
