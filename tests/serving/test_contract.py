"""The contract says the same of a row alone and of a matrix of rows."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ContractError
from serving.formats.contract import Contract, TextFeature
from serving.formats.texts import single
from tests.serving.toy import CONTRACT

STRICT = replace(
    CONTRACT, texts=(TextFeature("carrier", ("aa", "bb"), nullable=True), TextFeature("origin", open=True))
)
VALUES = st.one_of(st.floats(-10, 1010), st.integers(-1, 24).map(float), st.sampled_from([np.nan, np.inf, -np.inf]))
NUMBER_NAMES, TEXT_NAMES = ("distance", "hour"), ("carrier", "origin")
TEXTS = st.sampled_from(["aa", "bb", "cc", ""])


@given(
    st.sampled_from([CONTRACT, STRICT]),
    st.lists(VALUES, min_size=2, max_size=2),
    st.lists(TEXTS, min_size=2, max_size=2),
)
def test_a_row_is_admitted_exactly_when_the_check_finds_nothing(
    contract: Contract, numbers: list[float], texts: list[str]
):
    row = contract.admitted(dict(zip(NUMBER_NAMES, numbers, strict=True)), dict(zip(TEXT_NAMES, texts, strict=True)))
    try:
        contract.check(np.array([numbers]), tuple(map(single, texts)))
    except ContractError:
        assert row is None
    else:
        assert row is not None
        np.testing.assert_array_equal(row[0], numbers)
        assert [column.texts().tolist() for column in row[1]] == [[text] for text in texts]


def test_a_row_is_admitted_in_any_order_and_only_with_its_own_names():
    numbers, texts = {"hour": 7.0, "distance": 400.0}, {"origin": "jfk", "carrier": "aa"}
    row = CONTRACT.admitted(numbers, texts)
    assert row is not None
    assert row[0] == [400.0, 7.0]
    assert [column.values for column in row[1]] == [["aa"], ["jfk"]]
    for other in ({"hour": 7.0}, numbers | {"speed": 1.0}, {"hour": 7.0, "speed": 1.0}):
        assert CONTRACT.admitted(other, texts) is None
    for others in ({"carrier": "aa"}, texts | {"gate": "b"}, {"carrier": "aa", "gate": "b"}):
        assert CONTRACT.admitted(numbers, others) is None
