"""What Dagster's own pages show of a model and of its reports."""

import os
import re
from pathlib import Path

import pytest

from mlops_assets.cli.processes import Processes, free_port, python

pytestmark = [pytest.mark.browser, pytest.mark.processes]
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0


@pytest.fixture(scope="module")
def dagster(home, browser):
    """The address of a webserver over the home."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    environment = {
        "DAGSTER_HOME": str(home.root / "dagster"),
        "MLOPS_HOME": str(home.root),
        "MLOPS_MODELS": "tests.browser.tiny_model",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with Processes(home.root / "logs") as processes:
        command = python(
            "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-m", "mlops_assets.definitions"
        )
        processes.start("dagster-webserver", command, environment)
        processes.wait_for_url(f"{address}/server_info", seconds=START_SECONDS)
        yield address


def test_the_graph_shows_all_assets_of_the_model(home, dagster, look):
    visit = look(f"{dagster}/assets/tiny/trained_model?view=lineage&lineageDepth=5", width=1840)
    nodes = visit.page.locator("foreignObject [class*=assetName]")
    nodes.nth(len(home.assets) - 1).wait_for()
    shown = [text.strip() for text in nodes.all_inner_texts()]
    assert len(shown) == len(home.assets) >= 9
    for asset in home.assets:  # long names are shortened in their middle
        assert [text for text in shown if re.fullmatch(re.escape(text).replace("…", ".+"), asset)], (asset, shown)
    assert visit.complaints == []
    assert visit.requests_beyond(dagster) == []


def test_the_drift_report_shows_its_table_and_its_pictures(dagster, look):
    visit = look(f"{dagster}/assets/tiny/drift_report?view=events&partition=2024-01-02T00:00:00Z", width=1840)
    page = visit.page
    page.get_by_text("Drifted: size has drifted, 1 of 2 features that count; one is enough.").wait_for()
    table = page.locator("table table")
    rows = [row.split("\t") for row in table.inner_text().splitlines()]
    assert rows[0][:8] == ["rank", "feature", "kind", "drifted", "votes", "psi", "js_distance", "ks_statistic"]
    assert [row[:4] for row in rows[3:]] == [["1", "size", "number", "true"], ["2", "color", "category", "false"]]
    assert {row[1] for row in rows[1:3]} == {"score", "label"}
    for place, alt in enumerate(["reference and current distributions", "population stability index by window"]):
        page.get_by_text("Show Markdown").nth(place).click()
        page.get_by_alt_text(alt).wait_for()
        (image,) = [image for image in visit.images() if image["alt"] == alt]
        assert min(image["width"], image["height"]) > 100
        assert image["colors"] > 10
        page.get_by_role("button", name="Close").click()
        page.get_by_alt_text(alt).wait_for(state="detached")
    assert visit.complaints == []
    assert visit.requests_beyond(dagster) == []
