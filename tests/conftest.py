"""Fixtures shared by all tests: a small model of two features, and homes that vanish."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.lake.tables import Lake
from mlops_assets.spec import (
    AccuracyPolicy,
    Category,
    Label,
    ModelSpec,
    Number,
    TrainingPolicy,
    WindowPolicy,
)
from tests.stub_dagster import StubDagster


@pytest.fixture(scope="session", autouse=True)
def no_process_outlives_the_tests() -> Iterator[None]:
    """Wait for the helper process of `multiprocessing`, which else ends a moment after this one."""
    yield
    resource_tracker._resource_tracker._stop()


ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def tiny_rows(n_rows: int, *, start: datetime, length: timedelta, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Rows of the tiny model, evenly spread over a time; `shift` moves the number `size`."""
    rng = np.random.default_rng(seed)
    size = rng.normal(10 + shift, 2, n_rows).round(6)
    color = rng.choice(["red", "blue", "green"], n_rows)
    positive = size - 10 - shift + (color == "red") + rng.normal(0, 0.7, n_rows) > 0.3
    times = pd.to_datetime([start + length * (i / n_rows) for i in range(n_rows)], utc=True).floor("us")
    return pd.DataFrame(
        {
            "size": size,
            "color": color,
            "outcome": np.where(positive, "yes", "no"),
            "event_time": times,
            "entity_key": [f"{seed}-{i}" for i in range(n_rows)],
        }
    )


def tiny_source() -> pd.DataFrame:
    """Four days of settled rows before the anchor."""
    return tiny_rows(1200, start=ANCHOR - 4 * DAY, length=4 * DAY, seed=1)


def make_tiny_spec() -> ModelSpec:
    """The tiny model; its accuracy trigger is out of reach unless a test lowers it."""
    return ModelSpec(
        name="tiny",
        description="Two features, one-day windows.",
        label=Label(name="outcome", negative="no", positive="yes"),
        features=(
            Number(name="size", minimum=-50, maximum=100),
            Category(name="color", categories=("red", "blue", "green")),
        ),
        source=tiny_source,
        windows=WindowPolicy(length=DAY, anchor=ANCHOR, label_horizon=timedelta(hours=6), minimum_rows=200),
        accuracy=AccuracyPolicy(minimum_labels=100_000),
        training=TrainingPolicy(
            history=8 * DAY, holdout=DAY, validation=DAY, trials=2, algorithms=("logistic_regression",)
        ),
    )


@pytest.fixture
def tiny_spec() -> ModelSpec:
    return make_tiny_spec()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def dagster() -> Iterator[StubDagster]:
    stub = StubDagster()
    yield stub
    stub.stop()


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which version 1 of the tiny model is in production; to be copied, because training takes seconds."""
    import dagster as dg

    from tests.integration.harness import InProcessLoop

    home = tmp_path_factory.mktemp("trained") / "home"
    with dg.instance_for_test() as instance:
        assert InProcessLoop(make_tiny_spec(), home, instance).run("retrain").success
    return home
