"""Streams of windows whose distribution is known: stable ones, and the same with one feature shifted.

Where rows are independent given their window, the counts of a window are drawn at once from a multinomial over the
slots of the reference: exactly what counting drawn rows gives, at a cost that does not grow with the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import signal, stats

from mlops_assets.core.profile import (
    CategoryCounts,
    CategoryProfile,
    Counts,
    NumberCounts,
    NumberProfile,
    Profile,
    build_profile,
    count,
)
from mlops_assets.core.windows import SEASON_CYCLES
from mlops_assets.spec import Category, Feature, Label, ModelSpec, Number

N_FEATURES = 25
N_REFERENCE = 5000
WINDOWS_A_DAY, WINDOWS_A_WEEK = 24, 168
Levels = NDArray[np.float64]


@dataclass(frozen=True)
class NumberColumn:
    """A number of a known distribution; `on_integers` if it takes whole values only."""

    distribution: Any
    on_integers: bool = False

    @cached_property
    def deviation(self) -> float:
        """Its standard deviation; where it has none, its interquartile range over that of a normal number."""
        deviation = float(self.distribution.std())
        quartiles = self.distribution.ppf([0.25, 0.75])
        return deviation if np.isfinite(deviation) else float(np.diff(quartiles)[0] / 1.349)

    def draw(self, generator: np.random.Generator, levels: Levels) -> NDArray[Any]:
        """Return one value per level."""
        values: NDArray[Any] = self.distribution.rvs(size=len(levels), random_state=generator)
        return values + levels * self.deviation

    def shares(self, edges: NDArray[np.float64], level: float) -> NDArray[np.float64]:
        """Return the probability of every slot of the edges, the column being shifted by so many deviations."""
        places = edges - level * self.deviation
        upto = self.distribution.cdf(places)
        below = self.distribution.cdf(places - 1) if self.on_integers else upto
        bounds = np.stack([below, upto], axis=1).ravel()
        return np.diff(bounds, prepend=0.0, append=1.0)


@dataclass(frozen=True)
class TextColumn:
    """A category with Zipf's frequencies."""

    n_values: int

    @cached_property
    def weights(self) -> dict[str, float]:
        """The probability of every value."""
        weights = 1 / np.arange(1, self.n_values + 1)
        return {f"value-{place}": weight for place, weight in enumerate(weights / weights.sum())}

    def draw(self, generator: np.random.Generator, levels: Levels) -> NDArray[Any]:
        """Return one value per level, whatever the level."""
        return generator.choice(np.array(list(self.weights), dtype=object), len(levels), p=list(self.weights.values()))

    def shares(self, profile: CategoryProfile) -> NDArray[np.float64]:
        """Return the probability of the profile's frequent values, the other known ones, and the unseen ones."""
        frequent = [self.weights[value] for value in profile.frequent]
        other = sum(self.weights[value] for value in profile.other)
        return np.array([*frequent, other, max(1 - sum(frequent) - other, 0.0)])


@dataclass(frozen=True)
class Stream:
    """Windows of 25 features, an hour each.

    Attributes:
        name: For people.
        columns: One per feature.
        path: Windows and a generator to the level of every feature in each, in standard deviations.
        correlation: Between every two features; above 0, rows are drawn one by one and all columns are normal.
        seasonal: Whether the features follow the day.
    """

    name: str
    columns: tuple[NumberColumn | TextColumn, ...]
    path: Callable[[NDArray[np.int_], np.random.Generator], Levels]
    correlation: float = 0.0
    seasonal: bool = False

    @cached_property
    def spec(self) -> ModelSpec:
        """The stream's features as a model declares them."""
        features: list[Feature] = [
            Number(name=f"feature_{place}", seasonal=self.seasonal)
            if isinstance(column, NumberColumn)
            else Category(name=f"feature_{place}", open=True, seasonal=self.seasonal)
            for place, column in enumerate(self.columns)
        ]
        label = Label(name="outcome", negative="no", positive="yes")
        return ModelSpec(name="stream", description="", label=label, features=tuple(features), source=pd.DataFrame)

    def reference(self, generator: np.random.Generator) -> Profile:
        """Return the profile of 5000 rows, spread evenly over a week."""
        levels = self.path(np.arange(WINDOWS_A_WEEK), generator)
        rows = levels[np.arange(N_REFERENCE) * WINDOWS_A_WEEK // N_REFERENCE]
        return build_profile(self._rows(generator, rows), self.spec.contract)

    def counts(self, generator: np.random.Generator, profile: Profile, n_rows: int, levels: Levels) -> Counts:
        """Return the counts of one window whose features have these levels."""
        if self.correlation:
            return count(profile, self._rows(generator, np.broadcast_to(levels, (n_rows, len(levels)))))
        numbers, categories = {}, {}
        for feature, column, level in zip(self.spec.features, self.columns, levels.tolist(), strict=True):
            reference = profile.by_name[feature.name]
            if isinstance(column, NumberColumn):
                assert isinstance(reference, NumberProfile)
                numbers[feature.name] = _drawn(generator, n_rows, _slot_shares(column, reference.edges, level))
            else:
                assert isinstance(reference, CategoryProfile)
                drawn = generator.multinomial(n_rows, column.shares(reference)).tolist()
                categories[feature.name] = CategoryCounts(tuple(drawn[:-2]), other=drawn[-2], unseen=drawn[-1])
        return Counts(n_rows, numbers, categories)

    def season(self, generator: np.random.Generator, profile: Profile, n_rows: int, hour: int) -> Counts | None:
        """Return the counts of the windows of one hour of the day in the days that the loop looks back."""
        if not self.seasonal:
            return None
        return self.counts(generator, profile, SEASON_CYCLES * n_rows, self.path(np.array([hour]), generator)[0])

    def _rows(self, generator: np.random.Generator, levels: Levels) -> pd.DataFrame:
        if self.correlation:
            common, own = np.sqrt(self.correlation), np.sqrt(1 - self.correlation)
            shared = generator.normal(size=(len(levels), 1))
            values = common * shared + own * generator.normal(size=levels.shape) + levels
            return pd.DataFrame(values, columns=self.spec.feature_names)
        columns = zip(self.spec.features, self.columns, levels.T, strict=True)
        return pd.DataFrame({feature.name: column.draw(generator, of_rows) for feature, column, of_rows in columns})


def _drawn(generator: np.random.Generator, n_rows: int, shares: NDArray[np.float64]) -> NumberCounts:
    possible = np.flatnonzero(shares)
    slots = np.zeros(len(shares), dtype=np.int64)
    slots[possible] = generator.multinomial(n_rows, shares[possible])
    return NumberCounts(tuple(slots.tolist()))


@lru_cache(maxsize=2000)
def _slot_shares(column: NumberColumn, edges: tuple[float, ...], level: float) -> NDArray[np.float64]:
    return column.shares(np.array(edges), level)


def _steady(windows: NDArray[np.int_], _: np.random.Generator) -> Levels:
    return np.zeros((len(windows), N_FEATURES))


def _daily(windows: NDArray[np.int_], _: np.random.Generator) -> Levels:
    phases = np.arange(N_FEATURES) * WINDOWS_A_DAY / N_FEATURES
    return np.sin(2 * np.pi * (windows[:, np.newaxis] + phases) / WINDOWS_A_DAY)


def _wandering(windows: NDArray[np.int_], generator: np.random.Generator) -> Levels:
    """Levels of 0.2 deviations that last for about ten windows: an autoregression of 0.9 per window."""
    steps = generator.normal(scale=0.2 * np.sqrt(1 - 0.9**2), size=(WINDOWS_A_DAY + len(windows), N_FEATURES))
    return np.asarray(signal.lfilter([1.0], [1.0, -0.9], steps, axis=0))[WINDOWS_A_DAY:]


def _repeated(distributions: Sequence[Any], *, on_integers: bool = False) -> tuple[NumberColumn, ...]:
    chosen = [distributions[place % len(distributions)] for place in range(N_FEATURES)]
    return tuple(NumberColumn(distribution, on_integers) for distribution in chosen)


SMOOTH = _repeated([stats.norm(), stats.uniform(), stats.expon(), stats.gamma(4), stats.beta(2, 5)])
WHOLE = [stats.poisson(0.05), stats.poisson(3), stats.bernoulli(0.3), stats.bernoulli(0.005), stats.geom(0.2)]
MIXED = (*_repeated(WHOLE, on_integers=True)[:15], *(TextColumn(n) for n in (2, 3, 5, 8, 12, 16, 24, 50, 105, 1000)))
TAILED = _repeated(
    [stats.cauchy(), stats.t(2), stats.lognorm(2), stats.pareto(1.2), stats.gamma(0.1)],
)
NORMAL = _repeated([stats.norm()])

STREAMS = {
    stream.name: stream
    for stream in (
        Stream("independent", SMOOTH, _steady),
        Stream("discrete", MIXED, _steady),
        Stream("heavy-tailed", TAILED, _steady),
        Stream("correlated", NORMAL, _steady, correlation=0.8),
        Stream("daily cycle", NORMAL, _daily, seasonal=True),
        Stream("autocorrelated", NORMAL, _wandering),
    )
}
