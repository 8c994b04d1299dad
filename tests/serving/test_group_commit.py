"""With group durability an append returns when the disk has the record; one sync serves all who wait."""

import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from serving.errors import JournalError
from serving.journal.append import Journal
from serving.journal.group_commit import GroupCommit
from serving.journal.segment import read_records
from tests.serving.records import append_predictions, prediction_record, seal, sealed
from tests.serving.toy import CONTRACT


class Disk:
    """Remembers what a loss of power would leave: each file as it was at its syncs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.synced: list[bytes] = []
        self._real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self._sync)

    def _sync(self, handle: int) -> None:
        content = Path(f"/proc/self/fd/{handle}").read_bytes()
        self._real(handle)
        self.synced.append(content)

    def holds(self, payload: bytes) -> bool:
        return any(payload in read_records(content).payloads for content in reversed(self.synced))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def test_what_is_appended_is_on_the_disk_when_append_returns(tmp_path: Path, disk: Disk):
    journal = Journal(tmp_path, durability="group")
    for _ in range(5):
        record, _ = prediction_record()
        journal.append(record, CONTRACT, rows=1)
        assert disk.holds(record.SerializeToString())
        seal(journal)
    journal.close()


def test_many_at_once_share_syncs_also_while_segments_are_sealed(tmp_path: Path, disk: Disk):
    journal = Journal(tmp_path, durability="group", seal_seconds=0)
    stopping = threading.Event()

    def append(_: int) -> None:
        record, _ = prediction_record()
        journal.append(record, CONTRACT, rows=1)
        assert disk.holds(record.SerializeToString())

    def tick() -> None:
        while not stopping.wait(0.002):
            journal.tick()

    with ThreadPoolExecutor(17) as pool:
        ticking = pool.submit(tick)
        appends = [pool.submit(append, place) for place in range(400)]
        wait(appends)
        stopping.set()
        for one in (ticking, *appends):
            one.result()
    journal.close()
    assert sum(segment.rows for segment in sealed(tmp_path)) == 400
    assert len(disk.synced) - len(sealed(tmp_path)) < 300


def test_by_default_nothing_is_synced(tmp_path: Path, disk: Disk):
    journal = Journal(tmp_path)
    append_predictions(journal, 3)
    seal(journal)
    journal.close()
    assert not disk.synced


@pytest.mark.parametrize(("call", "code"), [("fdatasync", errno.EIO), ("dup", errno.EMFILE)])
def test_a_sync_that_fails_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int):
    journal = Journal(tmp_path, durability="group")
    append_predictions(journal, 1)

    def fail(_: int) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        with pytest.raises(JournalError, match=f"is lost: {os.strerror(code)}"):
            append_predictions(journal, 1)
    assert journal.lost
    with pytest.raises(JournalError, match="is lost"):
        append_predictions(journal, 1)
    journal.close()


def test_a_disk_that_fails_the_sync_of_a_seal_loses_the_journal_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    journal = Journal(tmp_path, durability="group")
    append_predictions(journal, 1)

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    seal(journal)
    assert journal.lost
    assert not sealed(tmp_path)
    journal.close()


def test_those_who_come_during_a_sync_share_the_next_one():
    entered, leave = threading.Event(), threading.Event()
    covered, syncs = [1], []

    def sync() -> int:
        covers = covered[0]
        syncs.append(covers)
        entered.set()
        leave.wait(5)
        return covers

    group = GroupCommit(sync)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(group.wait, 1)
        entered.wait(5)
        covered[0] = 8
        others = [pool.submit(group.wait, place) for place in range(2, 9)]
        time.sleep(0.05)
        leave.set()
        for waiting in (first, *others):
            waiting.result(5)
    assert syncs == [1, 8]


def test_a_sync_that_fails_fails_everybody_who_waits():
    def sync() -> int:
        raise JournalError("no disk")

    group = GroupCommit(sync)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(group.wait, place) for place in range(1, 5)]
        assert [str(one.exception(5)) for one in waiting] == ["no disk"] * 4
