from dataclasses import replace

import pytest

from mlops_assets.core.snapshots import merge_snapshot, untouched_holdout
from mlops_assets.errors import InsufficientDataError
from tests.conftest import ANCHOR, DAY, make_tiny_spec, tiny_rows

SPEC = make_tiny_spec()
WHOLE = {"start": ANCHOR, "end": ANCHOR + DAY}


def rows(**options):
    return tiny_rows(24, start=ANCHOR, length=DAY, seed=1, **options)


def test_of_two_rows_on_one_entity_and_event_time_the_source_row_stays():
    merged = merge_snapshot(SPEC, rows().head(10), rows(shift=5.0), **WHOLE)
    assert merged["taken_from"].tolist() == ["source"] * 10 + ["prediction"] * 14
    assert merged["size"].tolist() == [*rows()["size"][:10], *rows(shift=5.0)["size"][10:]]


def test_logged_rows_from_before_a_required_feature_are_left_out():
    logged = rows().assign(size=[None] * 10 + [9.0] * 14)
    assert len(merge_snapshot(SPEC, rows().head(0), logged, **WHOLE)) == 14
    nullable = replace(SPEC, features=tuple(replace(feature, nullable=True) for feature in SPEC.features))
    assert len(merge_snapshot(nullable, rows().head(0), logged, **WHOLE)) == 24


def test_a_snapshot_is_half_open_in_time():
    merged = merge_snapshot(SPEC, rows(), rows().head(0), start=ANCHOR + DAY / 24, end=ANCHOR + DAY / 2)
    assert merged["entity_key"].tolist() == [f"1-{hour}" for hour in range(1, 12)]


@pytest.mark.parametrize("n_rows", [0, 24])
def test_a_time_without_rows_is_named(n_rows):
    with pytest.raises(InsufficientDataError, match="no row lies in the 8 days"):
        merge_snapshot(SPEC, rows().head(n_rows), rows().head(0), start=ANCHOR + DAY, end=ANCHOR + 2 * DAY)


def test_the_hold_out_is_later_than_what_either_model_was_tuned_on():
    frame = tiny_rows(48, start=ANCHOR, length=2 * DAY, seed=1)
    tuned_until = [ANCHOR + DAY / 2, ANCHOR + DAY * 1.5]
    holdout, prior = untouched_holdout(SPEC, frame, end=ANCHOR + 2 * DAY, tuned_until=tuned_until)
    assert holdout["event_time"].min() == ANCHOR + DAY * 1.5 + DAY / 24
    assert prior == (frame["outcome"][:24] == "yes").mean()
