import json

import numpy as np
import pytest

from mlops_assets.core.promotion import decide_promotion
from mlops_assets.spec import GatePolicy

GENERATOR = np.random.default_rng(3)
LABELS = (GENERATOR.random(1000) < 0.4).astype(int)


def right_in(n_right: int, sure: float = 0.9) -> np.ndarray:
    """Scores that answer the first n rows rightly and the others wrongly."""
    hit = np.arange(len(LABELS)) < n_right
    return np.where((LABELS == 1) == hit, sure, 1 - sure)


def decide(challenger, champion, *, labels=LABELS, policy=GatePolicy(), prior=0.4, **options):  # noqa: B008
    return decide_promotion(
        challenger=challenger,
        champion=champion,
        labels=labels,
        policy=policy,
        prior=prior,
        threshold=0.5,
        **options,
    )


@pytest.mark.parametrize(("n_right", "verdict"), [(904, "refuse"), (905, "promote"), (906, "promote"), (900, "refuse")])
def test_half_a_point_of_accuracy_is_needed_and_enough(n_right, verdict):
    assert decide(right_in(n_right), right_in(900)).verdict == verdict


def test_the_margin_is_inclusive_for_every_number_of_rows():
    for n_rows in range(200, 1000, 200):
        labels, needed = LABELS[:n_rows], n_rows // 200
        champion, challenger = right_in(n_rows // 2)[:n_rows], right_in(n_rows // 2 + needed)[:n_rows]
        assert decide(challenger, champion, labels=labels).verdict == "promote", n_rows


def test_log_loss_must_fall_by_a_share_of_the_champions():
    policy = GatePolicy(metric="log_loss", margin=0.01, unit="relative")
    champion = right_in(900, 0.97)
    better, hardly = right_in(900, 0.95), right_in(900, 0.9699)
    assert decide(better, champion, policy=policy).verdict == "promote"
    assert decide(hardly, champion, policy=policy).verdict == "refuse"
    assert decide(right_in(900, 0.99), champion, policy=policy).verdict == "refuse"


def test_auc_can_be_the_metric():
    policy = GatePolicy(metric="auc", margin=0.01)
    noise = GENERATOR.random(1000)
    assert decide(0.5 * LABELS + 0.5 * noise, noise, policy=policy).verdict == "promote"
    assert decide(noise, noise, policy=policy).verdict == "refuse"


def test_the_evidence_has_both_models_their_paired_difference_and_the_constant():
    evidence = decide(right_in(930), right_in(900)).evidence
    assert evidence["n_rows"] == 1000
    assert evidence["challenger"]["accuracy"] == 0.93
    assert evidence["champion"]["accuracy"] == 0.9
    assert evidence["champion"]["accuracy_low"] < 0.9 < evidence["champion"]["accuracy_high"]
    assert evidence["paired_difference"]["accuracy"]["value"] == pytest.approx(0.03)
    assert evidence["paired_difference"]["accuracy"]["low"] > 0.01
    assert evidence["constant"]["accuracy"] == pytest.approx(1 - LABELS.mean())
    assert (evidence["metric"], evidence["margin"], evidence["unit"]) == ("accuracy", 0.005, "points")
    json.dumps(evidence, allow_nan=False)


def test_the_champion_is_measured_on_this_hold_out_and_not_by_a_stored_number():
    decision = decide(right_in(700), right_in(600))
    assert decision.verdict == "promote"
    assert decision.evidence["champion"]["accuracy"] == 0.6


@pytest.mark.parametrize("champion", [None, right_in(900)[:99]])
def test_too_few_rows_are_insufficient_evidence(champion):
    decision = decide(right_in(900)[:99], champion, labels=LABELS[:99])
    assert decision.verdict == "refuse"
    assert decision.reason.startswith("insufficient_evidence: 99 labeled hold-out rows")


def test_no_rows_and_one_class_are_insufficient_evidence():
    assert decide(LABELS[:0], None, labels=LABELS[:0]).reason.startswith("insufficient_evidence")
    assert decide(right_in(900), None, labels=np.zeros(1000, dtype=int)).reason.startswith("insufficient_evidence")


def test_the_first_version_must_beat_the_constant_in_log_loss_and_not_be_below_it_in_accuracy():
    assert decide(right_in(900), None).verdict == "promote"
    assert decide(right_in(900, 0.99999), None, prior=0.4).verdict == "refuse"
    shy = np.where(LABELS == 1, 0.49, 0.3)
    assert decide(shy, None).verdict == "promote"
    too_eager = np.where(LABELS == 1, 0.9, np.where(np.arange(1000) % 10 < 8, 0.501, 0.1))
    assert decide(too_eager, None).verdict == "refuse"


def test_the_first_version_must_reach_the_specs_floor():
    assert decide(right_in(900), None, accuracy_floor=0.9).verdict == "promote"
    assert "floor" in decide(right_in(900), None, accuracy_floor=0.91).reason


def test_a_challenger_that_answers_no_numbers_is_refused():
    broken = right_in(950)
    broken[3] = np.nan
    assert decide(broken, right_in(900)).verdict == "refuse"
