"""Rows as a graph reads them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.formats.encoding import Encoding, TextTable
from serving.formats.texts import TextColumn, columns_of

COLORS, SIZES = TextTable(1, {"red": 0.1, "": 0.25}, unseen=-1.0), TextTable(0, {"small": 2.0}, unseen=np.nan)
ENCODINGS = [Encoding((0, 1, 2), (COLORS, SIZES)), Encoding((2, 0), (COLORS,)), Encoding((), ()), Encoding((1,), ())]
ROW = st.tuples(
    st.lists(st.floats(width=32), min_size=3, max_size=3),
    st.lists(st.sampled_from(["small", "red", "other", ""]), min_size=2, max_size=2),
)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(rows=st.lists(ROW, min_size=2, max_size=5))
def test_a_row_is_encoded_alone_as_among_others(encoding: Encoding, rows: list[tuple[list[float], list[str]]]):
    numbers = np.array([numbers for numbers, _ in rows])
    texts = np.array([texts for _, texts in rows], dtype=object)
    together = encoding.features(numbers, columns_of(texts))
    alone = [encoding.features(numbers[[row]], columns_of(texts[[row]])) for row in range(len(rows))]
    np.testing.assert_array_equal(np.concatenate(alone), together)
    assert together.dtype == alone[0].dtype == np.float32
    assert together.shape == (len(rows), encoding.width)


def test_the_column_of_one_row_may_list_values_that_it_does_not_have():
    texts = (TextColumn(["", "small", "large"], np.array([1])), TextColumn(["blue", "red"], np.array([1])))
    features = ENCODINGS[0].features(np.array([[1.5, np.nan, 0.1]]), texts)
    np.testing.assert_array_equal(features, np.array([[1.5, np.nan, 0.1, 0.1, 2.0]], dtype=np.float32))
