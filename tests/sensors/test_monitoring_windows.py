from datetime import timedelta

from mlops_assets.core.windows import Window
from mlops_assets.lake.metrics import store_report
from mlops_assets.lake.queries import label_counts
from mlops_assets.resources.lake import LakeResource
from sensors.monitoring_windows import due_reports
from tests.conftest import ANCHOR, DAY
from tests.lake_rows import log_labels, log_predictions


def test_a_window_that_the_training_history_has_half_left_is_not_reported_again(lake, tiny_spec):
    times = [ANCHOR + timedelta(hours=hour) for hour in range(24)]
    rows = [
        {"prediction_id": str(hour), "event_time": time, "size": 10.0, "color": "red"}
        for hour, time in enumerate(times)
    ]
    log_predictions(lake, tiny_spec, rows)
    labels = [{"prediction_id": str(hour), "label": "yes", "observed_at": time} for hour, time in enumerate(times)]
    log_labels(lake, tiny_spec, labels)
    digest = label_counts(lake, tiny_spec, start=ANCHOR)[ANCHOR].digest
    for table, summary in (("drift_metrics", {}), ("performance_metrics", {"label_digest": digest})):
        window = Window(ANCHOR, ANCHOR + DAY)
        store_report(lake, "tiny", table, window=window, model_version="1", generation=1, summary=summary, rows=[])
    half_left = ANCHOR + DAY / 2 + tiny_spec.training.history
    assert due_reports(tiny_spec, LakeResource(root=str(lake.root)), half_left) == []
