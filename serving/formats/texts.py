"""Texts of many rows, column by column: every value once, and for each row the position of its value.

A check, a lookup or a record then costs per value and not per row, and a batch arrives in this form already.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TextMatrix = NDArray[np.object_]
"""The same texts one by one: str objects, shape (n_rows, n_texts), "" where missing."""

_FIRST = np.zeros(1, dtype=np.int32)


class TextColumn(NamedTuple):
    """One column.

    Attributes:
        values: Not empty; a value may be there twice, or in no row. "" is a missing text.
        codes: Positions in `values`, shape (n_rows,).
    """

    values: list[str]
    codes: NDArray[np.integer]

    def used(self) -> list[str]:
        """Return the values that some row has."""
        occurs = np.bincount(self.codes, minlength=len(self.values)) > 0
        return [value for value, is_used in zip(self.values, occurs.tolist(), strict=True) if is_used]

    def texts(self) -> NDArray[np.object_]:
        """Return each row's text, shape (n_rows,)."""
        texts: NDArray[np.object_] = np.array(self.values, dtype=object)[self.codes]
        return texts


Texts = tuple[TextColumn, ...]


def single(text: str) -> TextColumn:
    """Return the column of one row."""
    return TextColumn([text], _FIRST)


def column_of(texts: Iterable[str]) -> TextColumn:
    """Return a column of texts that come one by one."""
    places: dict[str, int] = {}
    codes = [places.setdefault(text, len(places)) for text in texts]
    return TextColumn(list(places) or [""], np.array(codes, dtype=np.int32))


def stacked(columns: Sequence[TextColumn]) -> TextColumn:
    """Return the rows of several columns as one."""
    alone = [values[0] for values, codes in columns if len(values) == len(codes) == 1]
    if len(alone) == len(columns):
        return TextColumn(alone, np.arange(len(alone), dtype=np.int32))
    return column_of(text for column in columns for text in column.texts().tolist())


def counts_of(columns: Iterable[TextColumn]) -> Counter[str]:
    """Return how many rows of one feature have each text, over several columns."""
    counted: Counter[str] = Counter()
    for values, codes in columns:
        for value, count in zip(values, np.bincount(codes, minlength=len(values)).tolist(), strict=True):
            counted[value] += count
    return +counted


def columns_of(matrix: TextMatrix) -> Texts:
    """Return the columns of a matrix."""
    return tuple(column_of(matrix[:, place].tolist()) for place in range(matrix.shape[1]))
