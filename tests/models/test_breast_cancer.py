import pandas as pd

from mlops_assets.core.drift import score_window
from mlops_assets.core.profile import build_profile, count
from mlops_assets.models import breast_cancer

SPEC = breast_cancer.spec
SOURCE = SPEC.source()


def verdicts(traffic: pd.DataFrame) -> list[tuple[str, tuple[str, ...]]]:
    fitted_on = SOURCE[SOURCE["event_time"] < breast_cancer.ANCHOR - breast_cancer.WEEK]
    profile = build_profile(fitted_on, SPEC.contract)
    weeks = (traffic["event_time"] - breast_cancer.ANCHOR) // breast_cancer.WEEK
    minimum = SPEC.windows.minimum_rows
    found = [
        score_window(profile, count(profile, traffic[weeks == week]), SPEC.drift, SPEC.features, minimum_rows=minimum)
        for week in range(weeks.max() + 1)
    ]
    return [(drift.verdict, drift.drifted_features) for drift in found]


def test_the_source_is_the_whole_data_set_in_the_four_weeks_before_the_anchor():
    assert len(SOURCE) == 569
    assert SOURCE["diagnosis"].value_counts().to_dict() == {"benign": 357, "malignant": 212}
    assert SOURCE["event_time"].min() == breast_cancer.ANCHOR - 4 * breast_cancer.WEEK
    assert SOURCE["event_time"].max() < breast_cancer.ANCHOR


def test_source_and_traffic_are_the_same_every_time():
    pd.testing.assert_frame_equal(SOURCE, SPEC.source())
    pd.testing.assert_frame_equal(breast_cancer.traffic(weeks=2), breast_cancer.traffic(weeks=2))


def test_traffic_drifts_from_the_third_week_on_in_the_features_that_the_module_names():
    found = verdicts(SPEC.traffic())
    assert [verdict for verdict, _ in found] == ["clean"] * 2 + ["drifted"] * 10
    assert {frozenset(names) for _, names in found[2:]} == {frozenset(breast_cancer.DRIFTING)}


def test_fifty_stable_weeks_never_drift():
    stable = breast_cancer.traffic(weeks=50, drifts_from_week=None)
    assert {verdict for verdict, _ in verdicts(stable)} == {"clean"}


def test_traffic_is_labeled_hours_later_and_unique():
    traffic = breast_cancer.traffic(weeks=3)
    assert ((traffic["observed_at"] - traffic["event_time"]) < SPEC.windows.label_horizon).all()
    assert not traffic.duplicated(["entity_key", "event_time"]).any()
