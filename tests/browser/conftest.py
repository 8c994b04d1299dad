"""A browser, and a home of the tiny model with real reports: one clean window, one drifted, one with too few rows."""

import os
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.browser.looking import visit
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_rows
from tests.integration.harness import InProcessLoop
from tests.integration.traffic import serve

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HORIZON = timedelta(hours=6)


@dataclass(frozen=True)
class ReportedHome:
    """A home whose windows have reports, and the assets that are before or behind its `trained_model`."""

    root: Path
    assets: tuple[str, ...]

    @property
    def reports(self) -> Path:
        """The pages of the tiny model."""
        return self.root / "reports" / "tiny"


@pytest.fixture(scope="package")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "Chromium is not installed; `make system-packages` names its package"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return found


@pytest.fixture(scope="package")
def home(chromium, trained_home, tmp_path_factory):
    root = shutil.copytree(trained_home, tmp_path_factory.mktemp("reported") / "home")
    (root / "dagster").mkdir()
    with dg.instance_for_test(temp_dir=str(root / "dagster"), overrides={"nux": {"enabled": False}}) as instance:
        loop = InProcessLoop(make_tiny_spec(), root, instance)
        for day, (n_rows, shift) in enumerate([(300, 0.0), (300, 4.0), (20, 0.0)]):
            start = ANCHOR + day * DAY
            rows = tiny_rows(n_rows, start=start, length=DAY, seed=100 + day, shift=shift)
            serve(loop, rows, horizon=start + DAY + HORIZON)
        loop.tick("monitoring_windows")
        model = dg.AssetSelection.assets(dg.AssetKey(["tiny", "trained_model"]))
        line = (model.upstream() | model.downstream()).resolve(loop.repository.asset_graph)
        assets = tuple(sorted(key.path[-1] for key in line))
    return ReportedHome(root, assets)


@pytest.fixture(scope="package")
def browser(chromium, home):
    """Chromium; asks for the home first, because Playwright keeps an event loop that Dagster must not meet."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def look(browser):
    """Open pages, and close them after the test."""
    visits = []

    def open_page(url: str, **size: int):
        visits.append(visit(browser, url, **size))
        return visits[-1]

    yield open_page
    for opened in visits:
        opened.page.close()
