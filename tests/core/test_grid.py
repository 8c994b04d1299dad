"""The grid tells a value's place among the edges exactly as a search among them does."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.core.grid import MAXIMUM_KEYS, Grid, grid_of, quantile_shares, rounded_edges
from mlops_assets.core.profile import count_number

FINITE = st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.integers(-3000, 3000).map(lambda whole: whole / 100)
SHARES = quantile_shares(20_000)


def keys_of(grid: Grid, values: np.ndarray) -> np.ndarray:
    """What an engine computes, in numpy."""
    keys = np.full(len(values), grid.n_keys - 1)
    for lattice in reversed(grid.lattices):
        keys[values < lattice.low] = lattice.first_key - 1
    for lattice in grid.lattices:
        inside = (values >= lattice.low) & (values <= lattice.high)
        keys[inside] = lattice.first_key
        if lattice.low < lattice.high:
            point = np.floor(values[inside] * (lattice.divisor / lattice.multiple) + 0.5)
            beside = np.sign(values[inside] - point * lattice.multiple / lattice.divisor)
            keys[inside] += (2 * (point - lattice.first_point) + beside).astype(int)
    return keys


def around(edges) -> np.ndarray:
    """The edges, their neighbors among the doubles, and the middles between them."""
    exact = np.array(edges, dtype=float)
    middles = exact[:-1] / 2 + exact[1:] / 2
    with np.errstate(over="ignore"):
        near = np.concatenate([exact, np.nextafter(exact, np.inf), np.nextafter(exact, -np.inf), middles])
    return near[np.isfinite(near)]


def assert_same_slots(edges, values):
    grid = grid_of(tuple(edges))
    counted = grid.slots(keys_of(grid, values), np.ones(len(values), dtype=np.int64))
    assert tuple(counted.tolist()) == count_number(tuple(edges), values).slots
    assert grid.n_keys <= MAXIMUM_KEYS


@settings(deadline=None)
@given(st.lists(FINITE | DECIMALS, unique=True, max_size=40), st.lists(FINITE | DECIMALS, max_size=40))
@example([0.28, 0.29, 0.57], [0.28, 0.29, 0.57])
@example([-0.0, 1e300], [0.0])
@example([2.0**53, 2.0**53 + 2], [2.0**53 + 2])
def test_any_edges_give_the_slots_of_a_search(edges, values):
    edges = sorted(edges)
    assert_same_slots(edges, np.concatenate([np.array(values), around(edges)]))


RNG = np.random.default_rng(8)
SAMPLES = {
    "normal": RNG.normal(3, 2, 20_000),
    "lognormal": RNG.lognormal(0, 1, 20_000),
    "cauchy": RNG.standard_cauchy(20_000),
    "integers": RNG.poisson(6, 20_000).astype(float),
    "cents": RNG.normal(20, 10, 20_000).round(2),
    "float32": RNG.normal(20, 10, 20_000).astype(np.float32).astype(float),
    "two far heaps": np.concatenate([RNG.normal(0, 1, 10_000), RNG.normal(1e6, 1, 10_000)]),
    "timestamps": 1.7e9 + RNG.uniform(0, 1e6, 20_000),
    "thirds": RNG.integers(0, 7, 20_000) / 3,
    "600 decades": 10.0 ** RNG.uniform(-300, 300, 500),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_rounded_edges_give_the_slots_of_a_search(name):
    values = SAMPLES[name]
    edges = rounded_edges(np.quantile(values, SHARES, method="inverted_cdf"))
    assert_same_slots(edges, np.concatenate([values, around(edges)]))


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "600 decades"])
def test_few_lattices_serve_what_is_met_in_practice(name):
    edges = rounded_edges(np.quantile(SAMPLES[name], SHARES, method="inverted_cdf"))
    assert len(grid_of(edges).lattices) <= 7


@pytest.mark.parametrize("name", [name for name in SAMPLES if name != "600 decades"])
def test_the_binned_distance_is_close_to_the_exact_one(name):
    rng = np.random.default_rng(4)
    reference, current = np.sort(SAMPLES[name]), np.sort(rng.choice(SAMPLES[name], 20_000) * 1.02)
    points = np.concatenate([reference, current])
    exact = np.abs(shares_up_to(reference, points) - shares_up_to(current, points)).max()
    edges = rounded_edges(np.quantile(reference, SHARES, method="inverted_cdf"))
    before, after = (np.cumsum(count_number(edges, rows).slots) / len(rows) for rows in (reference, current))
    # 20,000 rows leave 20 between two edges; a million, as in the benchmark, come within 3e-4.
    assert exact - np.abs(before - after).max() == pytest.approx(0, abs=1.5e-3)


def shares_up_to(ordered: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.searchsorted(ordered, points, side="right") / len(ordered)


def test_a_heap_keeps_an_edge_of_its_own_and_a_shared_value_two_around_it():
    heap = np.concatenate([np.full(600, 1 / 3), np.full(20, 2 / 3), np.linspace(0, 1, 381)])
    edges = np.array(rounded_edges(np.sort(heap)))
    assert 1 / 3 in edges
    assert ((edges > 0.66) & (edges < 2 / 3)).any()
    assert ((edges > 2 / 3) & (edges < 0.67)).any()


def test_no_values_have_no_edges_and_a_constant_is_one():
    assert rounded_edges(np.array([])) == ()
    assert rounded_edges(np.full(1001, 0.1 + 0.2)) == (0.1 + 0.2,)
    assert grid_of(()).n_keys == 1
