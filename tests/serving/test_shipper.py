"""The shipper as a process: alone on its journals, patient with a lake that is away."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serving.journal.append import Journal
from tests.serving.harness import ROOT, eventually, read_table
from tests.serving.records import append_predictions, seal, sealed


class RunningShipper:
    def __init__(self, home: Path, log: Path) -> None:
        self._log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "serving.shipper"],
                cwd=ROOT,
                env={**os.environ, "MLOPS_HOME": str(home), "SERVING_SHIP_SECONDS": "0.1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=output,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def end(self) -> int:
        """Let go of it, as the supervisor does."""
        self.process.stdin.close()
        return self.process.wait(60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self.process.stdin.close()


@pytest.fixture
def new_shipper(tmp_path: Path) -> Iterator[Callable[[], RunningShipper]]:
    started: list[RunningShipper] = []

    def start() -> RunningShipper:
        started.append(RunningShipper(tmp_path, tmp_path / f"shipper-{len(started)}.log"))
        return started[-1]

    yield start
    for shipper in started:
        shipper.kill()


def shipped(home: Path) -> list[str]:
    table = read_table(home / "lake" / "toy" / "predictions")
    return [] if table is None else table["prediction_id"].to_pylist()


def test_of_two_shippers_one_works_and_the_other_takes_over(tmp_path: Path, new_shipper: Callable[[], RunningShipper]):
    journal = Journal(tmp_path / "journals")
    ids = append_predictions(journal, 3)
    seal(journal)
    first = new_shipper()
    eventually(lambda: sorted(shipped(tmp_path)) == sorted(ids), seconds=60, what="the first shipment")
    second = new_shipper()
    eventually(lambda: "another shipper works" in second.log, seconds=60, what="the second's wait")
    first.kill()
    ids += append_predictions(journal, 3)
    seal(journal)
    eventually(lambda: sorted(shipped(tmp_path)) == sorted(ids), seconds=60, what="the second's shipment")
    assert second.log.count("another shipper works") == 1
    journal.close()
    assert second.end() == 0


def test_a_lake_that_is_away_is_asked_ever_more_rarely_and_gets_everything(
    tmp_path: Path, new_shipper: Callable[[], RunningShipper]
):
    journal = Journal(tmp_path / "journals")
    ids = append_predictions(journal, 3)
    journal.close()
    (tmp_path / "lake").write_text("in the way")
    shipper = new_shipper()
    eventually(lambda: "can not be written" in shipper.log, seconds=60, what="the first complaint")
    time.sleep(3)
    assert 1 < shipper.log.count("can not be written") <= 6  # after pauses of 0.2, 0.4, 0.8 and 1.6 s
    assert len(sealed(tmp_path / "journals")) == 1
    (tmp_path / "lake").unlink()
    assert shipper.end() == 0
    assert sorted(shipped(tmp_path)) == sorted(ids)
