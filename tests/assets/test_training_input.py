from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pytest

from mlops_assets.assets.data import build_data_assets
from mlops_assets.definitions import build_resources
from mlops_assets.lake.tables import Lake
from mlops_assets.settings import Settings
from mlops_assets.spec import Category, Number
from tests.conftest import ANCHOR, DAY, tiny_rows, tiny_source
from tests.lake_rows import log_predictions


def snapshot_of(spec, source, *, home, instance):
    """Materialize the stage with a source; return what the snapshot says of its drift, and its metadata."""
    assets = build_data_assets(replace(spec, source=source))
    resources = build_resources(Settings(home=home, clock="event", shipping_lag_seconds=0))
    result = dg.materialize(assets, instance=instance, resources=resources)
    (check,) = [c for c in result.get_asset_check_evaluations() if c.check_name == "training_input_has_not_drifted"]
    (made,) = result.asset_materializations_for_node("tiny__reference_data")
    return check, made.metadata


def test_the_training_input_is_compared_with_the_snapshot_before_and_only_warned_of(tmp_path, tiny_spec):
    def shifted():
        return tiny_rows(1200, start=ANCHOR - 4 * DAY, length=4 * DAY, seed=9, shift=3.0)

    with dg.instance_for_test() as instance:
        where = {"home": tmp_path, "instance": instance}
        first, metadata = snapshot_of(tiny_spec, tiny_source, **where)
        assert (first.passed, first.metadata["verdict"].value) == (True, "first snapshot")
        assert "drift_against_the_snapshot_before" not in metadata
        again, _ = snapshot_of(tiny_spec, tiny_source, **where)
        assert (again.passed, again.metadata["verdict"].value) == (True, "clean")
        moved, metadata = snapshot_of(tiny_spec, shifted, **where)
    assert (moved.passed, moved.severity, moved.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert moved.metadata["drifted_features"].value == ["size"]
    records = metadata["drift_against_the_snapshot_before"].records
    assert [(record.data["feature"], record.data["drifted"]) for record in records] == [
        ("size", True),
        ("color", False),
    ]


def with_weight():
    return tiny_source().assign(weight=range(1200))


def with_text():
    return tiny_source().assign(size="large")


@pytest.mark.parametrize(
    ("source", "feature", "not_compared", "compared"),
    [
        (with_weight, Number(name="weight"), ["weight"], ["size", "color"]),
        (with_text, Category(name="size", open=True), ["size"], ["color"]),
    ],
)
def test_a_feature_that_is_new_or_of_another_kind_is_named_and_not_compared(
    tmp_path, tiny_spec, source, feature, not_compared, compared
):
    features = {known.name: known for known in tiny_spec.features} | {feature.name: feature}
    changed = replace(tiny_spec, features=tuple(features.values()))
    earlier = [
        {"prediction_id": f"p{n}", "event_time": ANCHOR - timedelta(hours=n + 1), "size": 9.0, "color": "red"}
        for n in range(5)
    ]
    with dg.instance_for_test() as instance:
        where = {"home": tmp_path, "instance": instance}
        snapshot_of(tiny_spec, tiny_source, **where)
        log_predictions(Lake(Settings(home=tmp_path).lake), tiny_spec, earlier)
        check, metadata = snapshot_of(changed, source, **where)
    assert (check.passed, check.metadata["features_not_compared"].value) == (True, not_compared)
    records = metadata["drift_against_the_snapshot_before"].records
    assert sorted(record.data["feature"] for record in records) == sorted(compared)
    assert metadata["rows_from_predictions"].value == 0
