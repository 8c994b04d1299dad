import pytest

from mlops_assets.core.backtest import parse_policy, spec_under, sweep
from mlops_assets.errors import SpecError
from mlops_assets.models.flight_delay import spec as flights
from tests.conftest import make_tiny_spec

SPEC = make_tiny_spec()


def test_a_name_is_its_triggers():
    assert parse_policy("static").triggers == frozenset()
    assert parse_policy("weekly").triggers == {"schedule"}
    assert parse_policy(" drift+accuracy ").triggers == {"drift", "accuracy"}


def test_overrides_change_the_spec_with_the_types_of_its_fields():
    policy = parse_policy("drift+accuracy[drift.consecutive_windows=2;gate.metric=accuracy;accuracy.floor=0.8]")
    under = spec_under(SPEC, policy)
    assert under.drift.consecutive_windows == 2
    assert (under.gate.metric, under.accuracy.floor) == ("accuracy", 0.8)
    assert under.drift.votes == SPEC.drift.votes
    assert under.training == SPEC.training
    assert policy.name == "drift+accuracy[drift.consecutive_windows=2;gate.metric=accuracy;accuracy.floor=0.8]"


def test_a_policys_own_name_stands_for_it():
    (policy,) = sweep([parse_policy("drift[gate.margin=0.02]")], ["drift.votes=1"])
    assert parse_policy(policy.name) == policy


def test_seasonal_features_can_be_left_uncounted():
    under = spec_under(flights, parse_policy("drift-no-seasonal"))
    counted = {feature.name for feature in under.features if feature.counts_for_drift}
    assert counted == {feature.name for feature in flights.features if not feature.seasonal}
    assert spec_under(flights, parse_policy("drift")) == flights


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("monthly", "drift-no-seasonal"),
        ("", "static"),
        ("static+drift", "static"),
        ("drift+new_data", "new_data is not replayed"),
        ("drift[", "overrides"),
        ("drift[drift.windows=2]", "consecutive_windows"),
        ("drift[training.trials=2]", "retraining.schedule, retraining.cool_down_windows"),
        ("drift[retraining.attempts=1]", "retraining.schedule, retraining.cool_down_windows"),
        ("drift[drift.votes]", "<section>.<field>=<value>"),
        ("weekly[drift.votes=1]", "policy weekly does not read drift.votes; leave it out"),
        ("weekly[retraining.cool_down_windows=2]", "policy weekly does not read retraining.cool_down_windows"),
        ("drift+accuracy[retraining.schedule=0 2 * * *]", "does not read retraining.schedule"),
        ("static[gate.margin=0]", "policy static does not read gate.margin"),
    ],
)
def test_what_is_no_policy_is_answered_with_those_there_are(text, word):
    with pytest.raises(SpecError, match=word):
        parse_policy(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drift[drift.consecutive_windows=many]", "drift.consecutive_windows is 'many'; it must be a valid integer"),
        ("drift[drift.votes=9]", "drift.votes is '9'; it must be less than or equal to 3"),
        ("weekly[retraining.schedule=rubbish]", "retraining.schedule is 'rubbish'; it must have the five fields"),
    ],
)
def test_a_value_that_does_not_fit_is_named(text, message):
    with pytest.raises(SpecError, match=message):
        spec_under(SPEC, parse_policy(text))


def test_a_sweep_varies_the_policies_that_read_the_field():
    asked = [parse_policy(name) for name in ("static", "weekly", "drift")]
    names = [policy.name for policy in sweep(asked, ["drift.consecutive_windows=2,3", "gate.metric=accuracy,log_loss"])]
    assert names == [
        "static",
        "weekly[gate.metric=accuracy]",
        "weekly[gate.metric=log_loss]",
        "drift[drift.consecutive_windows=2;gate.metric=accuracy]",
        "drift[drift.consecutive_windows=2;gate.metric=log_loss]",
        "drift[drift.consecutive_windows=3;gate.metric=accuracy]",
        "drift[drift.consecutive_windows=3;gate.metric=log_loss]",
    ]


def test_a_sweep_of_the_schedule_varies_those_who_follow_it():
    asked = [parse_policy(name) for name in ("static", "weekly", "drift")]
    names = [policy.name for policy in sweep(asked, ["retraining.schedule=0 0 * * 1,0 0 * * 2"])]
    weekly = [f"weekly[retraining.schedule=0 0 * * {day}]" for day in (1, 2)]
    assert names == ["static", *weekly, "drift"]


def test_a_sweep_that_no_policy_reads_is_refused():
    with pytest.raises(SpecError, match="--sweep drift.votes: none of the policies reads it"):
        sweep([parse_policy("static"), parse_policy("weekly")], ["drift.votes=1,2"])


def test_a_sweep_of_no_field_is_refused():
    with pytest.raises(SpecError, match="votez"):
        sweep([parse_policy("drift")], ["drift.votez=1,2"])
