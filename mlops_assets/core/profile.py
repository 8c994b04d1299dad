"""The reference profile: a distribution as counts, made once with the model, and the counts of a window on it.

A number's axis is cut at about 1000 quantiles of the reference, and at a few more in its tails, rounded so that engines
find a value's place by arithmetic (`mlops_assets.core.grid`). Every edge is a slot of its own beside the open intervals
between the edges, so that ties and constants keep their place:

    slot    0      1     2      3    ...      2 n_edges
    holds  x<e0  x=e0  e0<x<e1  x=e1  ...  x > the last edge

Whatever fills a `Counts` (numpy here, SQL elsewhere), the statistics in `mlops_assets.core.drift` need nothing else.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.grid import quantile_shares, rounded_edges
from serving.formats.contract import Contract, Numbers

if TYPE_CHECKING:
    import pandas as pd

N_FREQUENT_CATEGORIES = 20
N_KNOWN_CATEGORIES = 10_000
SCORE, LABEL = "score", "label"


@dataclass(frozen=True, slots=True)
class NumberCounts:
    """How many rows of one number fell into each slot.

    Attributes:
        slots: Finite values, length 2 n_edges + 1.
        missing: NULL.
        not_a_number: NaN, where the engine tells it from NULL.
        negative_infinity: -inf.
        positive_infinity: +inf.
    """

    slots: tuple[int, ...]
    missing: int = 0
    not_a_number: int = 0
    negative_infinity: int = 0
    positive_infinity: int = 0

    @property
    def n_rows(self) -> int:
        """All of them."""
        return sum(self.slots) + self.missing + self.not_a_number + self.negative_infinity + self.positive_infinity


@dataclass(frozen=True, slots=True)
class CategoryCounts:
    """How many rows of one category fell on each value.

    Attributes:
        frequent: In the order of the profile's frequent values.
        other: On values that the reference has, but not among its frequent ones.
        unseen: On values that the reference has not.
        missing: NULL or "".
    """

    frequent: tuple[int, ...]
    other: int = 0
    unseen: int = 0
    missing: int = 0

    @property
    def n_rows(self) -> int:
        """All of them."""
        return sum(self.frequent) + self.other + self.unseen + self.missing


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """One number in the reference: its edges, ascending and distinct, and its counts on them."""

    name: str
    edges: tuple[float, ...]
    counts: NumberCounts


@dataclass(frozen=True, slots=True)
class CategoryProfile:
    """One category in the reference: its most frequent values, the other values, and its counts.

    Attributes:
        name: The feature.
        frequent: Its most frequent values.
        other: The other values, as far as they are known.
        counts: Of the reference.
        n_once: How many values the reference has exactly once. That over its rows is the share of unseen values to be
            expected in other rows of the same distribution (Good, 1953, The population frequencies of species).
    """

    name: str
    frequent: tuple[str, ...]
    other: tuple[str, ...]
    counts: CategoryCounts
    n_once: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """One window, counted on a profile.

    Attributes:
        n_rows: Rows of the window.
        numbers: By feature name.
        categories: By feature name.
        score: The model's probabilities; None where they were not counted.
        label: Its decisions; None where they were not counted.
    """

    n_rows: int
    numbers: Mapping[str, NumberCounts]
    categories: Mapping[str, CategoryCounts]
    score: NumberCounts | None = None
    label: CategoryCounts | None = None


@dataclass(frozen=True)
class Profile:
    """The reference distribution of a model's features and, if they are known, of its scores and decisions."""

    n_rows: int
    numbers: tuple[NumberProfile, ...]
    categories: tuple[CategoryProfile, ...]
    score: NumberProfile | None = None
    label: CategoryProfile | None = None

    def to_json(self) -> bytes:
        """Return the document that `from_dict` reads, once parsed."""
        return json.dumps(asdict(self), allow_nan=False, separators=(",", ":")).encode()

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "Profile":
        """Build a profile from its parsed JSON document."""
        score, label = document.get("score"), document.get("label")
        return cls(
            n_rows=document["n_rows"],
            numbers=tuple(_number_profile(number) for number in document["numbers"]),
            categories=tuple(_category_profile(category) for category in document["categories"]),
            score=None if score is None else _number_profile(score),
            label=None if label is None else _category_profile(label),
        )

    @cached_property
    def by_name(self) -> dict[str, NumberProfile | CategoryProfile]:
        """All features by name."""
        features: tuple[NumberProfile | CategoryProfile, ...] = (*self.numbers, *self.categories)
        return {feature.name: feature for feature in features}


def build_profile(frame: "pd.DataFrame", contract: Contract, *, scores: Numbers | None = None) -> Profile:
    """Profile the rows that a model was fitted on.

    Args:
        frame: The features of all scored rows of that time, not only of labeled ones.
        contract: Names the features.
        scores: The model's probabilities on rows it was not fitted on, shape (any,).
    """
    return Profile(
        n_rows=len(frame),
        numbers=tuple(_profile_number(number.name, _floats(frame[number.name])) for number in contract.numbers),
        categories=tuple(_profile_category(text.name, _value_counts(frame[text.name])) for text in contract.texts),
        score=None if scores is None else _profile_number(SCORE, np.asarray(scores, dtype=np.float64)),
        label=None if scores is None else _profile_category(LABEL, _decisions(np.asarray(scores), contract)),
    )


def count(profile: Profile, frame: "pd.DataFrame", *, scores: Numbers | None = None) -> Counts:
    """Count a window on a profile.

    Args:
        profile: Of the model in question.
        frame: The window's rows; a feature whose column is absent counts as missing in every row.
        scores: The model's probabilities of these rows; without them, the frame's column "score" if it has one.
            Its decisions are the frame's column "label".
    """
    if scores is None and SCORE in frame.columns:
        scores = _floats(frame[SCORE])
    counted = profile.score is not None and scores is not None
    return Counts(
        n_rows=len(frame),
        numbers={
            number.name: count_number(number.edges, _floats(frame[number.name]))
            if number.name in frame.columns
            else NumberCounts((0,) * (2 * len(number.edges) + 1), missing=len(frame))
            for number in profile.numbers
        },
        categories={
            category.name: count_category(
                category,
                _value_counts(frame[category.name]) if category.name in frame.columns else {"": len(frame)},
            )
            for category in profile.categories
        },
        score=count_number(profile.score.edges, scores) if counted and profile.score and scores is not None else None,
        label=count_category(profile.label, _value_counts(frame[LABEL]))
        if profile.label and LABEL in frame.columns
        else None,
    )


def slots_of(edges: NDArray[np.float64], values: Numbers) -> NDArray[np.intp]:
    """Return the slot of each finite value, 0 to 2 n_edges: values below and up to it, counted among the edges."""
    return np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")


def count_number(edges: tuple[float, ...], values: Numbers) -> NumberCounts:
    """Count values on edges, NaN as missing."""
    places = np.asarray(edges, dtype=np.float64)
    slots = np.bincount(slots_of(places, values[np.isfinite(values)]), minlength=2 * len(edges) + 1)
    return NumberCounts(
        slots=tuple(slots.tolist()),
        missing=int(np.isnan(values).sum()),
        negative_infinity=int(np.isneginf(values).sum()),
        positive_infinity=int(np.isposinf(values).sum()),
    )


def count_category(profile: CategoryProfile, value_counts: Mapping[str, int]) -> CategoryCounts:
    """Count one category on its profile.

    Args:
        profile: Says which values are frequent and which are known.
        value_counts: Rows by value, "" for the missing ones: what `GROUP BY` returns.
    """
    other = set(profile.other)
    known = {*profile.frequent, *other, ""}
    return CategoryCounts(
        frequent=tuple(value_counts.get(value, 0) for value in profile.frequent),
        other=sum(n for value, n in value_counts.items() if value in other),
        unseen=sum(n for value, n in value_counts.items() if value not in known),
        missing=value_counts.get("", 0),
    )


def _profile_number(name: str, values: Numbers) -> NumberProfile:
    finite = values[np.isfinite(values)]
    # "inverted_cdf" takes values that occur, so that ties fall exactly on an edge.
    quantiles = np.quantile(finite, quantile_shares(len(finite)), method="inverted_cdf") if len(finite) else finite
    edges = rounded_edges(quantiles)
    return NumberProfile(name, edges, count_number(edges, values))


def _profile_category(name: str, value_counts: dict[str, int]) -> CategoryProfile:
    by_frequency = sorted((value for value in value_counts if value), key=lambda value: (-value_counts[value], value))
    frequent, other = by_frequency[:N_FREQUENT_CATEGORIES], by_frequency[N_FREQUENT_CATEGORIES:N_KNOWN_CATEGORIES]
    profile = CategoryProfile(name, tuple(frequent), tuple(other), CategoryCounts(()))
    n_once = sum(value_counts[value] == 1 for value in by_frequency)
    return CategoryProfile(name, profile.frequent, profile.other, count_category(profile, value_counts), n_once)


def _floats(column: "pd.Series[Any]") -> Numbers:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _value_counts(column: "pd.Series[Any]") -> dict[str, int]:
    counted = column.astype(object).where(column.notna(), "").value_counts()
    return {str(value): int(n) for value, n in counted.items()}


def _decisions(scores: Numbers, contract: Contract) -> dict[str, int]:
    n_positive = int((scores >= contract.threshold).sum())
    return {contract.negative: len(scores) - n_positive, contract.positive: n_positive}


def _category_profile(document: dict[str, Any]) -> CategoryProfile:
    counts = document["counts"]
    return CategoryProfile(
        name=document["name"],
        frequent=tuple(document["frequent"]),
        other=tuple(document["other"]),
        counts=CategoryCounts(**{**counts, "frequent": tuple(counts["frequent"])}),
        n_once=document.get("n_once", 0),
    )


def _number_profile(document: dict[str, Any]) -> NumberProfile:
    counts = document["counts"]
    return NumberProfile(
        name=document["name"],
        edges=tuple(document["edges"]),
        counts=NumberCounts(**{**counts, "slots": tuple(counts["slots"])}),
    )
