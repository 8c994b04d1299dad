"""What the checks of the monitoring reports say."""

import dagster as dg
import pytest

from mlops_assets.assets.measurements import DriftReport
from mlops_assets.assets.monitoring import drift_check
from mlops_assets.core.windows import Window
from tests.conftest import ANCHOR, DAY


@pytest.mark.parametrize(("verdict", "passed"), [("drifted", False), ("clean", True), ("insufficient_data", True)])
def test_the_drift_check_warns_of_drifted_windows_only(verdict, passed):
    check = drift_check(DriftReport(Window(ANCHOR, ANCHOR + DAY), "1", 1, verdict, 20, ("size",)))
    assert (check.passed, check.severity) == (passed, dg.AssetCheckSeverity.WARN)
    assert check.metadata["verdict"].value == verdict
