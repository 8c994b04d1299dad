import shutil
from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from mlops_assets.assets.snapshots import refuse_superseded
from mlops_assets.errors import SupersededError
from mlops_assets.lake.metrics import history_of, latest_summaries
from mlops_assets.reports.figures import canvas
from tests.conftest import ANCHOR, DAY, tiny_rows
from tests.integration.harness import InProcessLoop
from tests.integration.traffic import serve
from tests.lake_rows import log_labels, log_predictions

HORIZON = timedelta(hours=6)
ROWS_A_DAY = 300


BLANK = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def blank_pictures(monkeypatch):
    """Drawing is most of a report's time; what the pictures show is tested with the reports."""
    monkeypatch.setattr(canvas, "as_png", lambda _figure: BLANK)


@pytest.fixture
def home(trained_home, tmp_path):
    return shutil.copytree(trained_home, tmp_path / "home")


@pytest.fixture
def loop(home, tiny_spec):
    with dg.instance_for_test() as instance:
        yield InProcessLoop(tiny_spec, home, instance)


def window_key(day):
    return f"{ANCHOR + day * DAY:%Y-%m-%dT%H:%M:%SZ}"


def play(loop, day, *, shift=0.0, ticks=1):
    start = ANCHOR + day * DAY
    rows = tiny_rows(ROWS_A_DAY, start=start, length=DAY, seed=100 + day, shift=shift)
    serve(loop, rows, horizon=start + DAY + HORIZON)
    for _ in range(ticks):
        loop.tick_all()


def test_three_drifted_windows_in_a_row_retrain_once_and_the_gate_decides(loop):
    for day in range(2):
        play(loop, day, shift=4.0, ticks=2)
    assert loop.retrainings() == []
    play(loop, 2, shift=4.0, ticks=3)
    (request,) = loop.retrainings()
    assert request.tags["mlops/trigger"] == "drift"
    assert "3 consecutive drifted windows" in request.tags["mlops/reason"]
    chain = loop.store.history("tiny")
    assert [(entry.action, entry.trigger) for entry in chain] == [("promote", "manual"), ("promote", "drift")]
    assert chain[1].data_until == ANCHOR + 3 * DAY
    assert chain[1].evidence["champion_version"] == "1"


def test_after_a_retraining_the_reference_is_the_new_models_and_the_streak_starts_again(loop):
    for day in range(4):
        play(loop, day, shift=4.0)
    assert len(loop.retrainings()) == 1
    verdicts = [row["verdict"] for row in latest_summaries(loop.lake, "tiny", "drift_metrics")]
    assert verdicts[:3] == ["drifted"] * 3
    assert latest_summaries(loop.lake, "tiny", "drift_metrics")[3]["generation"] == 2


def test_a_clean_window_resets_the_streak(loop):
    for day, shift in enumerate([4.0, 4.0, 0.0, 4.0, 4.0]):
        play(loop, day, shift=shift)
    assert loop.retrainings() == []


def test_a_window_with_too_few_rows_neither_counts_nor_resets(loop):
    for day in range(2):
        play(loop, day, shift=4.0)
    start = ANCHOR + 2 * DAY
    serve(loop, tiny_rows(20, start=start, length=DAY, seed=9), horizon=start + DAY + HORIZON)
    loop.tick_all()
    assert latest_summaries(loop.lake, "tiny", "drift_metrics")[2]["verdict"] == "insufficient_data"
    assert loop.retrainings() == []
    play(loop, 3, shift=4.0)
    assert len(loop.retrainings()) == 1


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("n_windows", [12, pytest.param(50, marks=pytest.mark.slow)])
def test_windows_of_a_stable_stream_trigger_nothing(loop, n_windows):
    for day in range(n_windows):
        play(loop, day)
    assert loop.retrainings() == []
    assert loop.store.latest_generation("tiny") == 1
    assert len(latest_summaries(loop.lake, "tiny", "drift_metrics")) == n_windows


def test_an_empty_cursor_asks_for_nothing_twice(loop):
    for day in range(3):
        play(loop, day, shift=4.0)
    before = len(loop.requested)
    loop.cursors.clear()
    loop.tick_all()
    loop.tick_all()
    assert len(loop.requested) == before


def test_late_and_corrected_labels_make_the_report_again_once(loop):
    play(loop, 0)
    play(loop, 1)
    made = [request for sensor, request in loop.requested if sensor == "monitoring_windows"]
    first = latest_summaries(loop.lake, "tiny", "performance_metrics")[0]
    rows = tiny_rows(ROWS_A_DAY, start=ANCHOR, length=DAY, seed=100)
    flipped = [
        {"prediction_id": f"p-{key}", "label": "no" if outcome == "yes" else "yes", "observed_at": ANCHOR + 3 * DAY}
        for key, outcome in zip(rows["entity_key"][:50], rows["outcome"][:50], strict=True)
    ]
    log_labels(loop.lake, loop.spec, flipped)
    loop.tick_all()
    loop.tick_all()
    again = [request for sensor, request in loop.requested if sensor == "monitoring_windows"][len(made) :]
    assert [[key.path[-1] for key in request.asset_selection] for request in again] == [["performance_report"]]
    assert latest_summaries(loop.lake, "tiny", "performance_metrics")[0]["metrics"] != first["metrics"]


def test_accuracy_under_its_threshold_retrains(home, tiny_spec):
    spec = replace(
        tiny_spec,
        drift=replace(tiny_spec.drift, consecutive_windows=99),
        accuracy=replace(tiny_spec.accuracy, minimum_labels=100),
    )
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(spec, home, instance)
        for day in range(2):
            start = ANCHOR + day * DAY
            rows = tiny_rows(ROWS_A_DAY, start=start, length=DAY, seed=day)
            rows["outcome"] = rows["outcome"].map({"yes": "no", "no": "yes"})
            serve(loop, rows, horizon=start + DAY + HORIZON)
            loop.tick_all()
        (request,) = loop.retrainings()
        assert request.tags["mlops/trigger"] == "accuracy"


def accuracy_only(spec, **more):
    """The tiny model with an accuracy trigger within reach, and none by drift."""
    return replace(
        spec,
        drift=replace(spec.drift, consecutive_windows=99),
        accuracy=replace(spec.accuracy, minimum_labels=100),
        retraining=replace(spec.retraining, cool_down_windows=0),
        slices=("color",),
        **more,
    )


def correct(loop, day, *, observed_after, flipped):
    """Send the labels of a day again, as they were or all turned around."""
    other = {"yes": "no", "no": "yes"} if flipped else {"yes": "yes", "no": "no"}
    rows = tiny_rows(ROWS_A_DAY, start=ANCHOR + day * DAY, length=DAY, seed=100 + day)
    labels = [
        {"prediction_id": f"p-{key}", "label": other[outcome], "observed_at": ANCHOR + observed_after}
        for key, outcome in zip(rows["entity_key"], rows["outcome"], strict=True)
    ]
    log_labels(loop.lake, loop.spec, labels)


def test_a_correction_that_moves_accuracy_under_its_threshold_retrains_once(home, tiny_spec):
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(accuracy_only(tiny_spec), home, instance)
        play(loop, 0)
        assert loop.retrainings() == []
        correct(loop, 0, observed_after=1.6 * DAY, flipped=True)
        loop.tick_all()
        (request,) = loop.retrainings()
        assert request.tags["mlops/trigger"] == "accuracy"
        report = latest_summaries(loop.lake, "tiny", "performance_metrics")[0]
        assert report["production"]["accuracy"] < 0.3
        assert loop.run("monitor", partition_key=window_key(0)).success
        loop.tick_all()
        correct(loop, 0, observed_after=1.7 * DAY, flipped=False)
        loop.tick_all()
        loop.tick_all()
        assert latest_summaries(loop.lake, "tiny", "performance_metrics")[0]["metrics"]["accuracy"] > 0.8
        assert loop.retrainings() == [request]


def test_a_correction_that_is_taken_back_before_the_sensor_looks_retrains_nothing(home, tiny_spec):
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(accuracy_only(tiny_spec), home, instance)
        play(loop, 0)
        correct(loop, 0, observed_after=1.6 * DAY, flipped=True)
        loop.tick("monitoring_windows")
        correct(loop, 0, observed_after=1.7 * DAY, flipped=False)
        loop.tick_all()
        assert loop.retrainings() == []


def test_a_correction_after_a_promotion_makes_the_report_of_the_version_that_answered_and_asks_for_nothing(
    home, tiny_spec
):
    with dg.instance_for_test() as instance:
        spec = accuracy_only(tiny_spec)
        loop = InProcessLoop(replace(spec, gate=replace(spec.gate, margin=-1.0)), home, instance)
        play(loop, 0)
        before = latest_summaries(loop.lake, "tiny", "performance_metrics")[0]
        assert loop.run("retrain").success
        assert loop.store.latest("tiny").routing.production.version == "2"
        correct(loop, 0, observed_after=1.6 * DAY, flipped=True)
        loop.tick_all()
        again = latest_summaries(loop.lake, "tiny", "performance_metrics")[0]
        assert again["computed_at"] > before["computed_at"]
        assert (again["model_version"], again["generation"]) == ("1", 2)
        assert again["production"]["n_labels"] == before["production"]["n_labels"] == ROWS_A_DAY
        assert again["production"]["accuracy"] < 0.3
        assert again["estimate"]["value"] == before["estimate"]["value"]
        assert again["concept_drift"]["n_rows"] == ROWS_A_DAY
        assert loop.retrainings() == []


def test_a_performance_report_tells_all_that_is_known_of_a_window(home, tiny_spec):
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(accuracy_only(tiny_spec), home, instance)
        play(loop, 0)
        (drift,) = latest_summaries(loop.lake, "tiny", "drift_metrics")
        (report,) = latest_summaries(loop.lake, "tiny", "performance_metrics")
        assert report["complete"]
        assert (report["coverage"], report["delay_median_seconds"]) == (1.0, 0.0)
        names = {"precision", "recall", "f1", "auc", "pr_auc", "log_loss", "brier", "calibration_error"}
        assert {f"{name}{end}" for name in names for end in ("", "_low", "_high")} <= report["metrics"].keys()
        assert report["over_constant"]["log_loss"]["high"] < 0
        assert report["concept_drift"] == {**report["concept_drift"], "n_rows": ROWS_A_DAY, "detected": False}
        estimate = report["estimate"]
        assert {name: estimate[name] for name in ("value", "low", "high")} == drift["estimated_accuracy"]
        assert estimate["error"] == pytest.approx(estimate["value"] - report["production"]["accuracy"])
        assert abs(estimate["error"]) < 0.06
        rows = tiny_rows(ROWS_A_DAY, start=ANCHOR, length=DAY, seed=100)
        largest = rows["color"].mode()[0]
        slices = history_of(loop.lake, "tiny", "performance_metrics", f"slice:color={largest}").iloc[0]
        assert slices["accuracy_low"] < slices["accuracy"] < slices["accuracy_high"]


def test_a_window_without_its_labels_is_estimated_and_not_judged_until_they_are_there(home, tiny_spec):
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(accuracy_only(tiny_spec), home, instance)
        rows = tiny_rows(ROWS_A_DAY, start=ANCHOR, length=DAY, seed=100)
        rows["outcome"] = rows["outcome"].map({"yes": "no", "no": "yes"})
        serve(loop, rows, horizon=ANCHOR + DAY)
        unlabeled = {"prediction_id": "unlabeled", "event_time": ANCHOR, "size": 10.0, "color": "red"}
        log_predictions(loop.lake, loop.spec, [unlabeled])
        instance.add_dynamic_partitions("tiny_windows", [window_key(0)])
        assert loop.run("monitor", partition_key=window_key(0)).success
        loop.tick_all()
        (early,) = latest_summaries(loop.lake, "tiny", "performance_metrics")
        assert (early["complete"], early["concept_drift"]) == (False, None)
        assert early["estimate"]["value"] > 0.8
        assert early["production"]["accuracy"] < 0.3
        assert loop.retrainings() == []
        log_labels(loop.lake, loop.spec, [{"prediction_id": "p-x", "label": "no", "observed_at": ANCHOR + 1.5 * DAY}])
        loop.tick_all()
        assert latest_summaries(loop.lake, "tiny", "performance_metrics")[0]["complete"]
        assert [request.tags["mlops/trigger"] for request in loop.retrainings()] == ["accuracy"]


def test_new_data_in_the_source_retrains_once_per_content(home, tiny_spec):
    spec = accuracy_only(tiny_spec, source_version=lambda: "tuesday")
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(spec, home, instance)
        for _ in range(2):
            loop.tick("new_data")
        (request,) = loop.retrainings()
        newest = loop.store.latest("tiny")
        assert (newest.generation, newest.trigger) == (2, "new_data")
        assert newest.evidence["source_version"] == request.tags["mlops/source_version"] == "tuesday"
        assert "has read version tuesday" in loop.tick("new_data").skip_reason.skip_message
        with pytest.raises(SupersededError, match="tuesday"):
            refuse_superseded(spec, loop.store, request.tags)


def test_new_data_waits_for_the_cool_down(home, tiny_spec):
    spec = replace(tiny_spec, source_version=lambda: "other")
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(spec, home, instance)
        assert "cooling down" in loop.tick("new_data").skip_reason.skip_message
        assert loop.requested == []


def test_a_pinned_snapshot_trains_on_that_version_again(loop):
    first = loop.lake.version("tiny", "reference")
    for day in range(3):
        play(loop, day, shift=4.0)
    assert loop.lake.version("tiny", "reference") > first
    config = {"ops": {"tiny__reference_data": {"config": {"pinned_version": first}}}}
    result = loop.run("retrain", run_config=config)
    assert result.success
    assert result.output_for_node("tiny__reference_data").version == first
