"""A history of the tiny model for tests of the backtest, with a way to train that needs no folder."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mlops_assets.core.backtest import History, Version, train_first_version
from mlops_assets.core.candidates import split_labelled
from mlops_assets.core.training import Recipe, fit_final
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_rows, tiny_source

RECIPE = Recipe(algorithm="logistic_regression", params={"C": 0.1})
N_WINDOWS = 8


def make_spec():
    spec = make_tiny_spec()
    return replace(spec, accuracy=replace(spec.accuracy, minimum_labels=100, margin=0.2))


def rows_of(shifts=(1.2,) * N_WINDOWS, mistaken=()):
    """Rows of as many days as there are shifts and one more; labels come within six hours, a few never."""
    rng = np.random.default_rng(7)
    days = [
        tiny_rows(300, start=ANCHOR + day * DAY, length=DAY, seed=50 + day, shift=shift)
        for day, shift in enumerate((*shifts, shifts[-1]))
    ]
    for day in mistaken:
        days[day]["outcome"] = days[day]["outcome"].map({"yes": "no", "no": "yes"})
    rows = pd.concat(days, ignore_index=True)
    rows["observed_at"] = rows["event_time"] + pd.to_timedelta(rng.integers(1, 350, len(rows)), unit="min")
    rows.loc[rng.random(len(rows)) < 0.02, ["outcome", "observed_at"]] = None, pd.NaT
    return rows


def history_of(rows, spec=None, **options):
    return History.of(spec or make_spec(), tiny_source(), rows, **options)


def train(snapshot, end, recipe):
    parts = split_labelled(snapshot, make_spec(), end=end)
    made_by = recipe or RECIPE
    return made_by, parts, fit_final(made_by, parts.train, parts.validation, make_spec())


def first_version(history: History) -> Version:
    return train_first_version(history, train=train)
