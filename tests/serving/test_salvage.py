"""What is good in a damaged segment reaches the lake after all, once."""

import shutil
from pathlib import Path

import pytest

from serving.errors import JournalError
from serving.journal.append import Journal
from serving.journal.salvage import salvage
from serving.journal.segment import read_records
from serving.journal.ship import Shipper
from tests.serving.harness import read_table
from tests.serving.records import append_predictions, only_journal, sealed


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    return tmp_path / "journals"


def ship(journals: Path) -> list[str]:
    """Ship until nothing is left; returns what is in the lake."""
    lake = journals.parent / "lake"
    for _ in range(2):
        Shipper(journals, lake).ship()
    table = read_table(lake / "toy" / "predictions")
    return [] if table is None else sorted(table["prediction_id"].to_pylist())


def place_of_record(content: bytes, number: int) -> int:
    """Where the payload of a record begins."""
    payloads = read_records(content).payloads
    return sum(8 + len(payload) for payload in payloads[:number]) + 8


def in_quarantine(journals: Path) -> Path:
    (kept,) = (journals / "quarantine").iterdir()
    return kept


def spoil(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(content)


@pytest.mark.parametrize("offset", [3, -6, -3], ids=["payload", "length", "checksum"])
def test_all_records_but_the_damaged_one_are_saved_from_a_sealed_segment(journals: Path, offset: int):
    journal = Journal(journals)
    ids = append_predictions(journal, 6)
    journal.close()
    segment = sealed(journals)[0].path
    spoil(segment, place_of_record(segment.read_bytes(), 3) + offset)  # record 0 is the contract
    assert ship(journals) == []
    kept = in_quarantine(journals)
    before = kept.read_bytes()
    saved = salvage(kept, journals)
    assert saved.rows == 5
    assert 0 < saved.lost_bytes < 400
    assert ship(journals) == sorted(ids[:2] + ids[3:])
    assert kept.read_bytes() == before
    assert not saved.journal.exists()


def test_what_a_dead_workers_journal_has_behind_the_damage_is_saved(journals: Path, tmp_path: Path):
    journal = Journal(tmp_path / "alive")
    ids = append_predictions(journal, 6)
    shutil.copytree(only_journal(tmp_path / "alive"), journals / journal.id)
    journal.close()
    (segment,) = (journals / journal.id).glob("*.open")
    spoil(segment, place_of_record(segment.read_bytes(), 3) + 3)
    assert ship(journals) == sorted(ids[:2])
    assert salvage(in_quarantine(journals), journals).rows == 3
    assert ship(journals) == sorted(ids[:2] + ids[3:])


def test_a_file_that_is_given_back_twice_arrives_once(journals: Path):
    journal = Journal(journals)
    append_predictions(journal, 3)
    journal.close()
    segment = sealed(journals)[0].path
    spoil(segment, place_of_record(segment.read_bytes(), 3) + 3)
    ship(journals)
    kept = in_quarantine(journals)
    salvage(kept, journals)
    with pytest.raises(JournalError, match="was given back already"):
        salvage(kept, journals)
    once = ship(journals)
    salvage(kept, journals)
    assert ship(journals) == once
    assert len(once) == 2


@pytest.mark.parametrize("content", [b"", b"nonsense" * 1000, bytes(5000)])
def test_a_file_without_a_good_record_is_refused(journals: Path, tmp_path: Path, content: bytes):
    journals.mkdir()
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(JournalError, match="no good record"):
        salvage(tmp_path / "file", journals)
    assert list(journals.iterdir()) == []
