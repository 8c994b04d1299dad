"""How a row of a contract becomes the one row of numbers that a graph reads.

Texts are looked up here and not in the graph: a dictionary answers ten times faster than string tensors, and one
matrix of numbers leaves a graph of few nodes. The encoding travels inside the graph's file, as its metadata.
"""

import json
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving.formats.contract import Numbers
from serving.formats.texts import Texts

METADATA_KEY = "encoding"

Features = NDArray[np.float32]


@dataclass(frozen=True)
class TextTable:
    """The number that stands for each text of one column.

    Attributes:
        column: The column's position among the contract's texts.
        values: Text to number; "" is a missing text and may have a number of its own.
        unseen: The number of every other text.
    """

    column: int
    values: dict[str, float]
    unseen: float

    @cached_property
    def lookup(self) -> "_Lookup":
        """The same as a dictionary that knows every text."""
        return _Lookup(self)


@dataclass(frozen=True)
class Encoding:
    """The columns of a graph's input: some of the contract's numbers, then one number for each table.

    Attributes:
        numbers: Positions among the contract's numbers.
        texts: A table for each further column.
    """

    numbers: tuple[int, ...]
    texts: tuple[TextTable, ...]

    @property
    def width(self) -> int:
        """How many columns the graph reads."""
        return len(self.numbers) + len(self.texts)

    def features(self, numbers: Numbers, texts: Texts) -> Features:
        """Return the rows as a graph reads them.

        Args:
            numbers: Shape (n_rows, n_numbers), NaN where missing.
            texts: n_texts columns of n_rows.

        Returns:
            Shape (n_rows, width).
        """
        if len(numbers) == 1:
            return np.array([self._feature_row(numbers[0].tolist(), texts)], dtype=np.float32)
        n_kept = len(self.numbers)
        features = np.empty((len(numbers), self.width), dtype=np.float32)
        with np.errstate(invalid="ignore"):  # a signaling NaN is missing like any other
            features[:, :n_kept] = numbers if n_kept == numbers.shape[1] else numbers[:, self.numbers]
        for place, table in enumerate(self.texts, start=n_kept):
            values, codes = texts[table.column]
            features[:, place] = np.array([*map(table.lookup.__getitem__, values)], dtype=np.float32)[codes]
        return features

    def _feature_row(self, numbers: list[float], texts: Texts) -> list[float]:
        # Half the time of filling a matrix of one row column by column.
        row = numbers if len(self.numbers) == len(numbers) else [numbers[place] for place in self.numbers]
        for column, lookup in self._lookups:
            values, codes = texts[column]
            row.append(lookup[values[0] if len(values) == 1 else values[codes[0]]])
        return row

    @cached_property
    def _lookups(self) -> list[tuple[int, "_Lookup"]]:
        return [(table.column, table.lookup) for table in self.texts]

    def to_json(self) -> str:
        """Return the canonical JSON text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "Encoding":
        """Read what `to_json` wrote.

        Raises:
            ValueError, KeyError, TypeError: It is something else.
        """
        document = json.loads(text)
        return cls(tuple(document["numbers"]), tuple(TextTable(**table) for table in document["texts"]))


class _Lookup(dict[str, float]):
    def __init__(self, table: TextTable) -> None:
        super().__init__(table.values)
        self._unseen = table.unseen

    def __missing__(self, _text: str) -> float:
        return self._unseen
