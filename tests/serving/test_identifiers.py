"""Prediction ids, one by one and many at once."""

import uuid
from datetime import UTC, date, datetime

import pytest

from serving.identifiers import arrow_texts_of, new_ids, received_date_of, texts_of

SOME_TIME_US = 1_700_000_000_123_456


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_ids_are_version_7_uuids_of_their_millisecond(count: int):
    ids = new_ids(SOME_TIME_US, count)
    found = [uuid.UUID(bytes=ids[start : start + 16]) for start in range(0, len(ids), 16)]
    assert len(set(found)) == count
    assert {(each.version, each.variant, each.int >> 80) for each in found} == {
        (7, uuid.RFC_4122, SOME_TIME_US // 1000)
    }
    assert {received_date_of(each) for each in found} == {datetime.fromtimestamp(SOME_TIME_US / 1e6, UTC).date()}
    assert texts_of(ids) == arrow_texts_of(ids).to_pylist() == [str(each) for each in found]


def test_an_id_of_a_year_that_no_calendar_has_has_no_day():
    last = 253_402_300_799_999
    assert received_date_of(uuid.UUID(bytes=new_ids(last * 1000, 1))) == date(9999, 12, 31)
    assert received_date_of(uuid.UUID(bytes=new_ids((last + 1) * 1000, 1))) is None
    assert received_date_of(uuid.UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")) is None


def test_ids_drawn_one_by_one_never_repeat():
    assert len({new_ids(SOME_TIME_US, 1) for _ in range(5000)}) == 5000
