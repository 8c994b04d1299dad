"""Source and snapshot: what breaks the contract stops the line and is kept."""

from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.assets.snapshots import load_source, pin_predictions, refuse_superseded
from mlops_assets.core.snapshots import check_label_health
from mlops_assets.errors import ContractViolationError, InsufficientDataError, LabelHealthError, SupersededError
from mlops_assets.resources.lake import LakeResource
from serving.formats.release import Release, ReleaseStore, Routing
from tests.conftest import ANCHOR, DAY, tiny_source
from tests.integration.harness import InProcessLoop
from tests.lake_rows import log_labels, log_predictions


def broken_source():
    frame = tiny_source()
    frame.loc[3, "size"] = 1e6
    frame.loc[[5, 6], "color"] = "violet"
    return frame


def test_rows_that_break_the_contract_stop_the_line_and_are_quarantined(tmp_path, tiny_spec):
    spec = replace(tiny_spec, source=broken_source)
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(spec, tmp_path / "home", instance)
        result = loop.run("retrain")
        assert not result.success
        materialized = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
        assert materialized == set()
        (check,) = result.get_asset_check_evaluations()
        assert (check.check_name, check.passed, check.blocking) == ("rows_satisfy_the_contract", False, True)
        records = check.metadata["violations"].records
        assert {(record.data["column"], record.data["count"]) for record in records} >= {("size", 1), ("color", 2)}
    quarantined = loop.lake.read("tiny", "quarantine")
    assert len(quarantined) == 3
    assert loop.lake.version("tiny", "source") is None
    assert loop.store.latest("tiny") is None


def test_a_source_without_its_label_column_is_named(lake, tiny_spec):
    spec = replace(tiny_spec, source=lambda: tiny_source().drop(columns="outcome"))
    with pytest.raises(ContractViolationError, match="outcome"):
        load_source(spec, lake)


def test_a_source_with_an_unknown_column_is_named(lake, tiny_spec):
    spec = replace(tiny_spec, source=lambda: tiny_source().assign(surprise=1))
    with pytest.raises(ContractViolationError, match="surprise"):
        load_source(spec, lake)


def test_on_the_wall_clock_a_source_of_long_ago_is_trained_on_until_the_log_has_labels(lake, tiny_spec):
    wall = LakeResource(root=str(lake.root), clock="wall")
    source, _ = load_source(tiny_spec, lake)
    assert pin_predictions(tiny_spec, wall, source)[0].end == source.end
    yesterday = datetime.now(UTC) - DAY
    row = {"prediction_id": "a", "event_time": yesterday - DAY, "size": 9.5, "color": "red"}
    log_predictions(lake, tiny_spec, [row])
    unlabelled, _ = pin_predictions(tiny_spec, wall, source)
    assert (unlabelled.end, unlabelled.n_rows) == (source.end, 0)
    log_labels(lake, tiny_spec, [{"prediction_id": "a", "label": "yes", "observed_at": yesterday}])
    labelled, _ = pin_predictions(tiny_spec, wall, source)
    assert (labelled.end > yesterday - DAY, labelled.n_rows, labelled.n_labels) == (True, 1, 1)


def test_a_first_version_is_trained_on_the_wall_clock(tmp_path, tiny_spec):
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(tiny_spec, tmp_path / "home", instance, clock="wall")
        assert loop.run("retrain").success
    assert loop.store.latest("tiny").action == "promote"


def test_an_empty_source_says_where_to_look(lake, tiny_spec):
    spec = replace(tiny_spec, source=lambda: tiny_source().head(0))
    with pytest.raises(InsufficientDataError, match="no rows.*source"):
        load_source(spec, lake)


def test_a_source_that_has_not_changed_is_not_written_again(lake, tiny_spec):
    first, _ = load_source(tiny_spec, lake)
    again, _ = load_source(tiny_spec, lake)
    assert again == first
    longer = replace(tiny_spec, source=lambda: tiny_source().head(1000))
    assert load_source(longer, lake)[0].version == first.version + 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["yes", "no"] * 20, "40 labelled rows"),
        (["yes", "no"] * 100 + [None] * 100, "labels are missing"),
        (["yes"] * 199 + ["no"], "rarer class"),
        (["yes"] * 200, "rarer class"),
    ],
)
def test_unhealthy_labels_are_refused_with_their_number(tiny_spec, labels, words):
    with pytest.raises(LabelHealthError, match=words):
        check_label_health(pd.Series(labels, dtype=object), tiny_spec.training)


def test_a_too_short_source_fails_with_a_sentence(tmp_path, tiny_spec):
    spec = replace(tiny_spec, source=lambda: tiny_source().tail(250))
    with dg.instance_for_test() as instance:
        result = InProcessLoop(spec, tmp_path / "home", instance).run("retrain")
        assert not result.success
        failures = [event for event in result.all_events if event.is_step_failure]
        assert "training" in failures[0].event_specific_data.error.message


def test_a_run_whose_question_has_been_answered_is_superseded(tmp_path, tiny_spec):
    store = ReleaseStore(tmp_path)
    decided = {"mlops/decided_until": ANCHOR.isoformat()}
    refuse_superseded(tiny_spec, store, decided)
    store.append(
        Release(
            model="tiny",
            generation=1,
            action="refuse",
            reason="",
            actor="test",
            at=ANCHOR,
            routing=Routing(),
            data_until=ANCHOR,
        )
    )
    with pytest.raises(SupersededError, match="generation 1"):
        refuse_superseded(tiny_spec, store, decided)
    refuse_superseded(tiny_spec, store, {"mlops/decided_until": (ANCHOR + DAY).isoformat()})
    refuse_superseded(tiny_spec, store, {})
