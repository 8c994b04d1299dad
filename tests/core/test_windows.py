from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.windows import (
    SEASON_CYCLES,
    Window,
    last_boundary,
    season_windows,
    snapshot_end,
    window_of_key,
    windows_closed,
)
from mlops_assets.spec import WindowPolicy

ANCHOR = datetime(2013, 1, 1, 5, tzinfo=UTC)
WEEK = timedelta(weeks=1)
POLICY = WindowPolicy(length=WEEK, anchor=ANCHOR, label_horizon=timedelta(hours=36))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_a_time_lies_in_the_window_that_its_boundary_opens(time):
    start = last_boundary(time, POLICY)
    assert start <= time < start + WEEK
    assert (start - ANCHOR) % WEEK == timedelta(0)


def test_a_window_comes_back_from_its_key():
    window = Window(ANCHOR, ANCHOR + WEEK)
    assert window.key == "2013-01-01T05:00:00Z"
    assert window_of_key(window.key, POLICY) == window


def test_windows_close_at_their_end_and_not_before():
    opened = ANCHOR + timedelta(days=2)
    second = ANCHOR + 2 * WEEK
    assert list(windows_closed(opened, second - timedelta(microseconds=1), POLICY)) == [Window(ANCHOR, ANCHOR + WEEK)]
    assert [window.end for window in windows_closed(opened, second, POLICY)] == [ANCHOR + WEEK, second]


def test_a_snapshot_ends_with_the_source_until_a_window_of_predictions_has_its_labels():
    source_end = ANCHOR + 4 * WEEK
    horizon = POLICY.label_horizon
    assert snapshot_end(source_end, None, POLICY) == source_end
    assert snapshot_end(source_end, source_end + timedelta(days=3), POLICY) == source_end
    complete = source_end + WEEK + horizon
    assert snapshot_end(source_end, complete - timedelta(seconds=1), POLICY) == source_end
    assert snapshot_end(source_end, complete, POLICY) == source_end + WEEK


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = Window(ANCHOR + 12 * HOUR, ANCHOR + 13 * HOUR)


def test_the_windows_of_a_phase_are_whole_cycles_earlier_and_the_newest_first():
    found = list(season_windows(NOON, DAY, since=ANCHOR - 3 * DAY, until=ANCHOR))
    assert found == [Window(NOON.start - n * DAY, NOON.end - n * DAY) for n in (1, 2, 3)]


def test_windows_of_a_phase_start_no_later_than_they_may_and_are_bounded():
    found = list(season_windows(NOON, DAY, since=ANCHOR - 999 * DAY, until=ANCHOR - 5 * DAY))
    assert len(found) == SEASON_CYCLES
    assert found[0].start == NOON.start - 6 * DAY
    later = list(season_windows(NOON, DAY, since=ANCHOR - 999 * DAY, until=ANCHOR + 99 * DAY))
    assert later[0].start == NOON.start - DAY


def test_without_history_there_is_no_window_of_the_phase():
    assert list(season_windows(NOON, timedelta(days=364), since=ANCHOR - 300 * DAY, until=ANCHOR)) == []
