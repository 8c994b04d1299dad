"""Pages of windows as they can be, made by the code that makes the reports."""

from pathlib import Path

import numpy as np
import pandas as pd

from mlops_assets.assets.measurements import DriftReport
from mlops_assets.assets.monitoring_pictures import drift_metadata
from mlops_assets.core.drift import score_window
from mlops_assets.core.profile import build_profile, count
from mlops_assets.core.windows import Window
from mlops_assets.lake.tables import Lake
from mlops_assets.spec import Category, Label, ModelSpec, Number
from tests.conftest import ANCHOR, DAY

N_REFERENCE, N_WINDOW = 3000, 1500
LONG = "a_name_that_somebody_generated_" * 6
STATES = {
    "no drift": "No drift: none of the 5 features that count has drifted",
    "no rows": "Not judged: 0 rows, and 1,000 are needed.",
    "all drifted": "5 of 5 features that count; one is enough",
    "sixty features": "60 of 60 features that count; one is enough",
    "long names": "have drifted, 4 of 4 features that count",
    "all missing": "have drifted, 5 of 5 features that count",
}


def write_state(state: str, folder: Path) -> Path:
    """Write the drift page of a window in that state, and return its path."""
    n_numbers, n_categories = {"sixty features": (45, 15), "long names": (1, 3)}.get(state, (3, 2))
    prefix = LONG if state == "long names" else ""
    numbers = [f"{prefix}number_{place}" for place in range(n_numbers)]
    categories = [f"{prefix}category_{place}" for place in range(n_categories)]
    spec = ModelSpec(
        name="state",
        description=state,
        label=Label(name="outcome", negative="no", positive="yes"),
        features=(
            *(Number(name=name, nullable=True) for name in numbers),
            *(Category(name=name, open=True, nullable=True) for name in categories),
        ),
        source=pd.DataFrame,
    )
    shift = 0.0 if state in {"no drift", "no rows"} else 1.5
    reference = _rows(numbers, categories, N_REFERENCE, values=f"{prefix}value")
    current = _rows(numbers, categories, 0 if state == "no rows" else N_WINDOW, values=f"{prefix}value", shift=shift)
    if state == "all missing":
        current[[*numbers, *categories]] = np.nan
    profile = build_profile(reference, spec.contract, scores=reference["score"].to_numpy())
    counts = count(profile, current)
    drift = score_window(profile, counts, spec.drift, spec.features, minimum_rows=spec.windows.minimum_rows)
    report = DriftReport(Window(ANCHOR, ANCHOR + DAY), "1", 1, drift.verdict, drift.n_rows, drift.drifted_features)
    metadata = drift_metadata(spec, Lake(folder / "lake"), folder, report, profile, counts, drift, season=None)
    return Path(metadata["report"].value)


def _rows(numbers: list[str], categories: list[str], n_rows: int, *, values: str, shift: float = 0.0) -> pd.DataFrame:
    generator = np.random.default_rng(n_rows)
    weights = np.ones(20)
    weights[0] += 20 * shift
    columns = {name: generator.normal(shift, 1, n_rows) for name in numbers}
    texts = np.array([f"{values} {place}" for place in range(20)], dtype=object)
    columns |= {name: generator.choice(texts, n_rows, p=weights / weights.sum()) for name in categories}
    score = generator.beta(2 + shift, 5, n_rows)
    return pd.DataFrame({**columns, "score": score, "label": np.where(score >= 0.5, "yes", "no")})
