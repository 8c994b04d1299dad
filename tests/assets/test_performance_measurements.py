"""Odd windows have a stated result: nothing is measured as NaN, and every report can be stored and drawn."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import numpy as np
import pytest

from mlops_assets.assets.monitoring import accuracy_check
from mlops_assets.assets.performance_measurements import measure_performance, production_since, reported_bundle
from mlops_assets.assets.performance_pictures import metric_rows, performance_metadata, slice_rows
from mlops_assets.assets.performance_records import PerformanceReport, store_performance
from mlops_assets.core.estimation import Calibration
from mlops_assets.core.windows import Window
from mlops_assets.lake.metrics import latest_summaries
from mlops_assets.reports.figures import canvas
from mlops_assets.resources.lake import LakeResource
from mlops_assets.spec import AccuracyPolicy
from serving.formats.bundle import (
    CALIBRATION_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    PROFILE_FILE,
    Bundle,
    Manifest,
    open_bundle,
    write_bundle,
)
from serving.formats.release import Deployed, Release, Routing
from tests.conftest import ANCHOR, DAY
from tests.lake_rows import log_labels, log_predictions

WINDOW = Window(ANCHOR, ANCHOR + DAY)
HORIZON = timedelta(hours=6)


def release(generation: int, version: str, action: str = "promote") -> Release:
    routing = Routing(production=Deployed(version, version * 64))
    return Release("tiny", generation, action, "", "test", ANCHOR, routing, data_until=ANCHOR)


@pytest.fixture(autouse=True)
def blank_pictures(monkeypatch):
    """Drawing is most of a report's time; that degenerate figures are drawn is tested with the figures."""
    monkeypatch.setattr(canvas, "as_png", lambda _figure: b"\x89PNG\r\n\x1a\n")


@pytest.fixture
def lake(tmp_path):
    return LakeResource(root=str(tmp_path / "lake"), clock="event")


@pytest.fixture
def spec(tiny_spec):
    return replace(tiny_spec, slices=("color",))


def bundle(spec, **contents) -> Bundle:
    manifest = Manifest(
        "tiny",
        "1",
        spec.contract,
        "",
        "",
        "",
        "",
        "",
        "",
        "logistic_regression",
        {"prior": 0.4, "accuracy": 0.9},
        {},
        {},
    )
    calibration = Calibration((0.0, 1.0), (0.05, 0.95), 300)
    return Bundle("d" * 64, manifest, {CALIBRATION_FILE: calibration.to_json()} | contents)


def log(lake, spec, scores, labels, colors=None):
    """Predictions a second apart from the window's start; a label of None never comes."""
    times = [ANCHOR + timedelta(seconds=place) for place in range(len(scores))]
    log_predictions(
        lake.tables,
        spec,
        [
            {"prediction_id": f"p{place}", "event_time": time, "score": score, "size": 9.0}
            | {"label": "yes" if score >= 0.5 else "no", "color": colors[place] if colors else "red"}
            for place, (time, score) in enumerate(zip(times, scores, strict=True))
        ],
    )
    known = [
        {"prediction_id": f"p{place}", "label": label, "observed_at": time + timedelta(hours=1)}
        for place, (time, label) in enumerate(zip(times, labels, strict=True))
        if label is not None
    ]
    log_labels(lake.tables, spec, [*known, {"prediction_id": "-", "label": "no", "observed_at": WINDOW.end + HORIZON}])


def report(lake, spec, tmp_path, opened=None):
    chain, opened = [release(1, "1")], opened or bundle(spec)
    measured = measure_performance(spec, lake, WINDOW, opened, chain)
    stored = store_performance(spec, lake, WINDOW, chain[0], opened, measured)
    metadata = performance_metadata(spec, lake.tables, chain, tmp_path, stored, measured)
    (summary,) = latest_summaries(lake.tables, "tiny", "performance_metrics")
    json.dumps(summary, allow_nan=False, default=str)
    return measured, summary, metadata


def test_a_window_without_a_prediction_has_a_report_without_figures(lake, spec, tmp_path):
    measured, summary, metadata = report(lake, spec, tmp_path)
    assert (measured.overall, measured.estimate, measured.slices, summary["metrics"]) == (None, None, (), {})
    assert (summary["n_rows"], summary["coverage"], summary["estimate"]) == (0, None, None)
    assert metadata["verdict"] == "insufficient_data"


def test_a_row_without_its_label_is_estimated_and_not_measured(lake, spec, tmp_path):
    log(lake, spec, [0.9], [None])
    measured, summary, _ = report(lake, spec, tmp_path)
    assert measured.overall is None
    assert (summary["n_rows"], summary["n_labels"], summary["coverage"]) == (1, 0, 0.0)
    assert summary["estimate"]["value"] == pytest.approx(0.05 + 0.9 * 0.9)
    assert (summary["estimate"]["realized"], summary["estimate"]["error"]) == (None, None)
    assert summary["concept_drift"]["n_rows"] == 0


def test_one_labeled_row_leaves_undefined_what_one_class_can_not_tell(lake, spec, tmp_path):
    log(lake, spec, [0.2], ["no"])
    _, summary, _ = report(lake, spec, tmp_path)
    assert summary["metrics"]["accuracy"] == 1.0
    assert {"auc", "pr_auc", "f1", "precision", "recall"}.isdisjoint(summary["metrics"])
    assert summary["over_constant"]["auc"] is None


def test_scores_that_are_no_numbers_are_left_out(lake, spec, tmp_path):
    log(lake, spec, [float("nan"), float("inf"), 0.2, 0.8], ["yes", "yes", "no", "no"])
    measured, summary, _ = report(lake, spec, tmp_path)
    assert summary["n_labels"] == 4
    assert (measured.overall.n_rows, measured.overall.accuracy.value) == (2, 0.5)
    only_broken = LakeResource(root=lake.root + "-broken", clock="event")
    log(only_broken, spec, [float("nan")] * 3, ["yes"] * 3)
    assert measure_performance(spec, only_broken, WINDOW, bundle(spec), [release(1, "1")]).overall is None


def test_constant_scores_and_a_color_for_every_row_have_a_report(lake, spec, tmp_path):
    log(lake, spec, [0.4] * 2000, ["yes", "no"] * 1000, [f"c{number}" for number in range(2000)])
    measured, summary, _ = report(lake, spec, tmp_path)
    assert (summary["metrics"]["auc"], summary["metrics"]["calibration_error"]) == (0.5, pytest.approx(0.1))
    assert measured.slices == ()
    assert summary["concept_drift"]["n_rows"] == 2000


def test_the_constant_predictor_stands_beside_the_metrics_and_intervals_beside_those_of_slices(lake, spec, tmp_path):
    log(lake, spec, [0.9, 0.3, 0.2, 0.1] * 50, ["yes", "yes", "no", "no"] * 50)
    measured, summary, _ = report(lake, spec, tmp_path)
    constant = {row["name"]: row["constant"] for row in metric_rows(measured, None)}
    assert constant == {
        "accuracy": 0.5,
        "auc": 0.5,
        "log_loss": pytest.approx(-np.log(0.4 * 0.6) / 2),
        "brier": pytest.approx((0.6**2 + 0.4**2) / 2),
        "f1": 0.0,
        "pr_auc": 0.5,
        "precision": None,
        "recall": None,
        "calibration_error": None,
    }
    assert summary["metrics"]["constant_brier"] == constant["brier"]
    (row,) = slice_rows(measured.slices)
    for name in ("accuracy", "auc", "f1", "log_loss", "calibration_error"):
        assert row["metrics"][f"{name}_low"] <= row["metrics"][name] <= row["metrics"][f"{name}_high"]


def test_a_bundle_that_is_older_than_the_estimate_has_none(lake, spec, tmp_path):
    log(lake, spec, [0.2, 0.8], ["no", "yes"])
    opened = bundle(spec)
    _, summary, metadata = report(lake, spec, tmp_path, replace(opened, contents={}))
    assert summary["estimate"] is None
    assert "estimated_accuracy" not in metadata


def test_label_delay_is_from_the_event_to_the_label_that_counts(lake, spec, tmp_path):
    log(lake, spec, [0.2] * 10, ["no"] * 10)
    corrected = {"prediction_id": "p0", "label": "yes", "observed_at": ANCHOR + 5 * HORIZON}
    log_labels(lake.tables, spec, [corrected])
    measured, summary, _ = report(lake, spec, tmp_path)
    assert summary["delay_median_seconds"] == 3600
    assert summary["delay_p90_seconds"] == pytest.approx(np.quantile([3600] * 9 + [30 * 3600], 0.9))
    assert measured.overall.accuracy.value == 0.9


def test_the_check_warns_only_of_complete_windows_under_the_threshold(spec):
    spec = replace(spec, accuracy=AccuracyPolicy(minimum_labels=500))
    under = PerformanceReport(WINDOW, "1", 1, 600, 600, 0.8, 0.83, 0.9)
    check = accuracy_check(spec, under)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["reason"].value == "upper bound of accuracy 0.8300 is under 0.8700"
    assert accuracy_check(spec, replace(under, complete=False)).passed
    assert accuracy_check(spec, replace(under, n_labels=499)).passed
    assert accuracy_check(spec, replace(under, accuracy_high=0.87)).passed


def promoted(spec, folder):
    """Two versions in a store, and the chain in which the second has replaced the first."""
    first = bundle(spec).contents | dict.fromkeys((MODEL_FILE, PROFILE_FILE, GOLDEN_FILE), b"{}")
    manifests = [replace(bundle(spec).manifest, version=version) for version in ("1", "2")]
    stored = [open_bundle(folder, write_bundle(folder, manifest, first)) for manifest in manifests]
    chain = [
        replace(release(place, opened.manifest.version), routing=Routing(Deployed(str(place), opened.digest)))
        for place, opened in enumerate(stored, start=1)
    ]
    return stored, chain


def test_after_a_promotion_a_report_is_still_about_the_version_that_answered(lake, spec, tmp_path):
    log(lake, spec, [0.9, 0.1] * 300, ["yes", "no"] * 300)
    (first, second), chain = promoted(spec, tmp_path)
    about = reported_bundle(spec, lake, WINDOW, second, chain, tmp_path)
    assert about.manifest.version == "1"
    again = measure_performance(spec, lake, WINDOW, about, chain)
    before = measure_performance(spec, lake, WINDOW, first, chain[:1])
    assert again.own == before.own
    assert again.own.n_rows == again.concept_drift.n_rows == 600
    assert again.estimate == before.estimate
    stored = store_performance(spec, lake, WINDOW, chain[-1], about, again)
    assert (stored.model_version, stored.generation, stored.n_labels) == ("1", 2, 600)


def test_a_report_is_about_the_version_in_production_if_that_has_answered_any_row(lake, spec, tmp_path):
    log(lake, spec, [0.9, 0.1] * 300, ["yes", "no"] * 300)
    (_, second), chain = promoted(spec, tmp_path)
    log_predictions(lake.tables, spec, [{"prediction_id": "-", "event_time": ANCHOR, "model_version": "2"}])
    assert reported_bundle(spec, lake, WINDOW, second, chain, tmp_path) is second


def test_a_report_whose_version_is_gone_is_about_the_one_in_production_with_nothing_to_say(lake, spec, tmp_path):
    log(lake, spec, [0.9, 0.1] * 300, ["yes", "no"] * 300)
    (first, second), chain = promoted(spec, tmp_path)
    shutil.rmtree(tmp_path / first.digest)
    about = reported_bundle(spec, lake, WINDOW, second, chain, tmp_path)
    assert about is second
    measured = measure_performance(spec, lake, WINDOW, about, chain)
    assert (measured.own, measured.estimate, measured.overall.n_rows) == (None, None, 600)


def test_a_version_that_came_back_is_followed_through_the_time_in_which_it_answered(lake, spec):
    log(lake, spec, [0.9, 0.1] * 300, ["yes", "no"] * 300)
    chain = [release(1, "1"), release(2, "2"), release(3, "1", "rollback")]
    assert measure_performance(spec, lake, WINDOW, bundle(spec), chain).concept_drift.n_rows == 600


@pytest.mark.parametrize(
    ("versions", "since"),
    [("1", 1), ("11", 1), ("12", 2), ("1222", 2), ("121", 3), ("1211", 3)],
)
def test_the_error_rate_is_followed_since_the_newest_promotion_and_through_refusals(versions, since):
    chain = [release(number, version) for number, version in enumerate(versions, start=1)]
    assert production_since(chain) == since
