"""A model of a user's own, outside the project: the wines of scikit-learn, first cultivar or another.

The data has no time, so rows are drawn again with a little noise; from the fourth day on every bottle holds more
alcohol: the drift is injected.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mlops_assets.spec import (
    AccuracyPolicy,
    GatePolicy,
    Label,
    ModelSpec,
    Number,
    RetrainingPolicy,
    TrainingPolicy,
    WindowPolicy,
)

START = datetime(2024, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
STABLE_DAYS, SHIFTED_DAYS = 3, 4
FEATURES = ("alcohol", "malic_acid", "magnesium", "flavanoids", "color_intensity", "proline")


def rows(*, first_day: int, n_days: int, a_day: int, seed: int, shift: float) -> pd.DataFrame:
    from sklearn.datasets import load_wine

    wines = load_wine(as_frame=True)
    rng = np.random.default_rng(seed)
    drawn = wines.frame.sample(n_days * a_day, replace=True, random_state=seed).reset_index(drop=True)
    frame = drawn[list(FEATURES)] * rng.normal(1, 0.02, (len(drawn), len(FEATURES)))
    frame["alcohol"] += shift
    steps = np.arange(len(drawn)) * (DAY / a_day)
    frame["event_time"] = (pd.Timestamp(START) + first_day * DAY + pd.to_timedelta(steps)).floor("us")
    frame["entity_key"] = [f"{seed}-{n}" for n in range(len(drawn))]
    frame["cultivar"] = np.where(drawn["target"] == 0, "first", "other")
    return frame


def source() -> pd.DataFrame:
    return rows(first_day=-4, n_days=4, a_day=300, seed=1, shift=0)


def traffic() -> pd.DataFrame:
    stable = rows(first_day=0, n_days=STABLE_DAYS, a_day=300, seed=2, shift=0)
    shifted = rows(first_day=STABLE_DAYS, n_days=SHIFTED_DAYS, a_day=300, seed=3, shift=1.5)
    frame = pd.concat([stable, shifted], ignore_index=True)
    return frame.assign(observed_at=frame["event_time"] + timedelta(hours=2))


spec = ModelSpec(
    name="wine_cultivar",
    description="Is a wine of the first cultivar?",
    label=Label(name="cultivar", negative="other", positive="first"),
    features=tuple(Number(name=name, minimum=0, maximum=5000) for name in FEATURES),
    source=source,
    traffic=traffic,
    windows=WindowPolicy(length=DAY, anchor=START, label_horizon=timedelta(hours=3), minimum_rows=200),
    accuracy=AccuracyPolicy(minimum_labels=100_000),
    training=TrainingPolicy(
        history=8 * DAY, holdout=DAY, validation=DAY, trials=2, algorithms=("logistic_regression",)
    ),
    gate=GatePolicy(metric="log_loss", margin=0.0),
    retraining=RetrainingPolicy(attempts=2),
)
