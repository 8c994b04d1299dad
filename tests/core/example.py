"""A small mixed model for tests: two numbers, two categories, five weeks of rows whose label can be learned."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from mlops_assets.spec import Category, Feature, Label, ModelSpec, Number, TrainingPolicy, WindowPolicy

START = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = timedelta(weeks=1)

FEATURES: tuple[Feature, ...] = (
    Number(name="amount", minimum=-1000, maximum=1000, nullable=True),
    Category(name="color", categories=("red", "green", "blue"), nullable=True),
    Number(name="visits", minimum=0, integer=True),
    Category(name="city", open=True),
)


def example_spec(features: tuple[Feature, ...] = FEATURES, **policy: object) -> ModelSpec:
    return ModelSpec(
        name="example",
        description="A small mixed model.",
        label=Label(name="outcome", negative="no", positive="yes"),
        features=features,
        source=example_frame,
        windows=WindowPolicy(anchor=START, minimum_rows=100),
        training=TrainingPolicy(trials=4, **policy),
    )


def example_frame(n_rows: int = 1500, *, weeks: int = 5, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    amount = generator.normal(size=n_rows)
    city = generator.choice([f"city-{number}" for number in range(12)], n_rows).astype(object)
    visits = generator.poisson(3, n_rows).astype(float)
    chance = 1 / (1 + np.exp(-2 * amount - 0.5 * (visits - 3) - 2 * (city == "city-3")))
    return pd.DataFrame(
        {
            "amount": np.where(generator.random(n_rows) < 0.1, np.nan, amount),
            "color": generator.choice(np.array(["red", "green", "blue", None], dtype=object), n_rows),
            "visits": visits,
            "city": city,
            "outcome": np.where(generator.random(n_rows) < chance, "yes", "no").astype(object),
            "event_time": pd.date_range(START, START + weeks * WEEK, periods=n_rows + 1)[:-1].floor("s"),
            "entity_key": [f"row-{number}" for number in range(n_rows)],
        }
    )
