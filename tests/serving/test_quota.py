"""Journals are bounded and their disk may fill: calls are refused meanwhile, and nothing is lost."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from serving.client import Client
from serving.errors import CallError, ContractError, JournalError
from serving.journal.append import Journal
from serving.journal.backlog import Quota, backlog_of
from serving.journal.ship import Shipper
from tests.serving.harness import RunningServer, eventually, read_table
from tests.serving.records import append_predictions, only_journal, seal, sealed
from tests.serving.toy import MODEL, ROW, promote

MIB = 1024 * 1024


@pytest.fixture
def new_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Make file systems of some MiB."""
    disks: list[Path] = []

    def make(mebibytes: int) -> Path:
        folder = tmp_path / f"disk{len(disks)}"
        folder.mkdir()
        try:
            mounted = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)],
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            pytest.skip("mount is not installed")
        if mounted.returncode:
            pytest.skip("this user can not mount; the same is tested with a file size limit in test_journal.py")
        disks.append(folder)
        return folder

    yield make
    for disk in disks:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def until_refused(predict: Callable[[], list[str]]) -> tuple[list[str], str]:
    """Predict until the journal takes nothing more; returns the ids and the refusal."""
    ids: list[str] = []
    while len(ids) < 200_000:
        try:
            ids += predict()
        except JournalError as error:
            return ids, str(error)
    pytest.fail("the journal took everything")


def test_the_backlog_counts_rows_bytes_age_and_what_is_quarantined(tmp_path: Path):
    assert backlog_of(tmp_path / "nowhere").n_bytes == 0
    journal = Journal(tmp_path)
    append_predictions(journal, 3)
    assert backlog_of(tmp_path).rows == 0
    seal(journal)
    append_predictions(journal, 1)
    backlog = backlog_of(tmp_path)
    assert backlog.rows == 3
    assert backlog.n_bytes == sum(path.stat().st_size for path in only_journal(tmp_path).iterdir())
    assert 0 <= backlog.age_seconds < 60
    segment = sealed(tmp_path)[0].path
    segment.write_bytes(segment.read_bytes()[:-1])
    Shipper(tmp_path, tmp_path / "lake").ship()
    backlog = backlog_of(tmp_path)
    assert (backlog.rows, backlog.quarantined_segments) == (0, 1)
    assert backlog.quarantined_bytes > 0
    journal.close()


def test_over_the_quota_nothing_is_taken_until_the_lake_has_taken_some(tmp_path: Path):
    journal = Journal(tmp_path / "journals")
    quota = Quota(tmp_path / "journals", maximum_bytes=1000)
    ids = append_predictions(journal, 20)
    quota.enforce()
    journal.tick()
    assert not journal.writable
    with pytest.raises(JournalError, match="^the journals are over their quota$"):
        append_predictions(journal, 1)
    seal(journal)
    Shipper(tmp_path / "journals", tmp_path / "lake").ship()
    quota.enforce()
    journal.tick()
    assert journal.writable
    ids += append_predictions(journal, 1)
    journal.close()
    Shipper(tmp_path / "journals", tmp_path / "lake").ship()
    assert sorted(read_table(tmp_path / "lake" / "toy" / "predictions")["prediction_id"].to_pylist()) == sorted(ids)


def test_quarantined_segments_count_towards_the_quota(tmp_path: Path):
    journal = Journal(tmp_path)
    quota = Quota(tmp_path, maximum_bytes=1000)
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "segment").write_bytes(bytes(1001))
    quota.enforce()
    journal.tick()
    assert not journal.writable
    (tmp_path / "quarantine" / "segment").unlink()
    quota.enforce()
    journal.tick()
    assert journal.writable
    journal.close()


def test_a_really_full_disk_keeps_what_was_acknowledged_and_the_shipper_makes_room_on_it(
    new_disk: Callable[[int], Path], tmp_path: Path
):
    small_disk = new_disk(1)
    journal = Journal(small_disk)
    shipper = Shipper(small_disk, tmp_path / "lake")
    acknowledged = []
    for _ in range(2):
        found, refusal = until_refused(lambda: append_predictions(journal, 1))
        assert "No space left on device" in refusal
        acknowledged += found
        journal.tick()
        assert not journal.writable
        seal(journal)
        assert shipper.ship().failed == 0
        eventually(lambda: journal.tick() or journal.writable, what="room")
    journal.close()
    shipper.ship()
    shipped = read_table(tmp_path / "lake" / "toy" / "predictions")["prediction_id"].to_pylist()
    assert set(acknowledged) <= set(shipped)
    assert len(shipped) == len(set(shipped))


def fill(server: RunningServer) -> list[str]:
    """Predict until the journals take nothing more; returns what was acknowledged."""
    columns = {"distance": [1.0] * 500, "hour": [1] * 500, "carrier": ["aa"] * 500, "origin": ["x" * 50] * 500}
    with server.client(retry_seconds=0) as client:
        return until_refused(lambda: [answer.prediction_id for answer in client.predict_batch(MODEL, columns)])[0]


def assert_it_heals_with_the_lake(server: RunningServer, acknowledged: list[str]) -> None:
    with server.client() as client:
        eventually(lambda: not client.health(MODEL), what="not ready")
        eventually(lambda: server.http("/readyz")[0] == 503, what="not ready over HTTP")
        assert server.http("/livez")[0] == 200
        (server.home / "lake").unlink()
        assert client.wait_until_healthy(MODEL, seconds=30)
        acknowledged.append(client.predict(MODEL, ROW).prediction_id)
    assert server.terminate() == 0
    shipped = server.shipped()
    assert set(acknowledged) <= set(shipped)
    assert len(shipped) == len(set(shipped))


def test_a_lake_that_is_away_for_long_stops_answers_at_the_quota_and_heals_by_itself(
    new_server: Callable[..., RunningServer],
):
    server = new_server(seal_seconds=0.1, ship_seconds=0.1, journal_quota_bytes=2 * MIB)
    promote(server.store, 1)
    server.start()
    (server.home / "lake").write_text("in the way")
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
    acknowledged = fill(server)
    backlog = f"journal_backlog_rows {float(len(acknowledged))}"
    eventually(lambda: backlog in server.http("/metrics")[1], what="the backlog of the last segment")
    assert_it_heals_with_the_lake(server, acknowledged)


def test_a_server_on_a_really_full_disk_heals_when_the_lake_takes_its_rows(
    new_server: Callable[..., RunningServer], new_disk: Callable[[int], Path]
):
    server = new_server(seal_seconds=0.1, ship_seconds=0.1, journals=new_disk(1))
    promote(server.store, 1)
    server.start()
    (server.home / "lake").write_text("in the way")
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
    assert_it_heals_with_the_lake(server, fill(server))


def fill_disk(disk: Path) -> Path:
    """Leave no room on a disk; returns the file that takes it."""
    ballast = disk / "ballast"
    with suppress(OSError):  # somebody else took the last of it
        ballast.write_bytes(bytes(shutil.disk_usage(disk).free))
    assert shutil.disk_usage(disk).free == 0
    return ballast


def test_a_home_on_a_really_full_disk_ends_no_worker_and_heals_with_room(
    new_server: Callable[..., RunningServer], new_disk: Callable[[int], Path]
):
    disk = new_disk(20)
    server = new_server(str(disk / "home"), workers=2, seal_seconds=0.1, ship_seconds=0.1)
    promote(server.store, 1)
    server.start()
    workers = {worker.pid for worker in server.children("worker")}
    with server.client(retry_seconds=0) as client:
        assert client.wait_until_healthy(MODEL)
        ballast = fill_disk(disk)
        acknowledged, _ = until_refused(lambda: [client.predict(MODEL, ROW).prediction_id])
        for place in range(20):  # what was never counted before takes room in the metrics
            with pytest.raises((ContractError, JournalError)):
                client.predict(MODEL, ROW | ({"carrier": "zz"} if place % 2 else {"hour": -1}))
        eventually(lambda: server.metric("model_predictions_total", status="UNAVAILABLE") > 0, what="counted refusals")
        assert server.http("/livez")[0] == 200
        assert {worker.pid for worker in server.children("worker")} == workers
        for worker in server.children("worker"):
            worker.kill()
        eventually(lambda: len(server.children("worker")) == 2, what="new workers")
        eventually(lambda: is_refused(client), what="an answer that there is no room")
        ballast.unlink()
        assert client.wait_until_healthy(MODEL, seconds=30)
        acknowledged.append(client.predict(MODEL, ROW).prediction_id)
    assert server.terminate() == 0
    shipped = server.shipped()
    assert set(acknowledged) <= set(shipped)
    assert len(shipped) == len(set(shipped))


def is_refused(client: Client) -> bool:
    try:
        client.predict(MODEL, ROW)
    except JournalError:
        return True
    except CallError:  # the worker is not there yet
        return False
    pytest.fail("a full disk took a prediction")


def test_a_server_does_not_start_without_room_for_its_metrics(
    new_server: Callable[..., RunningServer], new_disk: Callable[[int], Path]
):
    disk = new_disk(2)
    server = new_server(str(disk / "home"))
    promote(server.store, 1)
    server.start(wait=False)
    assert server.process.wait(30) == 2, server.log
    assert "No space left on device; make room on its disk, or set MLOPS_HOME" in server.log
    assert "Traceback" not in server.log
