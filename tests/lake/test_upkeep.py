"""Compaction and vacuum beside appends, readers and kills."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from mlops_assets.errors import OperationError
from mlops_assets.lake.tables import Lake
from mlops_assets.lake.upkeep import keep_up
from serving.journal.append import Journal
from serving.journal.ship import Shipper
from tests.conftest import DAY
from tests.serving.records import append_predictions, seal

LONG_AGO = time.time() - 100 * 86400


def rows(first: int, count: int = 3) -> pa.Table:
    return pa.table({"x": list(range(first, first + count))})


def appended(lake: Lake, commits: int) -> list[int]:
    for commit in range(commits):
        lake.append("tiny", "feedback", rows(3 * commit))
    return list(range(3 * commits))


def stored(lake: Lake, version: int | None = None) -> list[int]:
    return sorted(lake.read("tiny", "feedback", version)["x"])


def test_many_small_files_become_one_and_every_row_stays(lake):
    expected = appended(lake, 6)
    done = keep_up(lake, "tiny", "feedback", horizon=30 * DAY)
    assert (done.files_before, done.files_after, done.removed_files) == (6, 1, 0)
    assert done.bytes_after > done.bytes_before
    assert stored(lake) == expected


def test_every_version_within_the_horizon_stays_readable(lake):
    appended(lake, 4)
    keep_up(lake, "tiny", "feedback", horizon=DAY)
    assert stored(lake, 1) == list(range(6))
    assert stored(lake, 3) == list(range(12))


def test_after_the_horizon_only_pinned_versions_and_the_newest_stay(lake):
    for first in (0, 10, 20):
        lake.replace("tiny", "reference", rows(first))
    done = keep_up(lake, "tiny", "reference", horizon=timedelta(0), pinned=[0])
    assert done.removed_files == 1
    assert done.bytes_after < done.bytes_before
    assert lake.read("tiny", "reference", 0)["x"].tolist() == [0, 1, 2]
    assert lake.read("tiny", "reference")["x"].tolist() == [20, 21, 22]
    with pytest.raises(OperationError, match="parquet"):
        lake.read("tiny", "reference", 1)


def test_what_nobody_committed_is_removed_only_after_the_horizon(lake):
    appended(lake, 1)
    old, fresh = (lake.path("tiny", "feedback") / name for name in ("part-old.parquet", "part-fresh.parquet"))
    for stray in (old, fresh):
        stray.write_bytes(b"a killed writer left this")
    os.utime(old, (LONG_AGO, LONG_AGO))
    assert keep_up(lake, "tiny", "feedback", horizon=30 * DAY).removed_files == 1
    assert (old.exists(), fresh.exists()) == (False, True)


def test_a_table_that_needs_nothing_gets_no_new_version(lake):
    appended(lake, 3)
    keep_up(lake, "tiny", "feedback", horizon=DAY)
    version = lake.version("tiny", "feedback")
    keep_up(lake, "tiny", "feedback", horizon=DAY)
    assert lake.version("tiny", "feedback") == version
    assert keep_up(lake, "tiny", "source", horizon=DAY) is None


def test_a_reader_goes_on_with_the_files_it_has_opened(lake):
    expected = appended(lake, 5)
    opened = lake.dataset("tiny", "feedback")
    keep_up(lake, "tiny", "feedback", horizon=DAY)
    assert sorted(opened.to_table()["x"].to_pylist()) == expected


def test_a_shipper_beside_the_upkeep_ships_every_record_exactly_once(tmp_path):
    lake, journal = Lake(tmp_path / "lake"), Journal(tmp_path / "journals")
    shipper = Shipper(tmp_path / "journals", lake.root)
    ids: list[str] = []
    finished = threading.Event()

    def ship() -> None:
        for _ in range(25):
            ids.extend(append_predictions(journal, 3))
            seal(journal)
            shipper.ship()
        finished.set()

    thread = threading.Thread(target=ship)
    thread.start()
    rounds = 0
    while not finished.is_set():
        rounds += keep_up(lake, "toy", "predictions", horizon=DAY) is not None
    thread.join()
    journal.close()
    assert rounds > 1
    while shipper.ship().failed:
        pass
    done = keep_up(lake, "toy", "predictions", horizon=DAY)
    assert done.files_after == 1
    assert sorted(lake.read("toy", "predictions")["prediction_id"]) == sorted(ids)
    table = DeltaTable(str(lake.path("toy", "predictions")))
    assert table.transaction_version(f"toy/predictions:{journal.id}") == 25


KILLED = """
import sys
from datetime import timedelta
from pathlib import Path
from mlops_assets.lake.tables import Lake
from mlops_assets.lake.upkeep import keep_up
lake = Lake(Path(sys.argv[1]))
print("ready", flush=True)
keep_up(lake, "tiny", "feedback", horizon=timedelta(days=1))
"""


@pytest.mark.processes
@pytest.mark.parametrize("milliseconds", [2, 10, 25, 60])
def test_a_kill_at_any_moment_loses_nothing_and_the_next_run_finishes(lake, milliseconds):
    expected = appended(lake, 20)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(lake.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout.readline() == b"ready\n"
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGKILL)
    assert stored(lake) == expected
    assert keep_up(lake, "tiny", "feedback", horizon=DAY).files_after == 1
    assert stored(lake) == expected
