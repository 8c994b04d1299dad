import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.core.schema import frame_matrices, matrices_frame, pandera_schema, validate
from mlops_assets.errors import ContractViolationError
from serving.errors import ContractError
from serving.formats.texts import columns_of
from tests.core.example import START, WEEK, example_frame, example_spec

SPEC = example_spec()


def broken(**values) -> pd.DataFrame:
    frame = example_frame(6).astype({"amount": object, "visits": object})
    for column, value in values.items():
        frame.at[2, column] = value
    return frame


def rules(frame: pd.DataFrame) -> set[tuple[str, str]]:
    return {(case["column"], case["check"]) for case in validate(frame, SPEC).cases}


def test_a_good_frame_is_valid_as_it_is():
    frame = example_frame(50)
    result = validate(frame, SPEC)
    pd.testing.assert_frame_equal(result.valid, frame)
    assert result.cases == []
    assert result.rejected.empty


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("amount", 1000.5, "is out of range [-1000, 1000]"),
        ("amount", np.inf, "is not finite"),
        ("amount", "12", "is not a number"),
        ("amount", True, "is not a number"),
        ("visits", -1, "is out of range [0, any]"),
        ("visits", 1.5, "is not a whole number"),
        ("visits", None, "is missing"),
        ("visits", 1e39, "is out of range [0, any]"),
        ("color", "black", "is not one of its categories"),
        ("color", 3, "is not text"),
        ("city", "", "is missing"),
        ("city", None, "is missing"),
        ("entity_key", None, "is missing"),
        ("event_time", pd.NaT, "is missing"),
        ("outcome", "maybe", "is not one of the labels"),
    ],
)
def test_one_bad_value_rejects_its_row_and_names_column_and_rule(column, value, rule):
    result = validate(broken(**{column: value}), SPEC)
    assert [(case["column"], case["check"], case["row"], case["count"]) for case in result.cases] == [
        (column, rule, 2, 1)
    ]
    assert result.rejected["rule"].to_dict() == {2: f"{column} {rule}"}
    assert len(result.valid) == 5


@pytest.mark.parametrize(("column", "value"), [("amount", None), ("color", None), ("color", ""), ("outcome", None)])
def test_a_nullable_value_may_be_missing(column, value):
    assert validate(broken(**{column: value}), SPEC).cases == []


def test_of_two_equal_keys_the_first_row_stays():
    frame = example_frame(4)
    frame.loc[3, ["entity_key", "event_time"]] = frame.loc[1, ["entity_key", "event_time"]].to_numpy()
    result = validate(frame, SPEC)
    assert list(result.rejected.index) == [3]
    assert rules(frame) == {("entity_key, event_time", "is there twice")}


def test_a_missing_or_unknown_column_rejects_every_row():
    frame = example_frame(5).drop(columns="visits").assign(extra=1)
    result = validate(frame, SPEC)
    assert rules(frame) == {("visits", "column is missing"), ("extra", "column is not in the contract")}
    assert [case["row"] for case in result.cases] == [None, None]
    assert result.valid.empty
    assert len(result.rejected) == 5


def test_a_missing_key_column_is_the_only_complaint():
    assert rules(example_frame(5).drop(columns="entity_key")) == {("entity_key", "column is missing")}


def test_a_time_without_time_zone_rejects_every_row():
    frame = example_frame(5)
    frame["event_time"] = frame["event_time"].dt.tz_localize(None)
    assert rules(frame) == {("event_time", "is not a time with a time zone")}
    assert validate(frame, SPEC).valid.empty


def test_an_empty_frame_is_valid():
    result = validate(example_frame(5).head(0), SPEC)
    assert result.cases == []
    assert result.valid.empty


def test_without_label_its_column_is_unknown():
    frame = example_frame(3)
    assert validate(frame.drop(columns="outcome"), SPEC, with_label=False).cases == []
    assert [case["column"] for case in validate(frame, SPEC, with_label=False).cases] == ["outcome"]
    assert set(pandera_schema(SPEC, with_label=False).columns) == set(frame.columns) - {"outcome"}


def test_matrices_have_the_order_of_the_contract_and_come_back():
    frame = example_frame(20)
    numbers, texts = frame_matrices(frame, SPEC.contract)
    assert numbers.dtype == np.float64
    assert (numbers.shape, texts.shape) == ((20, 2), (20, 2))
    assert set(texts[frame["color"].isna(), 0]) <= {""}
    back = matrices_frame(numbers, texts, SPEC.contract)
    assert list(back.columns) == ["amount", "visits", "color", "city"]
    pd.testing.assert_frame_equal(back, frame[back.columns])


def test_matrices_refuse_missing_columns_and_text_in_numbers():
    with pytest.raises(ContractViolationError, match="no column visits"):
        frame_matrices(example_frame(3).drop(columns="visits"), SPEC.contract)
    with pytest.raises(ContractViolationError, match="amount"):
        frame_matrices(broken(amount="many"), SPEC.contract)


numbers_in_doubt = st.one_of(
    st.floats(width=64), st.sampled_from([0.0, -1000.0, 1000.0, 1000.0000001, -0.5, 1.5, np.nan, np.inf, 1e39])
)
rows_in_doubt = st.lists(
    st.tuples(
        numbers_in_doubt,
        numbers_in_doubt,
        st.sampled_from(["red", "blue", "", "black"]),
        st.sampled_from(["", "anywhere"]) | st.text(max_size=3),
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(rows_in_doubt)
def test_pandera_and_the_serving_contract_refuse_the_same_rows(rows):
    numbers = np.array([row[:2] for row in rows], dtype=np.float64)
    texts = np.array([row[2:] for row in rows], dtype=object)
    frame = matrices_frame(numbers, texts, SPEC.contract).assign(
        event_time=pd.date_range(START, START + WEEK, periods=len(rows)),
        entity_key="key",
    )
    rejected = set(validate(frame, SPEC, with_label=False).rejected.index)
    assert rejected == {row for row in range(len(rows)) if not admitted(numbers[[row]], texts[[row]])}


def admitted(numbers, texts) -> bool:
    try:
        SPEC.contract.check(numbers, columns_of(texts))
    except ContractError:
        return False
    return True
