from dataclasses import replace
from datetime import timedelta

import dagster as dg
import pyarrow as pa
import pytest

from mlops_assets.assets.upkeep import build_upkeep_assets, pinned_snapshots
from mlops_assets.errors import SpecError
from mlops_assets.resources.lake import LakeResource
from mlops_assets.resources.release_store import ReleaseStoreResource
from mlops_assets.spec import UpkeepPolicy
from serving.formats.release import Release, ReleaseStore, Routing
from tests.conftest import ANCHOR


def release(generation: int, action: str, **evidence) -> Release:
    return Release(
        "tiny",
        generation,
        action,
        "because",
        "somebody",
        ANCHOR + timedelta(days=generation),
        Routing(),
        evidence=evidence,
    )


@pytest.fixture
def store(tmp_path, lake):
    for first in range(4):
        lake.replace("tiny", "reference", pa.table({"x": [first]}))
    return ReleaseStore(tmp_path / "releases")


def test_snapshots_of_promoted_versions_are_pinned_and_those_of_refused_ones_are_not(tiny_spec, lake, store):
    assert pinned_snapshots(tiny_spec, lake, store) == []
    for place, action in enumerate(["promote", "refuse", "promote"]):
        store.append(release(place + 1, action, reference_version=place))
    assert pinned_snapshots(tiny_spec, lake, store) == [0, 2]


def test_every_snapshot_is_pinned_where_a_promotion_does_not_name_its_own(tiny_spec, lake, store):
    store.append(release(1, "promote"))
    assert pinned_snapshots(tiny_spec, lake, store) == [0, 1, 2, 3]


def test_the_asset_tells_files_and_bytes_of_all_tables(tiny_spec, lake, store):
    for value in range(5):
        lake.append("tiny", "feedback", pa.table({"x": [value]}))
    resources = {
        "lake": LakeResource(root=str(lake.root)),
        "releases": ReleaseStoreResource(root=str(store.root), home_keys=str(store.root / "keys")),
    }
    with dg.instance_for_test() as instance:
        result = dg.materialize(build_upkeep_assets(tiny_spec), instance=instance, resources=resources)
        (event,) = result.asset_materializations_for_node("tiny__lake_upkeep")
    assert event.metadata["files_before"].value == 6
    assert event.metadata["files_after"].value == 2
    assert event.metadata["removed_files"].value == 0
    assert [record.data["table"] for record in event.metadata["tables"].records] == ["reference", "feedback"]


def test_a_horizon_under_a_day_is_refused(tiny_spec):
    with pytest.raises(SpecError, match="upkeep.time_travel is 2:00:00; it must be greater than or equal to 1 day"):
        replace(tiny_spec, upkeep=UpkeepPolicy(time_travel=timedelta(hours=2)))
