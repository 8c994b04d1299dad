"""Which rows seasonal features are compared with, from source and log."""

import json
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.assets.seasons import season_counts, season_rows
from mlops_assets.core.drift import score_window
from mlops_assets.core.profile import build_profile, count
from mlops_assets.core.seasons import count_season
from mlops_assets.core.windows import Window
from mlops_assets.spec import DriftPolicy, Number
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_rows
from tests.lake_rows import log_predictions

HOUR = timedelta(hours=1)
TINY = make_tiny_spec()
SPEC = replace(
    TINY,
    features=tuple(replace(feature, seasonal=feature.name == "size") for feature in TINY.features),
    windows=replace(TINY.windows, length=6 * HOUR),
    drift=DriftPolicy(season=DAY),
)
NOON = Window(ANCHOR + 2 * DAY + 12 * HOUR, ANCHOR + 2 * DAY + 18 * HOUR)


@pytest.fixture
def history(lake):
    """Two days of source rows before the anchor, two of predictions after it, 400 rows a day."""
    source = tiny_rows(800, start=ANCHOR - 2 * DAY, length=2 * DAY, seed=1)
    lake.replace("tiny", "source", pa.Table.from_pandas(source, preserve_index=False))
    logged = tiny_rows(800, start=ANCHOR, length=2 * DAY, seed=2)
    records = logged.drop(columns="outcome").assign(prediction_id=logged["entity_key"]).to_dict("records")
    log_predictions(lake, SPEC, [{**r, "event_time": r["event_time"].to_pydatetime()} for r in records])
    return lake


def bundle(until, profile=None):
    profile = profile or build_profile(tiny_rows(2000, start=ANCHOR, length=DAY, seed=3), SPEC.contract)
    return SimpleNamespace(
        profile=json.loads(profile.to_json()),
        manifest=SimpleNamespace(tuned_until=until.isoformat()),
    )


def test_the_rows_have_the_phase_of_the_window_and_come_from_source_and_log(history):
    rows = season_rows(SPEC, history, NOON, until=ANCHOR + 2 * DAY)
    phase = (pd.to_datetime(rows["event_time"], utc=True) - pd.Timestamp(ANCHOR)) % pd.Timedelta(DAY)
    assert (phase >= 12 * HOUR).all()
    assert (phase < 18 * HOUR).all()
    assert len(rows) == 4 * 100
    assert sorted({key.split("-")[0] for key in rows["entity_key"]}) == ["1", "2"]


def test_rows_later_than_the_model_could_know_are_left_out(history):
    rows = season_rows(SPEC, history, NOON, until=ANCHOR + DAY)
    assert len(rows) == 3 * 100
    assert rows["event_time"].max() <= ANCHOR + DAY


def test_a_row_of_both_source_and_log_counts_once(history):
    source = tiny_rows(800, start=ANCHOR, length=2 * DAY, seed=2).assign(size=7.0)
    history.replace("tiny", "source", pa.Table.from_pandas(source, preserve_index=False))
    rows = season_rows(SPEC, history, NOON, until=ANCHOR + 2 * DAY)
    assert rows["size"].tolist() == [7.0] * 2 * 100


def test_the_rows_are_counted_on_the_bundles_profile(history):
    counts = season_counts(SPEC, history, NOON, bundle(ANCHOR + 2 * DAY))
    assert counts.n_rows == 400
    assert sum(counts.numbers["size"].slots) == 400
    assert sum(counts.categories["color"].frequent) == 400


def test_without_history_of_the_phase_no_row_is_counted(history):
    yearly = replace(SPEC, drift=DriftPolicy(season=364 * DAY))
    assert season_counts(yearly, history, NOON, bundle(ANCHOR)).n_rows == 0
    assert season_counts(SPEC, history, NOON, bundle(ANCHOR - 30 * DAY)).n_rows == 0


def test_nothing_is_read_where_no_feature_is_to_be_matched(lake):
    counting = replace(SPEC, drift=DriftPolicy(seasonal="count"))
    assert season_counts(counting, lake, NOON, bundle(ANCHOR)) is None
    assert season_counts(TINY, lake, NOON, bundle(ANCHOR)) is None


def test_a_feature_that_neither_source_nor_log_has_yet_has_no_history(history):
    wider = replace(SPEC, features=(*SPEC.features, Number(name="weight", seasonal=True)))
    grown = tiny_rows(2000, start=ANCHOR, length=DAY, seed=3).assign(weight=1.0)
    profile = build_profile(grown, wider.contract)
    counts = season_counts(wider, history, NOON, bundle(ANCHOR + 2 * DAY, profile))
    assert (counts.n_rows, counts.numbers["size"].n_rows, counts.numbers["weight"].n_rows) == (400, 400, 0)
    drift = score_window(profile, count(profile, grown), wider.drift, wider.features, season=counts, minimum_rows=400)
    assert {f.name: (f.reference, f.counted) for f in drift.features} == {
        "size": ("season", True),
        "color": ("training", True),
        "weight": ("training", False),
    }


def test_the_history_of_a_feature_begins_with_its_first_value():
    rows = tiny_rows(100, start=ANCHOR, length=DAY, seed=3)
    profile = build_profile(rows, SPEC.contract)
    rows.loc[:59, ["size", "color"]] = None
    rows.loc[80:84, "size"] = None
    counts = count_season(profile, rows.sample(frac=1, random_state=1))
    assert (counts.numbers["size"].n_rows, counts.numbers["size"].missing) == (40, 5)
    assert (counts.categories["color"].n_rows, counts.categories["color"].missing) == (40, 0)
