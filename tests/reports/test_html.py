import re
from html.parser import HTMLParser
from typing import Any

import pytest

from mlops_assets.core.drift import WindowDrift, judge
from mlops_assets.core.feature_drift import FeatureDrift
from mlops_assets.reports.html import (
    DriftLine,
    MetricRow,
    PerformanceLine,
    Picture,
    WindowLine,
    demo_html,
    demo_pictures,
    drift_html,
    drift_in_words,
    overview_html,
    performance_html,
    write_html,
)
from mlops_assets.spec import DriftPolicy
from tests.conftest import ANCHOR, DAY
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
    assert "position: sticky" in page
    return " ".join(" ".join(checker.texts).split())


def feature_drift(number: int, **changed: Any) -> FeatureDrift:
    """A feature with a distance of `number` hundredths; over 10 of them it has drifted."""
    values: dict[str, Any] = {
        "name": f"feature_{number}",
        "kind": "number",
        "ks_statistic": 0.1,
        "adjusted_p_value": 1e-9 if number > 10 else 0.4,
        "population_stability_index": number / 50,
        "jensen_shannon_distance": number / 100,
        "missing_share_reference": 0.76,
        "missing_share_current": 0.6,
    }
    return FeatureDrift(**values | changed)


def window_drift(*features: FeatureDrift, policy: DriftPolicy = DriftPolicy(), **changed: Any) -> WindowDrift:  # noqa: B008  (frozen)
    return judge(WindowDrift("clean", 6411, features, (), **changed), policy)


def drift_page(drift: WindowDrift | None = None, **changed: Any) -> str:
    values: dict[str, Any] = {
        "model": "flight_delay",
        "start": "2013-02-12T00:00:00+00:00",
        "end": "2013-02-19T00:00:00+00:00",
        "model_version": "1",
        "drift": window_drift(feature_drift(1), feature_drift(99)) if drift is None else drift,
        "policy": DriftPolicy(),
        "minimum_rows": 1000,
        "facts": {"generation": 3},
        "pictures": [PICTURE],
    }
    return drift_html(**values | changed)


def said(drift: WindowDrift, policy: DriftPolicy = DriftPolicy(), *, minimum_rows: int = 1000) -> str:  # noqa: B008  (frozen)
    return drift_in_words(drift, policy, minimum_rows=minimum_rows)


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
    hostile = window_drift(feature_drift(50, name=HOSTILE), score=feature_drift(90, name=HOSTILE))
    text_of(drift_page(hostile, model=HOSTILE, model_version=HOSTILE, facts=facts, start=HOSTILE, end=HOSTILE))
    metrics = [dict.fromkeys(("name", "value", "low", "high", "constant"), HOSTILE)]
    text_of(performance_page(model=HOSTILE, reason=HOSTILE, model_versions=[HOSTILE], metrics=metrics, facts=facts))
    text_of(overview_html(model=HOSTILE, windows=[window_line(0, name=HOSTILE)], pictures=[PICTURE]))


def test_the_drift_page_ranks_drifted_features_first_and_then_by_distance():
    text = text_of(drift_page(window_drift(*(feature_drift(number) for number in range(19)))))
    assert "1 feature_18 number drifted 3" in text
    assert "8 feature_11 number drifted 3" in text
    assert "9 feature_10 number stable 0" in text
    assert "19 feature_0 number stable 0" in text


def test_a_feature_that_shrinks_in_distance_but_drifts_by_rule_stands_before_a_stronger_one_that_does_not():
    weak = feature_drift(5, name="weak", population_stability_index=0.3, adjusted_p_value=0.0)
    strong = feature_drift(9, name="strong")
    assert [feature.name for feature in window_drift(strong, weak).ranked] == ["weak", "strong"]


def test_a_drifted_window_says_which_features_and_what_is_enough():
    many = [feature_drift(number) for number in (11, 12, 13, 14, 15, 16, 17, 18, 1)]
    assert said(window_drift(*many[-2:])) == (
        "Drifted: feature_18 has drifted, 1 of 2 features that count; one is enough."
    )
    share = DriftPolicy(drifted_share=0.5)
    assert said(window_drift(*many, policy=share), share) == (
        "Drifted: feature_18, feature_17, feature_16, feature_15, feature_14, feature_13 and 2 more have drifted, "
        "8 of 9 features that count; more than 50.0 % are enough."
    )


def test_a_clean_window_names_its_largest_change_or_the_share_that_it_stays_under():
    assert said(window_drift(feature_drift(1), feature_drift(4))) == (
        "No drift: none of the 2 features that count has drifted; the largest change is that of feature_4 "
        "(Jensen-Shannon distance 0.0400)."
    )
    share = DriftPolicy(drifted_share=0.5)
    few = window_drift(feature_drift(1), feature_drift(40), policy=share)
    assert said(few, share) == (
        "No drift of the window: feature_40 has drifted, 1 of 2 features that count; it takes more than 50.0 %."
    )
    assert said(window_drift(feature_drift(1, counted=False))) == "Not judged: no feature counts."


def test_what_is_not_counted_and_the_models_answers_are_told_apart():
    aside = feature_drift(40, name="season", counted=False, seasonal=True)
    answers = {"score": feature_drift(30, name="score"), "label": feature_drift(2, name="label")}
    assert said(window_drift(feature_drift(1), aside, **answers)).endswith(
        "(Jensen-Shannon distance 0.0100). season has changed as well and does not count. "
        "The model's own answers have changed: score."
    )
    text = text_of(drift_page(window_drift(feature_drift(1), aside, **answers)))
    assert "score drifted, never counted" in text
    assert "seasonal, not counted" in text
    stable = {name: feature_drift(2, name=name) for name in ("score", "label")}
    assert said(window_drift(feature_drift(1), **stable)).endswith("The model's own answers have not drifted.")


def test_a_window_that_is_not_judged_says_what_is_missing():
    few = WindowDrift("insufficient_data", 1, (feature_drift(99),), ())
    assert said(few, minimum_rows=200) == "Not judged: 1 row, and 200 are needed."
    assert said(few, minimum_rows=1) == "Not judged: the reference has no rows."
    assert "Verdict insufficient data" in text_of(drift_page(few))


def test_the_rule_stands_under_the_table_and_bold_marks_what_it_found():
    page = drift_page()
    assert "with 2 of 3 votes: adjusted p under 0.05, PSI over 0.2, Jensen-Shannon distance over 0.1" in text_of(page)
    assert page.count(' over">') == 3
    calibrated = drift_page(policy=DriftPolicy(rule="calibrated"))
    assert "adjusted p is under 0.01 and its effect is large enough: Kolmogorov-Smirnov over 0.05" in text_of(
        calibrated
    )


def test_a_window_page_takes_missing_values():
    nothing = FeatureDrift(name="", kind="category")
    text_of(drift_page(window_drift(nothing, score=nothing), model_version=None, start=None, end=None))
    assert "No feature has been measured" in text_of(drift_page(window_drift(), pictures=[], facts={}))
    empty = {"n_rows": 0, "n_labels": 0, "metrics": [], "model_versions": [], "verdict": "insufficient_data"}
    assert "No prediction of this window has a label yet." in text_of(performance_page(**empty))
    text_of(performance_page(metrics=[{}, {"name": "auc", "value": float("nan")}], n_labels=None))


def window_line(number: int, *, name: str = "size", performance: bool = True) -> WindowLine:
    start = ANCHOR + number * DAY
    drift = DriftLine(
        verdict="drifted" if number else "clean",
        n_rows=300 + number,
        model_version="1",
        drifted=[name] if number else [],
        page=f"drift-{number}.html",
    )
    measured = PerformanceLine(
        verdict="holds", reason=name, n_labels=250, versions=["1", name], accuracy=0.9, constant=0.7
    )
    return WindowLine(start=start, end=start + DAY, drift=drift, performance=measured if performance else None)


def test_the_overview_says_the_newest_verdicts_and_links_every_report_that_exists():
    page = overview_html(model="tiny", windows=[window_line(0), window_line(1), window_line(2, performance=False)])
    text = text_of(page)
    assert "3 windows · 2024-01-01 to 2024-01-04, end excluded" in text
    assert "Drift , 2024-01-03 to 2024-01-04: drifted, by size." in text
    assert "Performance , 2024-01-02 to 2024-01-03: holds; size." in text
    assert "2 of 3 with a report" in text.replace("Drifted windows 2 of", "2 of")
    assert re.findall(r'href="([^"]*)"', page) == ["drift-2.html", "drift-1.html", "drift-0.html"]


def test_every_page_of_a_window_leads_back_to_the_overview(summary):
    for page in (drift_page(), performance_page()):
        assert 'href="latest.html"' in page
    assert "href" not in demo_html(summary)


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
    measured = {"accuracy": 0.9, "accuracy_low": 0.88, "accuracy_high": 0.92, "constant_accuracy": 0.76}
    measured |= {"f1": 0.5, "f1_low": 0.41, "f1_high": 0.6}
    row = {"feature": "carrier", "value": HOSTILE, "n_rows": 1234, "metrics": measured}
    text = text_of(performance_page(slices=[row]))
    assert "1,234 0.9000 0.880 to 0.920 0.7600 – 0.5000 0.410 to 0.600 – –" in text
    assert "Calibration error" not in text_of(performance_page())
