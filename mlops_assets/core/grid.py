"""Edges that arithmetic can find: how a number's slot is told without a search, in numpy and in SQL alike.

A search among 1000 edges costs an engine more than reading the value. So edges are rounded to decimal lattices, as
coarse as their distances allow, and within one lattice a value's place follows from its nearest lattice point:

    point = floor(value * scale + 0.5)        key = 2 * point + sign(value - point * multiple / divisor)

Even keys hold exactly the lattice points, odd keys the open intervals between them. The last step is a comparison with
the double next to the lattice point, which is the edge, so all engines agree to the last bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

N_QUANTILES = 1000
MAXIMUM_KEYS = 32_000
"""Keys of one number, so that they fit into 16 bits with a sign: engines then count into an array, not a hash table."""

# The fewer keys, the more of the counters stay in a core's cache; halved until all lattices of a number fit.
_BUDGETS = tuple(2**power for power in range(13, 1, -1))
_EXACT_POWERS = 22  # 10**22 is the last power of ten that a double holds exactly
_LARGEST_POINT = 2.0**50  # beyond about 2**52 adding a half is no longer exact
_KEPT_SHARE = 0.9
_TAIL_POWERS = range(4, 9)
_HEAP_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Lattice:
    """A closed range in which all edges are lattice points: point * multiple / divisor.

    Attributes:
        low: The lowest edge in it.
        high: The highest; equal to `low` for an edge that stands alone.
        multiple: A positive whole number.
        divisor: A power of ten.
        first_point: The point of `low`.
        first_key: The key of `low`.
        n_keys: Even and odd keys from `low` to `high`.
    """

    low: float
    high: float
    multiple: float
    divisor: float
    first_point: int
    first_key: int
    n_keys: int


@dataclass(frozen=True, slots=True)
class Grid:
    """The keys of one number, in the order of its values: below the first lattice, in it, between it and the next, ...

    Attributes:
        lattices: From the lowest to the highest.
        edge_keys: One per edge, ascending.
        n_keys: Keys 0 to n_keys - 1 may occur.
    """

    lattices: tuple[Lattice, ...]
    edge_keys: tuple[int, ...]
    n_keys: int

    def slots(self, keys: NDArray[np.int64], n_rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return rows by slot from rows by key, shape (2 n_edges + 1,)."""
        slots = np.searchsorted(self.edge_keys, keys, side="left") + np.searchsorted(self.edge_keys, keys, side="right")
        counted = np.zeros(2 * len(self.edge_keys) + 1, dtype=np.int64)
        np.add.at(counted, slots, n_rows)
        return counted


@lru_cache(maxsize=256)
def grid_of(edges: tuple[float, ...]) -> Grid:
    """Lay lattices through given edges, as few as possible.

    Args:
        edges: Ascending and distinct, finite. Any are served rightly, those of `rounded_edges` fast.
    """
    exact = [Decimal(repr(edge)).normalize() for edge in edges]
    runs: list[_Run] = []
    for budget in _BUDGETS:
        runs = _runs(exact, budget)
        if 1 + sum(run.n_keys + 1 for run in runs) <= MAXIMUM_KEYS:
            break
    lattices: list[Lattice] = []
    edge_keys: list[int] = []
    key = 1
    for run in runs:
        start = len(edge_keys)
        lattices.append(run.lattice(edges[start], edges[start + run.n_edges - 1], key))
        edge_keys += [key + run.key_of(edge) for edge in exact[start : start + run.n_edges]]
        key += run.n_keys + 1
    return Grid(tuple(lattices), tuple(edge_keys), key)


def quantile_shares(n_rows: int) -> NDArray[np.float64]:
    """Return the shares of that many rows at which edges lie: every thousandth, and finer in the tails.

    In either outer thousandth smaller steps lead down to single rows: that is where a heavy tail is.
    """
    steps = np.array([step * 10.0**-power for power in _TAIL_POWERS for step in (1, 2, 5)])
    tail = steps[steps * n_rows >= 1]
    return np.unique(np.concatenate([np.linspace(0, 1, N_QUANTILES + 1), tail, 1 - tail]))


def rounded_edges(quantiles: NDArray[np.float64]) -> tuple[float, ...]:
    """Return edges for quantiles of the reference, on few lattices.

    A value that many rows share stays apart from its neighbors: it is an edge itself if it lies on its lattice or holds
    a twentieth of the rows, else it has the lattice points on either side of it as edges.

    Args:
        quantiles: At equal steps of probability, smaller ones in the tails, ascending, with repetitions where rows
            share a value.
    """
    values, repeats = np.unique(quantiles, return_counts=True)
    values = values + 0.0  # -0.0 would be an edge of another name
    heavy = repeats >= max(2.0, _HEAP_SHARE * len(quantiles))
    digits = np.array([_decimals(Decimal(repr(value)).normalize()) for value in values.tolist()], dtype=np.int64)
    edges: set[float] = set()
    for budget in _BUDGETS:
        edges, start, n_keys = set(), 0, 1
        while start < len(values):
            stop, spacing = _longest_run(values, digits, start, budget)
            here = slice(start, stop)
            edges.update(_on_lattice(values[here], repeats[here] > 1, heavy[here], spacing))
            n_keys += spacing.n_keys(values[here]) + 1
            start = stop
        if n_keys <= MAXIMUM_KEYS:
            break
    return tuple(sorted(edges))


@dataclass(frozen=True, slots=True)
class _Spacing:
    """Of lattice points: step / 10**decimals, the step being 1, 2 or 5."""

    step: int
    decimals: int

    def points(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        power = 10.0 ** abs(self.decimals)
        scaled = values * power if self.decimals >= 0 else values / power
        nearest: NDArray[np.float64] = np.floor(scaled / self.step + 0.5)
        return nearest

    def value(self, point: float) -> float:
        multiple = point * self.step
        return multiple / 10.0**self.decimals if self.decimals >= 0 else multiple * 10.0**-self.decimals

    def n_keys(self, run: NDArray[np.float64]) -> int:
        first, last = self.points(run[[0, -1]]) if len(run) > 1 else (0.0, 0.0)
        return 2 * int(last - first) + 1


def _longest_run(
    values: NDArray[np.float64], digits: NDArray[np.int64], start: int, budget: int
) -> tuple[int, _Spacing]:
    """Return the end of the longest run that one lattice tells apart well enough, and the lattice's spacing."""
    low, high = start + 1, len(values)
    while low < high:
        middle = (low + high + 1) // 2
        run = values[start:middle]
        if _is_told_apart(run, _finest(run, digits[start:middle], budget)):
            low = middle
        else:
            high = middle - 1
    return low, _finest(values[start:low], digits[start:low], budget)


def _is_told_apart(run: NDArray[np.float64], spacing: _Spacing) -> bool:
    if abs(spacing.decimals) > _EXACT_POWERS:
        return False
    points = spacing.points(run)
    return bool(np.abs(points).max() * 5 < _LARGEST_POINT) and len(np.unique(points)) >= _KEPT_SHARE * len(run)


def _finest(run: NDArray[np.float64], digits: NDArray[np.int64], budget: int) -> _Spacing:
    """Return the finest spacing within the budget, or the coarser one that holds all the values."""
    needed = (float(run[-1]) / 4 - float(run[0]) / 4) / budget * 8
    if needed <= 0 or not math.isfinite(needed):
        return _Spacing(1, 0)
    magnitude = math.floor(math.log10(needed))
    if abs(magnitude) > _EXACT_POWERS:
        return _Spacing(1, -magnitude)
    step = next(step for step in (1, 2, 5, 10) if step >= needed / 10.0**magnitude * (1 - 1e-12))
    finest = _Spacing(1, -magnitude - 1) if step == 10 else _Spacing(step, -magnitude)
    own = int(digits.max())
    return _Spacing(1, own) if own < finest.decimals else finest


def _on_lattice(
    run: NDArray[np.float64], many: NDArray[np.bool_], heavy: NDArray[np.bool_], spacing: _Spacing
) -> set[float]:
    """Return the edges of a run; its ends are rounded outwards."""
    if len(run) == 1:
        return {float(run[0])}
    edges = set()
    for place, (value, point) in enumerate(zip(run.tolist(), spacing.points(run).tolist(), strict=True)):
        exact = spacing.value(point)
        below, above = (point, point + 1) if exact <= value else (point - 1, point)
        if exact == value or heavy[place]:
            edges.add(value)
        elif many[place]:
            edges |= {spacing.value(below), spacing.value(above)}
        else:
            edges.add(spacing.value(below if place == 0 else above if place == len(run) - 1 else point))
    return edges


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive edges as whole multiples of 10**-decimals; `step` divides them all."""

    first: int
    last: int
    decimals: int
    step: int
    n_edges: int

    @property
    def n_keys(self) -> int:
        return 2 * ((self.last - self.first) // max(self.step, 1)) + 1

    def key_of(self, edge: Decimal) -> int:
        return 2 * ((int(edge.scaleb(self.decimals)) - self.first) // max(self.step, 1))

    def lattice(self, low: float, high: float, key: int) -> Lattice:
        if self.n_edges == 1:
            return Lattice(low, high, multiple=1.0, divisor=1.0, first_point=0, first_key=key, n_keys=1)
        power = 10.0 ** abs(self.decimals)
        return Lattice(
            low,
            high,
            multiple=self.step * power if self.decimals < 0 else float(self.step),
            divisor=power if self.decimals > 0 else 1.0,
            first_point=self.first // self.step,
            first_key=key,
            n_keys=self.n_keys,
        )

    def extended(self, edge: Decimal) -> "_Run":
        decimals = max(self.decimals, _decimals(edge))
        factor = 10 ** (decimals - self.decimals)
        point = int(edge.scaleb(decimals))
        return _Run(
            self.first * factor, point, decimals, math.gcd(self.step * factor, abs(point)), n_edges=self.n_edges + 1
        )

    def fits(self, budget: int) -> bool:
        return (
            abs(self.decimals) <= _EXACT_POWERS
            and max(abs(self.first), abs(self.last)) < _LARGEST_POINT
            and self.step * 10.0**-self.decimals < _LARGEST_POINT
            and self.n_keys <= budget
        )


def _runs(edges: Sequence[Decimal], budget: int) -> list[_Run]:
    """Return the runs, each extended as far as the budget reaches."""
    runs: list[_Run] = []
    for edge in edges:
        longer = runs[-1].extended(edge) if runs else None
        if longer is not None and longer.fits(budget):
            runs[-1] = longer
        else:
            point = int(edge.scaleb(_decimals(edge)))
            runs.append(_Run(point, point, _decimals(edge), abs(point), n_edges=1))
    return runs


def _decimals(number: Decimal) -> int:
    return -int(number.as_tuple().exponent)
