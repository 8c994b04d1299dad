"""A window counted on a profile by an engine: one pass, written once with ibis, that returns nothing but counts.

Each number is grouped by its key on the edges' grid, each category by its value; what comes back is a few thousand
rows, whatever the window holds. The same `Counts` come from `mlops_assets.core.profile.count` on a frame.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from mlops_assets.core.grid import Grid, Lattice, grid_of
from mlops_assets.core.profile import (
    LABEL,
    SCORE,
    CategoryCounts,
    CategoryProfile,
    Counts,
    NumberCounts,
    NumberProfile,
    Profile,
)

if TYPE_CHECKING:
    import ibis

# Keys that no grid has; NULL stays NULL.
_NOT_A_NUMBER, _NEGATIVE_INFINITY, _POSITIVE_INFINITY = -1, -2, -3
_MISSING, _OTHER, _UNSEEN, _FREQUENT = "missing", "other", "unseen", "="
_ROWS = -1

Keys = Mapping[int | str | None, int]
"""Rows by key of one number, or by kind of one category."""


def count_rows(rows: "ibis.Table", profile: Profile) -> Counts:
    """Count rows on a profile.

    Args:
        rows: The window, in any engine; a feature without a column counts as missing in every row.
        profile: Of the model in question; score and label are counted if it has them and the rows do.
    """
    import ibis

    profiled = (*profile.numbers, profile.score, *profile.categories, profile.label)
    features = [one for one in profiled if one is not None and one.name in rows.columns]
    parts = [rows.aggregate(n=rows.count()).select(feature=ibis.literal(_ROWS, "int16"), **_no_key(), n="n")]
    for place, feature in enumerate(features):
        part = _by_key(rows, feature) if isinstance(feature, NumberProfile) else _by_kind(rows, feature)
        parts.append(part.select(feature=ibis.literal(place, "int16"), key="key", kind="kind", n="n"))
    counted: list[dict[int | str | None, int]] = [{} for _ in features]
    n_rows = 0
    for row in ibis.union(*parts).to_pyarrow().to_pylist():
        if row["feature"] == _ROWS:
            n_rows = row["n"]
        else:
            counted[row["feature"]][row["key"] if row["kind"] is None else row["kind"]] = row["n"]
    return _counts(profile, n_rows, {one.name: keys for one, keys in zip(features, counted, strict=True)})


def less(counts: Counts, surplus: Counts) -> Counts:
    """Return the counts of a window without some of its rows, counted on the same profile."""
    numbers = {name: _number_less(one, surplus.numbers[name]) for name, one in counts.numbers.items()}
    categories = {name: _category_less(one, surplus.categories[name]) for name, one in counts.categories.items()}
    return Counts(
        n_rows=counts.n_rows - surplus.n_rows,
        numbers=numbers,
        categories=categories,
        score=_number_less(counts.score, surplus.score) if counts.score and surplus.score else None,
        label=_category_less(counts.label, surplus.label) if counts.label and surplus.label else None,
    )


def _by_key(rows: "ibis.Table", number: NumberProfile) -> "ibis.Table":
    import ibis

    value = rows[number.name].cast("float64")
    return rows.group_by(key=_key(value, number)).aggregate(n=rows.count()).mutate(kind=ibis.null("string"))


def _by_kind(rows: "ibis.Table", category: CategoryProfile) -> "ibis.Table":
    """Group by value first: the long lists of known values are then compared with distinct values only."""
    import ibis

    distinct = rows.group_by(value=rows[category.name].cast("string")).aggregate(n=rows.count())
    value = distinct.value
    kinds = [(value.isnull() | (value == ""), ibis.literal(_MISSING))]
    if category.frequent:
        kinds.append((value.isin(category.frequent), ibis.literal(_FREQUENT) + value))
    if category.other:
        kinds.append((value.isin(category.other), ibis.literal(_OTHER)))
    pooled = distinct.mutate(kind=ibis.cases(*kinds, else_=_UNSEEN))
    counted = pooled.group_by("kind").aggregate(n=pooled.n.sum().cast("int64"))
    return counted.mutate(key=ibis.null("int16"))


def _key(value: "ibis.Value", number: NumberProfile) -> "ibis.Value":
    """Return the key of a value; the engine tries the cases in their order, so those with most rows come first."""
    import ibis

    grid = grid_of(number.edges)
    cases = [
        (value.between(_exact(lattice.low), _exact(lattice.high)), _lattice_key(value, lattice))
        for lattice in _most_rows_first(grid, number)
    ]
    cases += [
        (value.isnan(), _literal(_NOT_A_NUMBER)),
        (value > _exact(sys.float_info.max), _literal(_POSITIVE_INFINITY)),
        (value < _exact(-sys.float_info.max), _literal(_NEGATIVE_INFINITY)),
    ]
    cases += [(value < _exact(lattice.low), _literal(lattice.first_key - 1)) for lattice in grid.lattices]
    cases.append((value.notnull(), _literal(grid.n_keys - 1)))
    return ibis.cases(*cases)


def _lattice_key(value: "ibis.Value", lattice: Lattice) -> "ibis.Value":
    if lattice.low == lattice.high:
        return _literal(lattice.first_key)
    scaled = value * _exact(lattice.divisor / lattice.multiple)
    point = _whole(scaled + _exact(0.5))
    exact = point * _exact(lattice.multiple) / _exact(lattice.divisor)
    key = point * 2 + (value - exact).sign() + (lattice.first_key - 2 * lattice.first_point)
    return key.cast("int16")


def _most_rows_first(grid: Grid, number: NumberProfile) -> list[Lattice]:
    edges = np.asarray(number.edges)
    below = np.concatenate([[0], np.cumsum(number.counts.slots)])

    def rows_in(lattice: Lattice) -> int:
        first, last = np.searchsorted(edges, [lattice.low, lattice.high])
        return int(below[2 * last + 2] - below[2 * first + 1])

    return sorted(grid.lattices, key=rows_in, reverse=True)


def _exact(number: float) -> "ibis.Value":
    """A literal as text: some engines read a bare 0.1 as a decimal and round it twice."""
    import ibis

    return ibis.literal(repr(number)).cast("float64")


def _whole(value: "ibis.Value") -> "ibis.Value":
    """Round down without the way through an integer that ibis' own `floor` takes."""
    import ibis

    @ibis.udf.scalar.builtin(name="floor")
    def floor(value: float) -> float: ...  # type: ignore[empty-body]

    return floor(value)


def _literal(key: int) -> "ibis.Value":
    import ibis

    return ibis.literal(key, "int16")


def _no_key() -> "dict[str, ibis.Value]":
    import ibis

    return {"key": ibis.null("int16"), "kind": ibis.null("string")}


def _counts(profile: Profile, n_rows: int, counted: Mapping[str, Keys]) -> Counts:
    score, label = profile.score, profile.label
    return Counts(
        n_rows=n_rows,
        numbers={number.name: _number_counts(number, counted.get(number.name), n_rows) for number in profile.numbers},
        categories={
            category.name: _category_counts(category, counted.get(category.name, {_MISSING: n_rows}))
            for category in profile.categories
        },
        score=_number_counts(score, counted[SCORE], n_rows) if score and SCORE in counted else None,
        label=_category_counts(label, counted[LABEL]) if label and LABEL in counted else None,
    )


def _number_counts(profile: NumberProfile, keys: Keys | None, n_rows: int) -> NumberCounts:
    if keys is None:
        return NumberCounts((0,) * (2 * len(profile.edges) + 1), missing=n_rows)
    finite = {key: n for key, n in keys.items() if isinstance(key, int) and key >= 0}
    places, rows = np.array([*finite], dtype=np.int64), np.array([*finite.values()], dtype=np.int64)
    return NumberCounts(
        slots=tuple(grid_of(profile.edges).slots(places, rows).tolist()),
        missing=keys.get(None, 0),
        not_a_number=keys.get(_NOT_A_NUMBER, 0),
        negative_infinity=keys.get(_NEGATIVE_INFINITY, 0),
        positive_infinity=keys.get(_POSITIVE_INFINITY, 0),
    )


def _category_counts(profile: CategoryProfile, kinds: Keys) -> CategoryCounts:
    return CategoryCounts(
        frequent=tuple(kinds.get(_FREQUENT + value, 0) for value in profile.frequent),
        other=kinds.get(_OTHER, 0),
        unseen=kinds.get(_UNSEEN, 0),
        missing=kinds.get(_MISSING, 0),
    )


def _number_less(counts: NumberCounts, surplus: NumberCounts) -> NumberCounts:
    return NumberCounts(
        slots=_differences(counts.slots, surplus.slots),
        missing=counts.missing - surplus.missing,
        not_a_number=counts.not_a_number - surplus.not_a_number,
        negative_infinity=counts.negative_infinity - surplus.negative_infinity,
        positive_infinity=counts.positive_infinity - surplus.positive_infinity,
    )


def _category_less(counts: CategoryCounts, surplus: CategoryCounts) -> CategoryCounts:
    return CategoryCounts(
        frequent=_differences(counts.frequent, surplus.frequent),
        other=counts.other - surplus.other,
        unseen=counts.unseen - surplus.unseen,
        missing=counts.missing - surplus.missing,
    )


def _differences(left: Iterable[int], right: Iterable[int]) -> tuple[int, ...]:
    return tuple(one - other for one, other in zip(left, right, strict=True))
