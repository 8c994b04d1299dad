import re
from html.parser import HTMLParser
from typing import Any

import pytest

from mlops_assets.reports.html import (
    FeatureRow,
    MetricRow,
    Picture,
    demo_html,
    demo_pictures,
    drift_html,
    performance_html,
    write_html,
)
from tests.reports.conftest import HOSTILE, window

VOID = {"meta", "img", "br", "link", "input", "hr"}
PICTURE = Picture(png=b"\x89PNG", alt='"><script>', title=HOSTILE, caption=HOSTILE)


class _Checker(HTMLParser):
    """Collects the text, and fails on tags that do not match or load something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_of(page: str) -> str:
    """Check what holds for every page, and return its text on one line."""
    checker = _Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    names = {tag for tag, _ in checker.tags}
    assert not names & {"script", "link", "iframe", "object", "form", "base"}
    for tag, attributes in checker.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert tag != "img" or (attributes["src"] or "").startswith("data:image/png;base64,")
        assert tag != "img" or attributes["alt"]
        assert tag != "th" or attributes["scope"] in {"col", "row", "colgroup"}
    assert not re.search(r"https?://|url\(|@import|src=\"(?!data:)", page)
    assert "<script" not in page.lower()
    assert "prefers-color-scheme: dark" in page
    assert "position: sticky" in page
    return " ".join(" ".join(checker.texts).split())


def feature_row(number: int) -> FeatureRow:
    return {
        "name": f"feature_{number}",
        "kind": "number",
        "ks_statistic": 0.1,
        "p_value": 1e-9,
        "population_stability_index": number / 100,
        "jensen_shannon_distance": 0.05,
        "votes": 3,
        "drifted": number > 90,
        "seasonal": True,
        "reference_missing_share": 0.76,
        "current_missing_share": 0.6,
    }


def drift_page(**changed: Any) -> str:
    values: dict[str, Any] = {
        "model": "flight_delay",
        "start": "2013-02-12T00:00:00+00:00",
        "end": "2013-02-19T00:00:00+00:00",
        "model_version": "1",
        "verdict": "drifted",
        "n_rows": 6411,
        "features": [feature_row(1), feature_row(99)],
        "thresholds": {"votes": 2, "ks_p_value": 0.05},
        "facts": {"generation": 3},
        "pictures": [PICTURE],
    }
    return drift_html(**values | changed)


def performance_page(**changed: Any) -> str:
    metric: MetricRow = {"name": "log_loss", "value": 0.2812, "low": 0.27, "high": 0.29, "constant": 0.5494}
    values: dict[str, Any] = {
        "model": "flight_delay",
        "start": "2013-02-12T00:00:00+00:00",
        "end": "2013-02-19T00:00:00+00:00",
        "model_versions": ["1", "2"],
        "verdict": "holds",
        "n_rows": 6400,
        "n_labels": 3200,
        "metrics": [metric],
        "reason": "Accuracy holds.",
        "pictures": [PICTURE],
    }
    return performance_html(**values | changed)


def test_the_demo_page_says_what_a_reader_must_know(summary):
    text = text_of(demo_html(summary, demo_pictures(summary)))
    assert "acts like a three-weekly schedule" in text
    assert "5.0 % lower than the frozen first model's and 49.8 % lower than the constant predictor's" in text
    assert "✓ 63,480 = 63,480 acknowledged · 0 duplicates" in text
    assert "31.4 s from trigger to first answer" in text
    assert "0.2751 0.2650 to 0.2853" in text
    assert "replayed in 7 min 11 s" in text


def test_the_demo_page_does_not_flatter_a_loop_that_lost(summary):
    summary["totals"]["loop"]["log_loss"] = 0.6
    summary |= {"failed_calls": 3, "logged_predictions": 63479, "duplicate_predictions": 1}
    text = text_of(demo_html(summary))
    assert "106.5 % higher than the frozen first model's" in text
    assert "✗ 3" in text
    assert "✗ 63,479 ≠ 63,480 acknowledged · 1 duplicate" in text
    assert "! 0.6000" in text


def test_a_model_other_than_the_flights_has_its_own_remarks(summary):
    summary["model"] = "breast_cancer"
    assert "three-weekly" not in text_of(demo_html(summary))
    assert "Drift is injected." in text_of(demo_html(summary, remarks="Drift is injected."))


def test_every_value_of_a_summary_may_be_missing(summary):
    empty = dict.fromkeys(summary)
    assert "No window has closed." in text_of(demo_html(empty, demo_pictures(empty)))
    text_of(demo_html({}, demo_pictures({})))


def test_every_value_of_a_window_and_a_retraining_may_be_missing(summary):
    for value in (None, float("nan")):
        summary["windows"] = [dict.fromkeys(window(0), value), *summary["windows"]]
        summary["retrainings"] = [dict.fromkeys(summary["retrainings"][0], value)]
        summary["totals"] = {"loop": {"log_loss": value}, "frozen": None}
        text_of(demo_html(summary, demo_pictures(summary)))


@pytest.mark.parametrize("n_windows", [0, 1, 60])
def test_the_demo_page_takes_any_number_of_windows(summary, n_windows):
    summary["windows"] = [window(number) for number in range(n_windows)]
    psi = ([str(number) for number in range(n_windows)], ["a"], [[0.1] * n_windows])
    page = demo_html(summary, demo_pictures(summary, psi=psi))
    text_of(page)
    assert page.count('<tr><th scope="row">2013-') == n_windows


def test_hostile_values_are_escaped_on_the_demo_page(summary):
    hostile_window = dict.fromkeys(window(0), HOSTILE) | {"drifted_features": [HOSTILE]}
    summary |= {"model": HOSTILE, "calls": HOSTILE, "wall_seconds": HOSTILE, "failed_calls": HOSTILE}
    summary["windows"] = [hostile_window]
    summary["retrainings"] = [
        dict.fromkeys(summary["retrainings"][0], HOSTILE),
        {"evidence": {HOSTILE: {HOSTILE: [HOSTILE]}, "champion": {HOSTILE: 0.1, "log_loss": HOSTILE}}},
        {"evidence": [HOSTILE]},
    ]
    page = demo_html(summary, [PICTURE, *demo_pictures(summary)])
    text_of(page)
    assert page.count("&lt;script&gt;") > 20


def test_hostile_values_are_escaped_on_the_pages_of_a_window():
    facts = {HOSTILE: HOSTILE}
    features = [dict.fromkeys(feature_row(0), HOSTILE)]
    text_of(drift_page(model=HOSTILE, verdict=HOSTILE, model_version=HOSTILE, facts=facts, thresholds=facts))
    text_of(drift_page(features=features, start=HOSTILE, end=HOSTILE))
    metrics = [dict.fromkeys(("name", "value", "low", "high", "constant"), HOSTILE)]
    text_of(performance_page(model=HOSTILE, reason=HOSTILE, model_versions=[HOSTILE], metrics=metrics, facts=facts))


def test_the_drift_page_lists_drifted_features_first():
    text = text_of(drift_page(features=[feature_row(number) for number in range(100)]))
    assert text.index("feature_99 number drifted") < text.index("feature_91 number drifted")
    assert text.index("feature_91 number drifted") < text.index("feature_90 number stable")
    assert "! 9 of 100 features · feature_99, feature_98, feature_97, feature_96 …" in text


def test_a_window_page_takes_missing_values():
    nothing = dict.fromkeys(feature_row(0))
    text_of(drift_page(features=[nothing, {}], model_version=None, n_rows=None, verdict="insufficient_data"))
    assert "No feature has been measured" in text_of(drift_page(features=[], pictures=[], facts={}, thresholds={}))
    empty = {"n_rows": 0, "n_labels": 0, "metrics": [], "model_versions": [], "verdict": "insufficient_data"}
    assert "No prediction of this window has a label yet." in text_of(performance_page(**empty))
    text_of(performance_page(metrics=[{}, {"name": "auc", "value": float("nan")}], n_labels=None))


def test_the_performance_page_shows_only_comparisons_that_exist():
    text = text_of(performance_page())
    assert "Constant log loss 0.2812 0.2700 to 0.2900 0.5494" in text
    assert "At promotion" not in text
    assert "At promotion Constant log loss" in text_of(
        performance_page(metrics=[{"name": "log_loss", "value": 0.3, "baseline": 0.2, "constant": 0.5}])
    )
    assert "50.0 % of 6,400 predictions" in text


def test_writing_replaces_the_page_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "reports" / "drift.html"
    write_html(path, "old")
    assert write_html(path, "new \udc80 ü") == path
    assert path.read_text(encoding="utf-8") == "new ? ü"
    assert [entry.name for entry in path.parent.iterdir()] == ["drift.html"]


def test_a_page_that_can_not_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "page.html"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_html(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


def test_the_performance_page_has_a_table_of_slices_only_where_there_are_some():
    row = {"feature": "carrier", "value": HOSTILE, "n_rows": 1234, "accuracy": 0.9, "low": 0.88, "high": 0.92}
    text = text_of(performance_page(slices=[{**row, "constant": 0.76, "auc": None}]))
    assert "1,234 0.9000 0.8800 to 0.9200 0.7600" in text
    assert "Calibration error" not in text_of(performance_page())
