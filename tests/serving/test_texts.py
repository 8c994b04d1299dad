"""Columns of texts say the same as the texts one by one."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.formats.texts import TextColumn, column_of, columns_of, counts_of, single, stacked

TEXTS = st.lists(st.sampled_from(["aa", "bb", "cc", ""]), max_size=12)


@given(TEXTS)
def test_a_column_gives_back_its_texts(texts: list[str]):
    column = column_of(texts)
    assert column.texts().tolist() == texts
    assert counts_of([column]) == Counter(texts)
    assert sorted(column.used()) == sorted(set(texts))


def test_a_value_that_is_there_twice_or_in_no_row_does_not_count():
    column = TextColumn(["", "aa", "bb", "aa"], np.array([1, 3, 1], dtype=np.uint8))
    assert column.texts().tolist() == ["aa", "aa", "aa"]
    assert counts_of([column, single("aa"), single("bb")]) == {"aa": 4, "bb": 1}
    assert column.used() == ["aa", "aa"]


def test_a_matrix_and_a_single_text_become_columns():
    matrix = np.array([["aa", "x"], ["bb", "x"]], dtype=object)
    assert [column.texts().tolist() for column in columns_of(matrix)] == [["aa", "bb"], ["x", "x"]]
    assert [single(text).texts().tolist() for text in ("aa", "")] == [["aa"], [""]]


@given(st.lists(TEXTS.filter(bool).map(column_of), min_size=1, max_size=5))
def test_stacked_columns_have_the_rows_of_all_in_their_order(columns: list[TextColumn]):
    assert stacked(columns).texts().tolist() == [text for column in columns for text in column.texts()]


def test_stacked_rows_of_batches_that_name_more_values_than_they_have_rows():
    batch = TextColumn(["", "aa"], np.array([1], dtype=np.uint8))
    assert stacked([single("bb"), batch, single("")]).texts().tolist() == ["bb", "aa", ""]
