import pandas as pd
import pyarrow as pa
import pytest

from mlops_assets.core.windows import Window
from mlops_assets.errors import InsufficientDataError, OperationError
from mlops_assets.lake.metrics import history_of, latest_summaries, store_report
from mlops_assets.lake.tables import content_hash
from tests.conftest import ANCHOR, DAY


def test_replacing_a_table_keeps_its_older_versions_readable(lake):
    first = lake.replace("tiny", "reference", pa.table({"x": [1, 2]}))
    second = lake.replace("tiny", "reference", pa.table({"x": [3.5], "y": ["new"]}))
    assert lake.read("tiny", "reference", first)["x"].tolist() == [1, 2]
    assert lake.read("tiny", "reference", second).to_dict("list") == {"x": [3.5], "y": ["new"]}
    assert lake.version("tiny", "reference") == second


def test_a_table_that_nobody_wrote_is_named(lake):
    assert lake.version("tiny", "source") is None
    with pytest.raises(InsufficientDataError, match="tiny.*'source'"):
        lake.read("tiny", "source")


def test_the_content_hash_ignores_the_order_of_rows_and_columns():
    frame = pd.DataFrame({"a": [1.0, 2.0, None], "b": ["x", None, "z"]})
    shuffled = frame.iloc[[2, 0, 1]][["b", "a"]].reset_index(drop=True)
    assert content_hash(frame) == content_hash(shuffled)
    assert content_hash(frame) != content_hash(frame.assign(a=[1.0, 2.5, None]))
    assert content_hash(frame) != content_hash(pd.concat([frame, frame.head(1)]))


def report(lake, window, value, **summary):
    rows = [{"subject": "size", "method": "psi", "value": value, "p_value": None, "flag": False}]
    store_report(
        lake, "tiny", "drift_metrics", window=window, model_version="1", generation=1, summary=summary, rows=rows
    )


def test_of_several_reports_on_a_window_the_newest_counts(lake):
    first, second = Window(ANCHOR, ANCHOR + DAY), Window(ANCHOR + DAY, ANCHOR + 2 * DAY)
    report(lake, second, 0.2, verdict="clean")
    report(lake, first, 0.1, verdict="drifted")
    report(lake, first, 0.3, verdict="clean")
    summaries = latest_summaries(lake, "tiny", "drift_metrics")
    assert [(row["window_start"], row["verdict"]) for row in summaries] == [(ANCHOR, "clean"), (ANCHOR + DAY, "clean")]
    assert history_of(lake, "tiny", "drift_metrics", "psi")["size"].tolist() == [0.3, 0.2]
    assert latest_summaries(lake, "other", "drift_metrics") == []


@pytest.mark.parametrize("damaged", ["*.parquet", "_delta_log/*.json"])
def test_a_damaged_table_is_named_with_the_mend(lake, damaged):
    report(lake, Window(ANCHOR, ANCHOR + DAY), 0.1, verdict="clean")
    (file,) = lake.path("tiny", "drift_metrics").glob(damaged)
    file.write_bytes(b"nonsense")
    with pytest.raises(OperationError, match="^the table .*/tiny/drift_metrics can not be read .*; restore it"):
        latest_summaries(lake, "tiny", "drift_metrics")
