"""A prediction log with everything that is hard to count, and the model profile that it is counted on."""

from dataclasses import asdict, replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops_assets.core.profile import Profile, build_profile
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import Category, ModelSpec, Number
from serving.formats.record import prediction_schema
from tests.conftest import ANCHOR, DAY, make_tiny_spec

START, END = ANCHOR, ANCHOR + DAY
N_ROWS = 3000
NUMBERS = ("continuous", "heavy_tailed", "integers", "cents", "thirds", "constant", "vanished")
CITIES = [f"city {number}" for number in range(40)]


def hard_spec() -> ModelSpec:
    """Seven numbers and two categories."""
    numbers = [Number(name=name, nullable=True) for name in NUMBERS]
    categories = [Category(name=name, open=True, nullable=True) for name in ("city", "note")]
    return replace(make_tiny_spec(), features=(*numbers, *categories))


def hard_features(seed: int, *, shift: float = 0.0) -> pd.DataFrame:
    """Features without odd values."""
    rng = np.random.default_rng(seed)
    popularity = 1 / np.arange(1, len(CITIES) + 1)
    return pd.DataFrame(
        {
            "continuous": rng.normal(shift, 1, N_ROWS),
            "heavy_tailed": rng.standard_cauchy(N_ROWS) + shift,
            "integers": rng.poisson(6, N_ROWS) + 0.0,
            "cents": rng.normal(3, 2, N_ROWS).round(2),
            "thirds": rng.integers(0, 7, N_ROWS) / 3,
            "constant": 0.1 + 0.2 + shift * 1e-12,
            "vanished": rng.uniform(0, 1, N_ROWS),
            "city": rng.choice(CITIES, N_ROWS, p=popularity / popularity.sum()),
            "note": rng.choice(['said "no", left', "two\nlines", "naïve ☕", "plain"], N_ROWS),
        }
    )


def hard_profile() -> Profile:
    """Profile of the reference rows, with scores."""
    scores = np.random.default_rng(1).beta(2, 3, 2000)
    return build_profile(hard_features(2), hard_spec().contract, scores=scores)


def hard_window() -> pd.DataFrame:
    """The features of the window: shifted, with NULL, NaN, infinities, unseen and empty texts."""
    window = hard_features(3, shift=0.2).astype(object)
    profile = hard_profile()
    edges = profile.by_name["continuous"].edges
    window.loc[: len(edges) - 1, "continuous"] = edges
    window.loc[1000:1099, "continuous"] = None
    window.loc[1100:1149, "continuous"] = float("nan")
    window.loc[1150:1169, "continuous"] = float("inf")
    window.loc[1170:1179, "continuous"] = float("-inf")
    window["vanished"] = None
    window.loc[0:9, "city"] = "nowhere"
    window.loc[10:29, "city"] = None
    window.loc[30:34, "city"] = ""
    return window


def write_log(lake: Lake) -> pd.DataFrame:
    """Log the window, repeated calls, shadow answers and rows of another day; return the features that count."""
    spec, window = hard_spec(), hard_window()
    records = [record(place, row) for place, row in enumerate(window.to_dict("records"))]
    again = [
        {**one, "prediction_id": f"again-{place}", "received_at": one["received_at"] + timedelta(seconds=5)}
        for place, one in enumerate(records[:50])
    ]
    shadow = [{**one, "prediction_id": f"shadow-{place}", "role": "shadow"} for place, one in enumerate(records[:20])]
    later = [{**one, "prediction_id": f"late-{place}", "event_time": END} for place, one in enumerate(records[:30])]
    schema = prediction_schema(spec.contract)
    for part in (records[:2000], records[2000:] + again, shadow + later):
        lake.append(spec.name, "predictions", pa.Table.from_pylist(part, schema=schema))
    return window


def record(place: int, features: dict) -> dict:
    time = START + timedelta(seconds=place)
    score = (place % 97) / 97
    return {
        "prediction_id": f"p-{place}",
        "request_id": f"call-{place // 2}" if place % 5 else None,
        "row": place % 2,
        "received_at": time,
        "event_time": time,
        "entity_key": None,
        "model_version": "1",
        "generation": 1,
        "role": "production" if place % 3 else "canary",
        "score": score,
        "label": "yes" if score >= 0.5 else "no",
        "confidence": score,
        "journal": "j",
        "sequence": place,
        "received_date": time.date(),
        **features,
    }


def as_document(counts) -> dict:
    """Counts as plain JSON values."""
    document = asdict(counts)
    for name in ("numbers", "categories"):
        document[name] = {feature: listed(one) for feature, one in document[name].items()}
    return {**document, "score": listed(document["score"]), "label": listed(document["label"])}


def listed(counts: dict) -> dict:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in counts.items()}
