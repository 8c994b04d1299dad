"""The report pages as somebody sees them, on a desk and on a phone."""

import pytest

from mlops_assets.reports.html import demo_html, demo_pictures, performance_html, write_html
from tests.browser.looking import DESKTOP, PHONE
from tests.browser.states import STATES, write_state
from tests.reports.conftest import summary  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.browser, pytest.mark.processes]
CLEAN, DRIFTED, FEW = (f"2024-01-0{day}T000000Z.html" for day in (1, 2, 3))


def assert_readable(visit, *, n_images):
    """Check what holds for every page."""
    assert visit.complaints == []
    assert visit.requests_beyond("file://") == []
    assert visit.overflow() == 0
    assert visit.texts_hard_to_read() == []
    images = visit.images()
    assert len(images) == n_images
    assert [image for image in images if min(image["width"], image["height"]) < 80 or image["colors"] < 10] == []


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize(
    ("page", "said", "n_images"),
    [
        (f"drift-{CLEAN}", "No drift: none of the 2 features that count has drifted", 2),
        (f"drift-{DRIFTED}", "Drifted: size has drifted, 1 of 2 features that count; one is enough.", 2),
        (f"drift-{FEW}", "Not judged: 20 rows, and 200 are needed.", 2),
        (f"performance-{CLEAN}", "100000 are needed to judge it", 3),
        ("latest.html", "Drift, 2024-01-03 to 2024-01-04: insufficient data.", 2),
    ],
)
def test_the_page_of_a_window_can_be_read(home, look, page, said, n_images, width):
    visit = look((home.reports / page).as_uri(), width=width)
    assert said in visit.page.inner_text("main")
    assert_readable(visit, n_images=n_images)


@pytest.mark.parametrize("state", STATES)
def test_the_drift_page_can_be_read_in_every_state(tmp_path, look, state):
    page = write_state(state, tmp_path).as_uri()
    for width in (DESKTOP, PHONE):
        visit = look(page, width=width)
        assert STATES[state] in visit.page.inner_text("main")
        assert_readable(visit, n_images=2)


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_the_intervals_of_many_slices_can_be_read(tmp_path, look, width):
    names = ("accuracy", "auc", "f1", "log_loss", "calibration_error")
    metrics = {f"{name}{end}": 0.1234 for name in names for end in ("", "_low", "_high")}
    rows = [{"feature": "a" * 40, "value": str(n), "n_rows": 10**n, "metrics": metrics} for n in range(9)]
    about = {"model": "m", "start": "2024-01-01", "end": "2024-01-02", "model_versions": ["1"], "verdict": "holds"}
    page = performance_html(**about, n_rows=9, n_labels=9, metrics=[], slices=rows)
    visit = look(write_html(tmp_path / "page.html", page).as_uri(), width=width)
    assert visit.page.locator(".interval").count() == len(names) * len(rows)
    assert_readable(visit, n_images=0)


def test_the_demos_page_can_be_read(tmp_path, look, summary):  # noqa: F811  (a fixture)
    psi = (["2013-01-29", "2013-02-05"], ["pressure"], [[0.3, 0.1]])
    page = write_html(tmp_path / "report.html", demo_html(summary, demo_pictures(summary, psi=psi)))
    for width in (DESKTOP, PHONE):
        visit = look(page.as_uri(), width=width)
        assert "The loop beside doing nothing" in visit.page.inner_text("main")
        assert_readable(visit, n_images=3)


def test_the_overview_leads_to_every_report_and_each_leads_back(home, look):
    pages = sorted(path.name for path in home.reports.glob("*-2024-*.html"))
    overview = look((home.reports / "latest.html").as_uri())
    links = overview.page.locator("table a")
    assert sorted(links.nth(place).get_attribute("href") for place in range(links.count())) == pages
    for name in pages:
        overview.page.click(f'a[href="{name}"]')
        assert overview.page.url.endswith(name)
        overview.page.click("nav a")
        assert overview.page.url.endswith("latest.html")
    assert overview.complaints == []


def test_a_wide_table_is_scrolled_inside_its_frame_while_the_features_name_stays(home, look):
    page = look((home.reports / f"drift-{DRIFTED}").as_uri(), width=PHONE).page
    frame, name = page.locator(".scroll").first, page.locator("tbody th").first
    frame.evaluate("frame => { frame.scrollLeft = frame.scrollWidth }")
    assert frame.evaluate("frame => frame.scrollLeft") > 0
    assert name.bounding_box()["x"] == pytest.approx(frame.bounding_box()["x"], abs=2)
