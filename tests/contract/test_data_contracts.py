"""The contracts of every model in the catalog, on its own data and on data known to be bad."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.catalog import specs
from mlops_assets.core.schema import frame_matrices, validate
from mlops_assets.spec import ModelSpec
from serving.errors import ContractError
from serving.formats.contract import Contract
from serving.formats.texts import columns_of

SPECS = specs()


def check(frame: pd.DataFrame, spec: ModelSpec) -> None:
    """Raise unless the serving side admits every row."""
    numbers, texts = frame_matrices(frame, spec.contract)
    spec.contract.check(numbers, columns_of(texts))


@pytest.fixture(scope="module", params=SPECS)
def spec(request) -> ModelSpec:
    return SPECS[request.param]


@pytest.fixture(scope="module")
def source(spec) -> pd.DataFrame:
    return spec.source()


def test_the_source_satisfies_its_own_contract(spec, source):
    assert validate(source, spec).cases == []


def test_the_source_satisfies_the_serving_contract(spec, source):
    check(source, spec)


def test_the_traffic_satisfies_both_contracts(spec):
    traffic = spec.traffic().head(60_000)
    assert validate(traffic.drop(columns="observed_at"), spec).cases == []
    check(traffic, spec)


def test_the_source_holds_both_labels_and_few_unknown_ones(spec, source):
    labels = source[spec.label.name]
    assert set(labels.dropna()) == {spec.label.negative, spec.label.positive}
    assert labels.isna().mean() < spec.training.maximum_null_label_share


def test_the_contract_comes_back_from_json(spec):
    assert Contract.from_json(spec.contract.to_json()) == spec.contract
    assert Contract.from_json(spec.contract.to_json()).digest == spec.contract.digest


def test_every_feature_with_an_impossible_value_is_named_by_both_contracts(spec, source):
    frame, expected = source.head(len(spec.feature_names) + 1).reset_index(drop=True), {}
    for row, feature in enumerate(spec.numbers):
        frame.loc[row, feature.name] = np.inf if feature.maximum is None else feature.maximum + 1
        expected[feature.name] = row
    closed = [feature for feature in spec.categories if not feature.open]
    for row, feature in enumerate(closed, start=len(spec.numbers)):
        frame.loc[row, feature.name] = "impossible"
        expected[feature.name] = row
    assert {case["column"]: case["row"] for case in validate(frame, spec).cases} == expected
    with pytest.raises(ContractError) as raised:
        check(frame, spec)
    assert {violation.field: violation.row for violation in raised.value.violations} == expected


def test_every_missing_column_is_named(spec, source):
    for column in (*spec.feature_names, spec.label.name, "event_time", "entity_key"):
        cases = validate(source.head(3).drop(columns=column), spec).cases
        assert [(case["column"], case["check"]) for case in cases] == [(column, "column is missing")]


def test_every_missing_value_that_may_not_be_is_named(spec, source):
    frame = source.head(3).astype(object).assign(event_time=source["event_time"].head(3))
    required = [feature.name for feature in spec.features if not feature.nullable]
    frame.loc[1, required] = None
    assert {case["column"] for case in validate(frame, spec).cases} == set(required)


def test_an_unknown_column_and_an_unknown_label_are_named(spec, source):
    frame = source.head(3).assign(surprise=1)
    frame.loc[2, spec.label.name] = "surprising"
    named = {case["column"] for case in validate(frame, spec).cases}
    assert named == {"surprise", spec.label.name}
