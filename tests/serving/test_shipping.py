"""Every sealed segment reaches the lake exactly once, whatever happens in between."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from serving.formats.contract import Contract, NumberFeature
from serving.journal import commit, ship
from serving.journal.append import Journal
from serving.journal.segment import frame
from serving.journal.ship import Shipper
from tests.serving.harness import read_table
from tests.serving.records import append_predictions, feedback_record, only_journal, seal, sealed
from tests.serving.toy import CONTRACT

WIDER = replace(CONTRACT, numbers=(*CONTRACT.numbers, NumberFeature("wind")))


class House:
    """A journal, a lake and the shipper between them."""

    def __init__(self, root: Path) -> None:
        self.journals, self.lake = root / "journals", root / "lake"
        self.journal = Journal(self.journals)
        self.shipper = Shipper(self.journals, self.lake)

    def sealed_predictions(self, count: int = 3, contract: Contract = CONTRACT) -> list[str]:
        ids = append_predictions(self.journal, count, contract=contract)
        seal(self.journal)
        return ids

    def shipped(self, table: str = "predictions") -> list[str]:
        found = read_table(self.lake / "toy" / table)
        return [] if found is None else sorted(found["prediction_id"].to_pylist())


@pytest.fixture
def house(tmp_path: Path):
    made = House(tmp_path)
    yield made
    made.journal.close()


def test_sealed_segments_arrive_and_are_removed_only_then(house: House):
    ids = house.sealed_predictions()
    label, labeled = feedback_record()
    house.journal.append(label, rows=1)
    seal(house.journal)
    shipment = house.shipper.ship()
    assert (shipment.segments, shipment.rows, shipment.failed) == (2, 4, 0)
    assert (house.shipped(), house.shipped("feedback")) == (sorted(ids), [labeled])
    assert not sealed(house.journals)
    assert house.shipper.ship().rows == 0


def test_many_journals_go_into_one_commit_with_a_transaction_each(house: House):
    other = Journal(house.journals)
    ids = house.sealed_predictions() + append_predictions(other, 2)
    seal(other)
    house.shipper.ship()
    table = DeltaTable(str(house.lake / "toy" / "predictions"))
    assert table.version() == 1
    assert table.transaction_version(f"toy/predictions:{house.journal.id}") == 1
    assert table.transaction_version(f"toy/predictions:{other.id}") == 1
    assert house.shipped() == sorted(ids)
    other.close()


def test_a_shipper_killed_between_commit_and_removal_does_not_ship_again(house: House, tmp_path: Path):
    ids = house.sealed_predictions()
    shutil.copytree(only_journal(house.journals), tmp_path / "before")
    house.shipper.ship()
    for segment in (tmp_path / "before").glob("*.seg"):
        shutil.copy(segment, only_journal(house.journals))
    more = house.sealed_predictions()
    shipment = Shipper(house.journals, house.lake).ship()
    assert (shipment.segments, shipment.rows) == (2, 3)
    assert house.shipped() == sorted(ids + more)


def test_a_second_shipper_that_read_the_same_segments_makes_no_duplicate(house: House, monkeypatch: pytest.MonkeyPatch):
    ids = house.sealed_predictions()
    house.shipper.ship()
    more = house.sealed_predictions()
    real, races = commit.write_deltalake, []

    def after_the_rival(*args, **options):
        if not races:
            races.append(1)
            # The rival ships the same segment after this one has checked the table.
            assert Shipper(house.journals, house.lake).ship().rows == 3
        return real(*args, **options)

    monkeypatch.setattr(commit, "write_deltalake", after_the_rival)
    assert house.shipper.ship().rows == 0
    assert races
    assert house.shipped() == sorted(ids + more)


def test_a_table_that_changes_all_the_time_is_tried_again_in_the_next_round(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    ids = house.sealed_predictions()

    def always_late(*_, **__):
        raise CommitFailedError("somebody else was first")

    with monkeypatch.context() as busy:
        busy.setattr(commit, "write_deltalake", always_late)
        assert house.shipper.ship().failed == 1
    assert house.shipper.ship().rows == 3
    assert house.shipped() == sorted(ids)


def test_a_lake_that_is_away_keeps_the_segments_and_gets_them_later(house: House, caplog: pytest.LogCaptureFixture):
    house.lake.write_text("in the way")
    ids = house.sealed_predictions()
    assert house.shipper.ship().failed == 1
    assert len(sealed(house.journals)) == 1
    assert "can not be written" in caplog.text
    house.lake.unlink()
    assert house.shipper.ship().rows == 3
    assert house.shipped() == sorted(ids)


def test_one_table_that_fails_does_not_hold_up_the_others_and_they_are_not_written_twice(house: House):
    blocked = house.lake / "toy" / "feedback"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    ids = append_predictions(house.journal, 2)
    label, labeled = feedback_record()
    house.journal.append(label, rows=1)
    seal(house.journal)
    for _ in range(3):
        assert house.shipper.ship().failed == 1
    assert house.shipped() == sorted(ids)
    blocked.unlink()
    assert house.shipper.ship().failed == 0
    assert (house.shipped(), house.shipped("feedback")) == (sorted(ids), [labeled])


def test_a_damaged_segment_goes_into_quarantine_and_the_others_arrive(house: House, caplog: pytest.LogCaptureFixture):
    before = house.sealed_predictions()
    house.sealed_predictions()
    after = house.sealed_predictions()
    damaged = sealed(house.journals)[1].path
    content = bytearray(damaged.read_bytes())
    content[200] ^= 1
    damaged.write_bytes(content)
    house.shipper.ship()
    assert house.shipped() == sorted(before + after)
    (kept,) = (house.journals / "quarantine").iterdir()
    assert kept.read_bytes() == content
    assert "NOT in the lake" in caplog.text


def test_a_sealed_segment_that_ends_early_is_damaged_too(house: House):
    house.sealed_predictions()
    segment = sealed(house.journals)[0].path
    segment.write_bytes(segment.read_bytes()[:-3])
    assert house.shipper.ship().rows == 0
    assert len(list((house.journals / "quarantine").iterdir())) == 1


def test_a_sealed_segment_with_a_record_that_is_no_record_does_not_stop_the_others(house: House):
    house.sealed_predictions()
    segment = sealed(house.journals)[0].path
    segment.write_bytes(segment.read_bytes() + frame(b"\xff\xff"))
    ids = house.sealed_predictions()
    shipment = house.shipper.ship()
    assert (shipment.rows, shipment.failed) == (3, 0)
    assert house.shipped() == sorted(ids)
    assert len(list((house.journals / "quarantine").iterdir())) == 1


def test_a_segment_that_cannot_be_read_holds_up_its_own_journal_only(house: House):
    ids = house.sealed_predictions()
    segment = sealed(house.journals)[0].path
    away = house.lake.parent / "away"
    segment.rename(away)
    segment.mkdir()
    ids += house.sealed_predictions()
    other = Journal(house.journals)
    others = append_predictions(other, 2)
    other.close()
    shipment = house.shipper.ship()
    assert (shipment.rows, shipment.failed) == (2, 1)
    segment.rmdir()
    away.rename(segment)
    assert house.shipper.ship().rows == 6
    assert house.shipped() == sorted(ids + others)


def test_a_broken_table_holds_up_no_other_however_much_waits_for_it(house: House, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ship, "_BATCH_BYTES", 1)
    blocked = house.lake / "toy" / "feedback"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    labeled, ids = [], []
    for _ in range(3):
        label, one = feedback_record()
        house.journal.append(label, rows=1)
        labeled.append(one)
        ids += house.sealed_predictions(2)
    assert house.shipper.ship().failed == 3
    assert house.shipped() == sorted(ids)
    ids += house.sealed_predictions(2)
    assert (house.shipper.ship().failed, house.shipped()) == (3, sorted(ids))
    blocked.unlink()
    assert house.shipper.ship().failed == 0
    assert (house.shipped(), house.shipped("feedback")) == (sorted(ids), sorted(labeled))
    assert not sealed(house.journals)


def test_a_table_that_heals_in_the_middle_of_a_round_gets_its_segments_in_their_order(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ship, "_BATCH_BYTES", 1)
    ids = [one for _ in range(3) for one in house.sealed_predictions()]
    real, calls = commit.write_deltalake, []

    def away_once(*args, **options):
        calls.append(1)
        if len(calls) == 1:
            raise OSError("away")
        return real(*args, **options)

    monkeypatch.setattr(commit, "write_deltalake", away_once)
    assert house.shipper.ship().failed == 3
    assert house.shipper.ship().rows == 9
    assert house.shipped() == sorted(ids)


def test_numbers_that_start_again_on_a_replaced_disk_are_not_taken_for_old_ones(house: House):
    ids = [one for _ in range(3) for one in house.sealed_predictions()]
    house.shipper.ship()
    shutil.rmtree(house.journals)
    replacement = Journal(house.journals)
    ids += append_predictions(replacement, 2)
    replacement.close()
    assert house.shipper.ship().rows == 2
    assert house.shipped() == sorted(ids)


@pytest.mark.parametrize("step_seconds", [-86_400 * 365, 86_400 * 365])
def test_a_clock_that_steps_loses_and_doubles_nothing(house: House, monkeypatch: pytest.MonkeyPatch, step_seconds: int):
    ids = house.sealed_predictions()
    house.shipper.ship()
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() + step_seconds)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + step_seconds * 10**9)
    ids += house.sealed_predictions()
    house.shipper.ship()
    ids += house.sealed_predictions()
    assert house.shipper.ship().rows == 3
    assert house.shipped() == sorted(ids)
    sequences = read_table(house.lake / "toy" / "predictions")
    by_order = sequences.sort_by("sequence")["prediction_id"].to_pylist()
    assert by_order == ids


def test_with_group_durability_segments_are_removed_only_after_the_lake_is_synced(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    left = []
    monkeypatch.setattr("os.sync", lambda: left.append(len(sealed(house.journals))))
    shipper = Shipper(house.journals, house.lake, durability="group")
    house.sealed_predictions()
    assert shipper.ship().segments == 1
    assert shipper.ship().segments == 0
    assert (left, sealed(house.journals)) == ([1], [])


def test_a_contract_with_more_features_widens_the_table(house: House):
    house.sealed_predictions(2)
    house.shipper.ship()
    append_predictions(house.journal, 1)
    house.sealed_predictions(2, contract=WIDER)
    house.shipper.ship()
    table = read_table(house.lake / "toy" / "predictions")
    assert sorted(table["wind"].to_pylist(), key=str) == [1.5, 1.5, None, None, None]
    assert house.shipper.ship().failed == 0


def test_the_journal_of_a_dead_worker_is_shipped_and_removed(house: House):
    ids = append_predictions(house.journal, 4)
    dead = house.journals / "dead"
    shutil.copytree(only_journal(house.journals), dead)
    house.shipper.ship()
    house.shipper.ship()
    assert not dead.exists()
    assert house.shipped() == sorted(ids)


def test_a_table_is_read_from_its_log_once_and_then_kept_up_to_date(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog
):
    ids = house.sealed_predictions()
    house.shipper.ship()
    opened = []
    monkeypatch.setattr(commit, "DeltaTable", opened.append)
    for _ in range(3):
        ids += house.sealed_predictions()
        house.shipper.ship()
    monkeypatch.undo()
    assert opened == []
    DeltaTable(str(house.lake / "toy" / "predictions")).optimize.compact()
    ids += house.sealed_predictions()
    house.shipper.ship()
    assert house.shipped() == sorted(ids)
    assert "changed while it was written" not in caplog.text


def test_a_table_that_another_has_replaced_is_not_taken_for_the_one_that_was_open(house: House, tmp_path: Path):
    for _ in range(3):
        house.sealed_predictions()
        house.shipper.ship()
    shutil.rmtree(house.lake)
    other = House(tmp_path / "other")
    other.shipper = Shipper(other.journals, house.lake)
    others = other.sealed_predictions()
    other.shipper.ship()
    ids = house.sealed_predictions()
    house.shipper.ship()
    assert house.shipped() == sorted(others + ids)
    assert DeltaTable(str(house.lake / "toy" / "predictions")).version() == 2
    other.journal.close()
