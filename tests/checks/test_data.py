"""What the columns of source and snapshot are warned about, as the UI shows it."""

from dataclasses import replace

import dagster as dg
import numpy as np

from mlops_assets.assets.snapshots import load_source
from mlops_assets.checks.data import build_data_checks, quality_check
from mlops_assets.resources.lake import LakeResource
from mlops_assets.spec import DataQualityPolicy
from tests.conftest import tiny_source


def table_of(result):
    return {record.data["feature"]: record.data for record in result.metadata["columns"].records}


def test_a_healthy_source_is_not_warned_about(tiny_spec):
    result = quality_check(tiny_spec, tiny_source())
    assert result.passed
    assert result.description is None
    assert 0 < table_of(result)["size"]["extreme_share"] < 0.01
    assert table_of(result)["color"]["extreme_share"] == -1.0


def test_missing_and_extreme_values_are_a_warning_that_names_the_features(tiny_spec):
    spec = replace(tiny_spec, quality=DataQualityPolicy(maximum_missing_share=0.1, maximum_extreme_share=0.01))
    frame = tiny_source()
    frame.loc[:14, "size"] = 90.0
    frame.loc[:149, "color"] = None
    result = quality_check(spec, frame)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert result.description == "More missing or extreme values than expected: size, color."
    assert table_of(result)["size"]["extreme_share"] == 15 / 1200
    assert table_of(result)["color"]["missing_share"] == 150 / 1200


def test_a_constant_an_empty_and_a_wholly_missing_column_have_a_result(tiny_spec):
    assert quality_check(tiny_spec, tiny_source().head(0)).passed
    assert quality_check(tiny_spec, tiny_source().assign(size=3.0, color="red")).passed
    missing = quality_check(tiny_spec, tiny_source().assign(size=np.nan, color=None))
    assert missing.metadata["suspicious_features"].value == ["size", "color"]


def test_source_and_snapshot_have_the_check_and_it_reads_the_stored_version(tmp_path, tiny_spec):
    checks = {tuple(key.asset_key.path): check for check in build_data_checks(tiny_spec) for key in check.check_keys}
    assert {path[-1] for path in checks} == {"labelled_predictions", "source_data", "reference_data"}
    lake = LakeResource(root=str(tmp_path))
    stored, _ = load_source(tiny_spec, lake.tables)
    assert checks["tiny", "source_data"](source_data=stored, lake=lake).passed
