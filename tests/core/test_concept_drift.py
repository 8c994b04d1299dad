import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from mlops_assets.core import concept_drift

START = datetime(2024, 1, 1, tzinfo=UTC)


def detect_concept_drift(errors, times, minimum_rows=200):
    return concept_drift.detect_concept_drift(errors, times, minimum_rows=minimum_rows)


def stream(*parts: tuple[int, float], seed: int = 0):
    generator = np.random.default_rng(seed)
    errors = np.concatenate([generator.random(n_rows) < rate for n_rows, rate in parts])
    return errors, [START + timedelta(minutes=place) for place in range(len(errors))]


def test_a_stable_error_rate_is_no_drift():
    n_alarms = sum(len(detect_concept_drift(*stream((5000, 0.1), seed=seed)).changes) for seed in range(20))
    assert n_alarms == 0


def test_a_doubled_error_rate_is_found_where_it_began():
    found = detect_concept_drift(*stream((3000, 0.1), (3000, 0.2)))
    (change,) = found.changes
    assert abs(change.since - (START + timedelta(minutes=3000))) < timedelta(minutes=300)
    assert change.since < change.seen_at < START + timedelta(minutes=4500)
    assert change.error_before == pytest.approx(0.1, abs=0.02)
    assert change.error_after == pytest.approx(0.2, abs=0.02)


def test_every_change_is_told_once_in_order_better_ones_too():
    found = detect_concept_drift(*stream((3000, 0.1), (3000, 0.3), (3000, 0.05)))
    assert [round(change.error_after, 2) for change in found.changes] == pytest.approx([0.3, 0.05], abs=0.02)
    assert [change.seen_at for change in found.changes] == sorted(change.seen_at for change in found.changes)
    assert found.to_dict()["n_changes"] == 2
    assert found.to_dict()["error_before"] == pytest.approx(0.3, abs=0.03)


def test_the_same_errors_replayed_say_the_same():
    rows = stream((2000, 0.1), (2000, 0.3))
    assert detect_concept_drift(*rows) == detect_concept_drift(*rows)


@pytest.mark.parametrize("errors", [[], [True], [False] * 500, [True] * 500])
def test_few_or_constant_errors_are_no_drift_and_json(errors):
    found = detect_concept_drift(np.array(errors, dtype=bool), stream((len(errors), 0.0))[1] if errors else [])
    assert found.changes == ()
    assert not found.to_dict()["detected"]
    json.dumps(found.to_dict(), allow_nan=False)
    since = " since 2024-01-01 00:00" if errors else ""
    assert str(found) == f"no change of the error rate in {len(errors)} labeled rows{since}"
    assert found.to_dict()["begins_at"] == (START.isoformat() if errors else None)


def test_what_was_found_is_said_in_a_sentence():
    found = detect_concept_drift(*stream((3000, 0.0), (3000, 1.0)))
    assert str(found).startswith("error rate changed from 0.0000 to 1.0000 since 2024-01-03 02:00, seen at 2024-01-03")
    assert str(found).endswith(", in 6000 labeled rows since 2024-01-01 00:00")
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_burst_of_errors_shorter_than_a_rate_must_hold_is_passed_over():
    rows = stream((3000, 0.1), (150, 0.6), (3000, 0.1))
    assert detect_concept_drift(*rows, minimum_rows=1000).changes == ()
    assert len(detect_concept_drift(*rows, minimum_rows=50).changes) == 2
