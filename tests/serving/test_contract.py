"""The contract says the same of a row alone and of a matrix of rows."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.errors import ContractError
from serving.formats.contract import Contract, TextFeature
from serving.formats.texts import row_of
from tests.serving.toy import CONTRACT

STRICT = replace(
    CONTRACT, texts=(TextFeature("carrier", ("aa", "bb"), nullable=True), TextFeature("origin", open=True))
)
VALUES = st.one_of(st.floats(-10, 1010), st.integers(-1, 24).map(float), st.sampled_from([np.nan, np.inf, -np.inf]))
TEXTS = st.sampled_from(["aa", "bb", "cc", ""])


@given(
    st.sampled_from([CONTRACT, STRICT]),
    st.lists(VALUES, min_size=2, max_size=2),
    st.lists(TEXTS, min_size=2, max_size=2),
)
def test_a_row_is_admitted_exactly_when_the_check_finds_nothing(
    contract: Contract, numbers: list[float], texts: list[str]
):
    try:
        contract.check(np.array([numbers]), row_of(texts))
    except ContractError:
        possible = False
    else:
        possible = True
    assert contract.admits(numbers, texts) == possible
