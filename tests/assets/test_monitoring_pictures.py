from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mlops_assets.assets.attributes import feature_table
from mlops_assets.assets.monitoring_overview import write_overview
from mlops_assets.assets.monitoring_pictures import histogram
from mlops_assets.core.drift import score_window
from mlops_assets.core.profile import build_profile, count
from mlops_assets.core.windows import Window
from mlops_assets.lake.metrics import store_report
from mlops_assets.spec import Category, Label, ModelSpec, Number
from serving.formats.release import ReleaseStore
from tests.conftest import ANCHOR, DAY

SPEC = ModelSpec(
    name="seasons",
    description="A number that follows the season, and a category.",
    label=Label(name="outcome", negative="no", positive="yes"),
    features=(Number(name="temperature", seasonal=True), Category(name="color", open=True)),
    source=pd.DataFrame,
)


def rows(n_rows, *, warmer=0.0, color="red"):
    generator = np.random.default_rng(n_rows)
    score = generator.uniform(size=n_rows)
    return pd.DataFrame(
        {
            "temperature": generator.normal(warmer, 1, n_rows),
            "color": np.where(generator.uniform(size=n_rows) < 0.5, color, "blue"),
            "score": score,
            "label": np.where(score >= 0.5, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def measured():
    reference, window = rows(3000), rows(2000, warmer=5.0, color="green")
    profile = build_profile(reference, SPEC.contract, scores=reference["score"].to_numpy())
    counts, season = count(profile, window), count(profile, rows(2500, warmer=5.0))
    return profile, counts, season, score_window(profile, counts, SPEC.drift, SPEC.features, season=season)


def test_a_feature_that_is_compared_with_its_season_is_drawn_against_it(measured):
    profile, counts, season, drift = measured
    temperature = drift.features[0]
    assert temperature.reference == "season"
    drawn = histogram(profile, counts, temperature, season=season)
    assert drawn.reference == pytest.approx(drawn.current, abs=0.05)
    assert drawn.note.endswith("against its season")
    trained = histogram(profile, counts, replace(temperature, reference="training"), season=season)
    assert trained.reference[:10] == pytest.approx([0.1] * 10, abs=0.01)


def test_infinities_and_missing_values_are_drawn_apart(measured):
    profile, _, _, drift = measured
    window = rows(2000).assign(temperature=[np.inf, -np.inf, np.nan, 0.0] * 500)
    drawn = histogram(profile, count(profile, window), drift.features[0], season=count(profile, window))
    assert drawn.labels == ("-∞", "+∞", "missing")
    assert drawn.current[len(drawn.edges) - 1 :] == [0.25, 0.25, 0.25]


def test_the_models_answers_are_drawn_like_features(measured):
    profile, counts, season, drift = measured
    score, label = (histogram(profile, counts, answer, season=season) for answer in drift.predictions)
    assert (score.name, label.name) == ("score", "label")
    assert score.reference[:10] == pytest.approx([0.1] * 10, abs=0.01)
    assert set(label.labels[:2]) == {"no", "yes"}
    assert score.note.endswith("the model's answer")


def test_the_table_for_dagster_ranks_by_strength_and_leaves_out_what_does_not_exist(measured):
    drift = measured[-1]
    records = [record.data for record in feature_table(drift).records]
    assert [(record["rank"], record["feature"]) for record in records] == [
        (0, "score"),
        (0, "label"),
        (1, "color"),
        (2, "temperature"),
    ]
    color, temperature = records[2:]
    assert (color["ks_statistic"], color["wasserstein"], temperature["cramers_v"]) == (None, None, None)
    assert (color["drifted"], color["counted"], temperature["reference"]) == (True, True, "season")
    assert color["unseen_share"] == pytest.approx(0.5, abs=0.05)


def store_drift(lake, day, verdict):
    window = Window(ANCHOR + day * DAY, ANCHOR + (day + 1) * DAY)
    summary = {"verdict": verdict, "n_rows": 300, "drifted_features": ["color"], "drifted_predictions": []}
    measured = {"subject": "color", "method": "population_stability_index", "value": 0.3, "p_value": None, "flag": True}
    where = {"window": window, "model_version": "1", "generation": 1}
    store_report(lake, SPEC.name, "drift_metrics", summary=summary, rows=[measured], **where)


def test_the_overview_links_only_pages_that_exist_and_takes_windows_without_a_performance_report(lake, tmp_path):
    for day, verdict in enumerate(["drifted", "insufficient_data"]):
        store_drift(lake, day, verdict)
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "drift-2024-01-01T000000Z.html").touch()
    page = write_overview(
        replace(SPEC, windows=replace(SPEC.windows, length=DAY)), lake, ReleaseStore(tmp_path), folder
    )
    text = page.read_text()
    assert page.name == "latest.html"
    assert text.count("<a href") == text.count('<a href="drift-2024-01-01T000000Z.html"') == 1
    assert "2024-01-02 to 2024-01-03: insufficient data." in text
    assert sorted(path.name for path in folder.iterdir()) == ["drift-2024-01-01T000000Z.html", "latest.html"]
