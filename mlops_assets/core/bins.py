"""One feature of the reference and of a window in the same few bins: what PSI, JS and the histograms are made of."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mlops_assets.core.profile import CategoryCounts, CategoryProfile, NumberCounts, NumberProfile

Axis = NDArray[np.int64]

N_BINS = 10
MISSING, OTHER, UNSEEN = "missing", "other", "unseen"
NEGATIVE_INFINITY, POSITIVE_INFINITY = "-∞", "+∞"


@dataclass(frozen=True)
class Bins:
    """Counts per bin, the missing values in the last one.

    Attributes:
        labels: One per bin, for people.
        edges: Numbers only: ascending bounds around the bins of finite values, infinite at the ends; three bins come
            after them, of -inf, of +inf and of missing values.
        reference: Counts.
        current: Counts.
    """

    labels: tuple[str, ...]
    edges: tuple[float, ...]
    reference: tuple[int, ...]
    current: tuple[int, ...]

    @property
    def n_reference(self) -> int:
        """Rows of the reference."""
        return sum(self.reference)

    @property
    def n_current(self) -> int:
        """Rows of the window."""
        return sum(self.current)

    @property
    def missing_reference(self) -> int:
        """Rows of the reference without a value."""
        return self.reference[-1]

    @property
    def missing_current(self) -> int:
        """Rows of the window without a value."""
        return self.current[-1]


def axis(counts: NumberCounts) -> Axis:
    """Return a number's counts along its whole axis, infinities at the ends, shape (2 n_edges + 3,)."""
    # fromiter is twice as fast as asarray on a tuple, and 25 features have 100,000 slots in every window.
    counted = np.empty(len(counts.slots) + 2, dtype=np.int64)
    counted[1:-1] = np.fromiter(counts.slots, dtype=np.int64, count=len(counts.slots))
    counted[0], counted[-1] = counts.negative_infinity, counts.positive_infinity
    return counted


@dataclass(frozen=True)
class NumberReference:
    """One number of the reference, made ready for many windows.

    Attributes:
        axis: Its counts, as `axis` returns them.
        places: Its edges.
        last_slots: The last slot of every bin of finite values.
        labels: One per bin.
        bounds: Around the bins of finite values.
        pooled: Its counts in the bins.
    """

    axis: Axis
    places: NDArray[np.float64]
    last_slots: tuple[int, ...]
    labels: tuple[str, ...]
    bounds: tuple[float, ...]
    pooled: tuple[int, ...]


@lru_cache(maxsize=256)
def number_reference(profile: NumberProfile) -> NumberReference:
    """Make one number of a profile ready; a profile meets many windows, in a replay thousands."""
    counted = axis(profile.counts)
    last_slots = tuple(_bin_ends(counted[1:-1]))
    bounds, labels = _bounds(profile.edges, last_slots)
    return NumberReference(
        axis=counted,
        places=np.asarray(profile.edges, dtype=np.float64),
        last_slots=last_slots,
        labels=(*labels, NEGATIVE_INFINITY, POSITIVE_INFINITY, MISSING),
        bounds=bounds,
        pooled=_pooled(profile.counts, counted, last_slots),
    )


def number_bins(profile: NumberProfile, current: NumberCounts) -> Bins:
    """Pool the slots of a number to about ten bins with equal shares of the reference's finite values.

    A value that holds a tenth of them or more gets a bin of its own, so that a constant or a heap of zeros is seen to
    move to either side. So do either infinity and what is missing.
    """
    return axis_bins(number_reference(profile), current, axis(current))


def axis_bins(reference: NumberReference, current: NumberCounts, counted: Axis) -> Bins:
    """Do what `number_bins` does, for callers that have made the window's axis already."""
    return Bins(
        labels=reference.labels,
        edges=reference.bounds,
        reference=reference.pooled,
        current=_pooled(current, counted, reference.last_slots),
    )


def category_bins(profile: CategoryProfile, current: CategoryCounts) -> Bins:
    """Return the frequent values, the other known ones, the unseen ones and the missing ones.

    The reference has seen all of its own values, so of a long tail every other sample has unseen ones. As many of the
    reference's rows as the window lets expect, and at most those on values met once, stand with the unseen.
    """
    reference = profile.counts
    labels = (*profile.frequent, OTHER, UNSEEN, MISSING)
    counted = (*current.frequent, current.other, current.unseen, current.missing)
    n_reference = sum(reference.frequent) + reference.other + reference.unseen + reference.missing
    as_in_window = round(current.unseen * n_reference / max(sum(counted), 1)) - reference.unseen
    expected = max(min(as_in_window, profile.n_once, reference.other), 0)
    return Bins(
        labels=labels,
        edges=(),
        reference=(
            *reference.frequent,
            reference.other - expected,
            reference.unseen + expected,
            reference.missing,
        ),
        current=counted,
    )


def _bin_ends(reference: Axis) -> list[int]:
    """Return the last slot of every bin of finite values."""
    total = int(reference.sum())
    last = len(reference) - 1
    if total == 0:
        return [last]
    targets = total * np.arange(1, N_BINS) / N_BINS
    ends = set(np.searchsorted(np.cumsum(reference), targets, side="left").tolist())
    heavy = np.flatnonzero(reference * N_BINS >= total).tolist()
    ends |= {place for slot in heavy for place in (slot - 1, slot) if place >= 0}
    return sorted(ends | {last})


def _pooled(counts: NumberCounts, counted: Axis, last_slots: tuple[int, ...]) -> tuple[int, ...]:
    """Return the counts of all bins; `counted` is the axis of the same counts."""
    starts = [0, *(slot + 1 for slot in last_slots[:-1])]
    finite: list[int] = np.add.reduceat(counted[1:-1], starts).tolist()
    missing = counts.missing + counts.not_a_number
    return (*finite, counts.negative_infinity, counts.positive_infinity, missing)


def _bounds(edges: tuple[float, ...], last_slots: tuple[int, ...]) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Return the bounds of the bins and their names; the odd slot 2i + 1 holds exactly edge i."""
    inner = [edges[min(slot // 2, len(edges) - 1)] for slot in last_slots[:-1]]
    bounds = (-np.inf, *inner, np.inf)
    labels = []
    for low, high, first, last in zip(bounds, bounds[1:], [-1, *last_slots], last_slots, strict=False):
        if first + 1 == last and last % 2 == 1:
            labels.append(f"{high:g}")
        elif high == np.inf:
            labels.append("all" if low == -np.inf else f"> {low:g}")
        else:
            closed = "<=" if last % 2 == 1 else "<"
            labels.append(f"{closed} {high:g}")
    return tuple(bounds), tuple(labels)
