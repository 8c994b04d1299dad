"""A home in which the real jobs have promoted twice and made their reports, with what Dagster and MLflow know of it."""

import shutil

import dagster as dg
import pytest

from mlops_assets.reports.figures import canvas
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_rows
from tests.integration.harness import InProcessLoop
from tests.integration.traffic import serve


@pytest.fixture(scope="package")
def promoted_twice(trained_home, tmp_path_factory):
    """The loop after two shifted days, the reports of the first, a retraining on both, and the upkeep."""
    home = shutil.copytree(trained_home, tmp_path_factory.mktemp("promoted") / "home")
    with dg.instance_for_test() as instance:
        loop = InProcessLoop(make_tiny_spec(), home, instance)
        rows = tiny_rows(600, start=ANCHOR, length=2 * DAY, seed=100, shift=3.0)
        serve(loop, rows, horizon=ANCHOR + 2 * DAY + loop.spec.windows.label_horizon)
        window = f"{ANCHOR:%Y-%m-%dT%H:%M:%SZ}"
        instance.add_dynamic_partitions("tiny_windows", [window])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(canvas, "as_png", lambda _figure: b"")
            assert loop.run("monitor", partition_key=window).success
        assert loop.run("retrain").success
        assert loop.run("lake_upkeep").success
        yield loop
