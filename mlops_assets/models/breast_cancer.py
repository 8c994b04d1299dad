"""Is a breast mass malignant? The UCI data set, tiny for fast tests; its times are made up, its drift is injected."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.spec import Label, ModelSpec, Number, TrainingPolicy, WindowPolicy

if TYPE_CHECKING:
    import pandas as pd

ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)
SOURCE_WEEKS = 4
MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave_points",
    "symmetry",
    "fractal_dimension",
)
DRIFTING = ("worst_concave_points", "worst_perimeter", "worst_radius", "worst_texture")
SEED = 569


def source() -> "pd.DataFrame":
    """Return the 569 examples in a seeded order, spread evenly over the four weeks before the anchor."""
    import pandas as pd

    frame = _examples().sample(frac=1.0, random_state=SEED, ignore_index=True)
    frame["event_time"] = pd.date_range(ANCHOR - SOURCE_WEEKS * WEEK, ANCHOR, periods=len(frame) + 1)[:-1].floor("s")
    frame["entity_key"] = [f"case-{number:03d}" for number in range(len(frame))]
    return frame


def traffic(*, weeks: int = 12, rows_per_week: int = 600, drifts_from_week: int | None = 2) -> "pd.DataFrame":
    """Return resampled examples with small noise for the weeks after the anchor, drift injected.

    Args:
        weeks: Number of weeks.
        rows_per_week: Examples a week, drawn with replacement.
        drifts_from_week: First week, counted from 0, in which the `DRIFTING` features are shifted by one and a half
            standard deviations; None injects nothing and gives a stable stream.
    """
    import pandas as pd

    drawn = [_week(week, rows_per_week, drifts_from_week) for week in range(weeks)]
    return pd.concat(drawn, ignore_index=True)


def _examples() -> "pd.DataFrame":
    from sklearn.datasets import load_breast_cancer

    loaded = load_breast_cancer(as_frame=True)
    frame: pd.DataFrame = loaded.data.set_axis([feature.name for feature in spec.numbers], axis="columns")
    frame["diagnosis"] = loaded.target.map({0: "malignant", 1: "benign"}).astype(object)
    return frame


def _week(week: int, n_rows: int, drifts_from_week: int | None) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng([SEED, week])
    examples = _examples()
    names = [feature.name for feature in spec.numbers]
    deviation = examples[names].std()
    frame = examples.sample(n_rows, replace=True, random_state=generator, ignore_index=True)
    noise = np.clip(generator.normal(scale=0.02, size=(n_rows, len(names))), -0.06, 0.06)
    frame[names] = (frame[names] + noise * deviation.to_numpy()).clip(lower=0.0)
    if drifts_from_week is not None and week >= drifts_from_week:
        frame[list(DRIFTING)] += 1.5 * deviation[list(DRIFTING)]
    starts = ANCHOR + week * WEEK
    frame["event_time"] = pd.date_range(starts, starts + WEEK, periods=n_rows + 1)[:-1].floor("s")
    frame["entity_key"] = [f"week-{week:02d}-{number:04d}" for number in range(n_rows)]
    frame["observed_at"] = frame["event_time"] + pd.Timedelta(hours=6)
    return frame


spec = ModelSpec(
    name="breast_cancer",
    description="Is a mass malignant? 569 real cases; times are made up and drift is injected from the third week on.",
    label=Label(name="diagnosis", negative="benign", positive="malignant"),
    features=tuple(
        Number(name=f"{statistic}_{measure}", minimum=0.0, maximum=100_000.0)
        for statistic in ("mean", "error", "worst")
        for measure in MEASURES
    ),
    source=source,
    traffic=traffic,
    owners=("team:diagnostics",),
    tags={"data": "wisconsin-diagnostic", "license": "CC-BY-4.0"},
    windows=WindowPolicy(anchor=ANCHOR, minimum_rows=100),
    training=TrainingPolicy(trials=4),
    remarks="The drift is injected into the replayed traffic: four features move by one and a half deviations.",
)
