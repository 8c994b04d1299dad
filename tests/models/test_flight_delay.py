from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlops_assets.core.drift import WindowDrift, score_window
from mlops_assets.core.profile import build_profile, count
from mlops_assets.models import _flights_data, flight_delay
from mlops_assets.spec import DriftPolicy

SPEC = flight_delay.spec
WEEK = pd.Timedelta(weeks=1)


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return _flights_data.flights()


@pytest.fixture(scope="module")
def source(flights) -> pd.DataFrame:
    return flights[flights["event_time"] < flight_delay.SOURCE_ENDS]


def test_source_and_traffic_are_the_first_weeks_and_the_rest():
    source, traffic = SPEC.source(), SPEC.traffic()
    assert (len(source), len(traffic)) == (23_960, 304_561)
    assert source["event_time"].max() < flight_delay.SOURCE_ENDS <= traffic["event_time"].min()
    assert "observed_at" not in source
    assert set(traffic.columns) - set(source.columns) == {"observed_at"}


def test_cancelled_flights_are_not_there_and_diverted_ones_are_unlabeled(flights):
    assert len(flights) == 328_521
    assert int(flights["arrival"].notna().sum()) == 327_346
    assert (flights["arrival"].isna() == flights["observed_at"].isna()).all()


def test_the_known_share_is_late(flights):
    assert (flights["arrival"].dropna() == "late").mean() == pytest.approx(0.237, abs=0.0005)


def test_a_label_is_known_after_push_back_and_within_its_horizon(flights):
    delay = (flights["observed_at"] - flights["event_time"]).dropna()
    assert delay.min() > pd.Timedelta(0)
    assert delay.max() < SPEC.windows.label_horizon


def test_a_flight_is_one_row(flights):
    assert not flights.duplicated(["entity_key", "event_time"]).any()
    assert flights["event_time"].is_monotonic_increasing


def test_the_first_flight_of_the_year_is_as_printed_in_the_timetable(flights):
    first = flights.set_index("entity_key").loc["UA1545-EWR-2013-01-01"]
    assert first["event_time"] == pd.Timestamp("2013-01-01 05:17", tz="America/New_York")
    assert first["observed_at"] == pd.Timestamp("2013-01-01 08:30", tz="America/Chicago")
    assert first["scheduled_block_minutes"] == 4 * 60 + 4
    assert (first["scheduled_minute"], first["day_of_week"], first["destination"]) == (315, 2, "IAH")


def test_nothing_from_after_push_back_is_a_feature():
    never = {"dep_time", "arr_time", "air_time", "arr_delay", "arrival", "observed_at"}
    assert not never & set(SPEC.feature_names)


def test_missing_values_are_kept_and_a_broken_wind_reading_is_one(flights):
    missing = flights[["wind_gust", "pressure", "plane_age", "departure_delay"]].isna().mean()
    np.testing.assert_allclose(missing, [0.763, 0.111, 0.164, 0], atol=0.001)
    assert flights["wind_speed"].max() < 50


def test_every_week_has_thousands_of_rows(flights):
    weeks = (flights["event_time"] - SPEC.windows.anchor) // WEEK
    assert weeks.value_counts().loc[range(52)].min() > 5000


def test_weather_is_declared_seasonal_and_counts_all_the_same():
    """The demo shows a loop that follows the seasons; the same spec with "matched" leaves the weather out."""
    seasonal = {feature.name for feature in SPEC.features if feature.seasonal}
    assert seasonal == set(_flights_data.WEATHER.values())
    assert SPEC.drift.seasonal == "count"


def drifts(rows: pd.DataFrame, source: pd.DataFrame, policy: DriftPolicy, *, until: int = 52) -> list[WindowDrift]:
    """Score the rows of the weeks after the source's four against the profile of the source."""
    profile = build_profile(source, SPEC.contract)
    weeks = (rows["event_time"] - SPEC.windows.anchor) // WEEK
    return [
        score_window(profile, count(profile, rows[weeks == week]), policy, SPEC.features) for week in range(4, until)
    ]


def test_the_first_weeks_drift_against_january_with_the_weather_and_less_without(flights, source):
    """Without it the first third drifted week in a row is week 11, counted from 0: by `flights_in_hour`."""
    counted = drifts(flights, source, SPEC.drift, until=12)
    matched = drifts(flights, source, replace(SPEC.drift, seasonal="matched"), until=12)
    assert {drift.verdict for drift in counted} == {"drifted"}
    verdicts = [drift.verdict for drift in matched]
    assert verdicts[-3:] == ["drifted"] * 3
    assert verdicts[-4] == "clean"
    weather = set(_flights_data.WEATHER.values())
    assert {feature.name for drift in matched for feature in drift.features if not feature.counted} == weather


def test_a_stable_real_stream_never_drifts(flights):
    """All rows of the year shuffled over its weeks, the reference included: real values, correlations and ties."""
    shuffled = flights.sample(frac=1.0, random_state=1, ignore_index=True)
    shuffled["event_time"] = flights["event_time"].to_numpy()
    reference = shuffled[shuffled["event_time"] < flight_delay.SOURCE_ENDS]
    found = drifts(shuffled, reference, SPEC.drift)
    assert [drift.verdict for drift in found] == ["clean"] * 48
    assert [drift.drifted_features for drift in found] == [()] * 48
