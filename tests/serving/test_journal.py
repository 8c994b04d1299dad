"""What is written to a journal survives, and what is damaged in it is seen."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import JournalError
from serving.formats.record import FEEDBACK_SCHEMA, prediction_schema
from serving.journal.append import Journal
from serving.journal.decode import tables_of
from serving.journal.recover import adopt, remove_unborn
from serving.journal.segment import frame, read_records, segments_of
from tests.serving.records import append_predictions, feedback_record, only_journal, prediction_record, seal, sealed
from tests.serving.toy import CONTRACT

CONTENT = b"".join(frame(bytes([number]) * (1 + number * 7)) for number in range(12))
WHOLE = read_records(CONTENT).payloads


@contextmanager
def files_limited_to(n_bytes: int) -> Iterator[None]:
    """Writes beyond the limit fail half-way, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def ids_in(root: Path) -> list[str]:
    """All prediction ids of the sealed segments, in their order."""
    found = []
    for segment in sealed(root):
        records = read_records(segment.path.read_bytes())
        assert records.whole
        tables = tables_of(records.payloads, journal=segment.journal, segment=segment.number)
        found += [one for table in tables.get("toy/predictions", []) for one in table["prediction_id"].to_pylist()]
    return found


def test_a_file_cut_at_any_byte_gives_exactly_the_records_before_the_cut():
    ends = np.cumsum([len(frame(payload)) for payload in WHOLE])
    for cut in range(len(CONTENT)):
        records = read_records(CONTENT[:cut])
        n_whole = int(np.sum(ends <= cut))
        assert records.payloads == WHOLE[:n_whole]
        assert not records.damaged
        assert records.torn == (cut not in {0, *ends})


@given(st.integers(0, len(CONTENT) * 8 - 1))
def test_a_flipped_bit_is_never_read_as_a_record(bit: int):
    content = bytearray(CONTENT)
    content[bit // 8] ^= 1 << bit % 8
    records = read_records(bytes(content))
    assert not records.whole
    assert records.payloads == WHOLE[: len(records.payloads)]


def test_a_segment_reads_back_as_what_was_appended(tmp_path: Path):
    journal = Journal(tmp_path)
    ids = append_predictions(journal, 5)
    batch, batch_ids = prediction_record(3, request_id="r")
    journal.append(batch, CONTRACT, rows=3)
    label, labeled = feedback_record()
    journal.append(label, rows=1)
    journal.close()
    (segment,) = sealed(tmp_path)
    tables = tables_of(read_records(segment.path.read_bytes()).payloads, journal=segment.journal, segment=1)
    (predictions,), (feedback,) = tables["toy/predictions"], tables["toy/feedback"]
    assert predictions.schema == prediction_schema(CONTRACT)
    assert feedback.schema == FEEDBACK_SCHEMA
    assert predictions["prediction_id"].to_pylist() == ids + batch_ids
    assert predictions["row"].to_pylist() == [0] * 5 + [0, 1, 2]
    assert predictions["request_id"].to_pylist() == [None] * 5 + ["r"] * 3
    assert predictions["label"].to_pylist()[5:] == ["on_time", "late", "late"]
    assert predictions["origin"].to_pylist() == [None] * 8
    sequences = predictions["sequence"].to_pylist() + feedback["sequence"].to_pylist()
    assert sequences == [(1 << 32) + place for place in range(9)]
    assert feedback["prediction_id"].to_pylist() == [labeled]


def test_a_row_with_another_number_of_texts_than_its_contract_has_is_unreadable(tmp_path: Path):
    journal = Journal(tmp_path)
    record, _ = prediction_record()
    record.prediction.texts.append("more")
    journal.append(record, CONTRACT, rows=1)
    journal.close()
    (segment,) = sealed(tmp_path)
    with pytest.raises(ValueError, match="a row with 3 texts, its contract has 2"):
        tables_of(read_records(segment.path.read_bytes()).payloads, journal=segment.journal, segment=1)


def test_records_keep_their_order_over_segments_and_each_segment_can_be_read_alone(tmp_path: Path):
    journal = Journal(tmp_path)
    ids = []
    for _ in range(3):
        ids += append_predictions(journal, 4)
        seal(journal)
    assert len(sealed(tmp_path)) == 3
    assert ids_in(tmp_path) == ids


def test_an_idle_journal_seals_what_it_has_and_makes_no_empty_segments(tmp_path: Path):
    journal = Journal(tmp_path, seal_seconds=0)
    append_predictions(journal, 1)
    for _ in range(5):
        journal.tick()
    assert [segment.number for segment in sealed(tmp_path)] == [1]


def test_the_journal_of_a_living_worker_is_not_adopted(tmp_path: Path):
    journal = Journal(tmp_path)
    append_predictions(journal, 1)
    assert not adopt(only_journal(tmp_path))
    assert not sealed(tmp_path)
    journal.close()


def dead_journal(root: Path) -> tuple[Path, list[str]]:
    """Leave a journal as a killed worker does: an open segment and a lock that nobody holds."""
    journal = Journal(root / "alive")
    ids = append_predictions(journal, 6)
    folder = root / "dead" / journal.id
    shutil.copytree(root / "alive" / journal.id, folder)
    journal.close()
    return folder, ids


def test_a_dead_workers_torn_tail_is_cut_wherever_it_is_torn_and_the_rest_is_sealed(tmp_path: Path):
    folder, ids = dead_journal(tmp_path)
    (segment,) = segments_of(folder)
    content = segment.path.read_bytes()
    ends = np.cumsum([len(frame(payload)) for payload in read_records(content).payloads])
    contract_end = ends[0]
    for cut in range(0, len(content), 3):
        root = tmp_path / str(cut)
        shutil.copytree(folder, root / folder.name)
        (root / folder.name / segment.path.name).write_bytes(content[:cut])
        assert adopt(root / folder.name)
        n_rows = int(np.sum(ends[1:] <= cut))
        assert ids_in(root) == ids[:n_rows]
        assert [found.rows for found in sealed(root)] == ([n_rows] if cut >= contract_end else [])
        assert not (root / "quarantine").exists()


def test_a_dead_workers_damaged_segment_keeps_what_stands_before_the_damage_and_sets_the_rest_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder, ids = dead_journal(tmp_path)
    (segment,) = segments_of(folder)
    content = bytearray(segment.path.read_bytes())
    content[-200] ^= 1
    segment.path.write_bytes(content)
    assert adopt(folder)
    (rest,) = (tmp_path / "dead" / "quarantine").iterdir()
    kept = sealed(tmp_path / "dead")[0].path.read_bytes()
    assert rest.read_bytes().endswith(content[len(kept) :])
    assert ids_in(tmp_path / "dead") == ids[:4]
    assert "NOT in the lake" in caplog.text


def test_zeros_behind_the_last_record_are_the_end_of_a_file_that_lost_power(tmp_path: Path):
    folder, ids = dead_journal(tmp_path)
    (segment,) = segments_of(folder)
    segment.path.write_bytes(segment.path.read_bytes() + bytes(5000))
    assert adopt(folder)
    assert ids_in(tmp_path / "dead") == ids
    assert not (tmp_path / "dead" / "quarantine").exists()


def test_a_dead_workers_record_that_is_no_record_goes_into_quarantine(tmp_path: Path):
    folder, _ = dead_journal(tmp_path)
    (segment,) = segments_of(folder)
    segment.path.write_bytes(segment.path.read_bytes() + frame(b"\xff\xff"))
    assert adopt(folder)
    assert not sealed(tmp_path / "dead")
    assert len(list((tmp_path / "dead" / "quarantine").iterdir())) == 1


def test_an_empty_dead_journal_is_removed(tmp_path: Path):
    Journal(tmp_path).close()
    folder = only_journal(tmp_path)
    assert adopt(folder)
    assert not folder.exists()
    remove_unborn(tmp_path)


def test_a_full_disk_refuses_the_record_keeps_the_earlier_ones_and_recovers(tmp_path: Path):
    journal = Journal(tmp_path)
    ids = append_predictions(journal, 3)
    open_segment = segments_of(only_journal(tmp_path))[0].path
    for extra in (0, 5, 50):
        with files_limited_to(open_segment.stat().st_size + extra):
            with pytest.raises(JournalError, match="^the journal can not be written: File too large$"):
                append_predictions(journal, 1)
            journal.tick()
            assert journal.trouble == "the journal has no room"
    journal.tick()
    assert journal.writable
    ids += append_predictions(journal, 3)
    journal.close()
    assert ids_in(tmp_path) == ids


def test_a_journal_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path):
    (tmp_path / "journals").touch()
    with pytest.raises(JournalError, match="journals can not be written"):
        Journal(tmp_path / "journals")


def test_a_journal_whose_file_was_removed_takes_nothing_more(tmp_path: Path):
    journal = Journal(tmp_path)
    shutil.rmtree(only_journal(tmp_path))
    journal.tick()
    assert journal.lost
    with pytest.raises(JournalError, match="^the journal is lost: its file was removed$"):
        append_predictions(journal, 1)
    journal.close()


def test_a_journal_that_is_removed_before_its_end_is_lost_and_says_so(tmp_path: Path):
    journal = Journal(tmp_path)
    append_predictions(journal, 1)
    shutil.rmtree(only_journal(tmp_path))
    journal.close()
    assert journal.lost


def test_a_closed_journal_takes_nothing_more(tmp_path: Path):
    journal = Journal(tmp_path)
    journal.close()
    with pytest.raises(JournalError, match="^the journal is closed$"):
        append_predictions(journal, 1)
