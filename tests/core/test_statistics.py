import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mlops_assets.core.profile import count_number
from mlops_assets.core.statistics import (
    benjamini_hochberg,
    chi_square,
    jensen_shannon_distance,
    kolmogorov_smirnov,
    population_stability_index,
    wasserstein_distance,
)

counts = st.lists(st.integers(0, 500), min_size=4, max_size=4)
GENERATOR = np.random.default_rng(7)


def test_psi_is_the_jeffreys_divergence_of_the_shares():
    reference, current = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.25, 0.25, 0.25, 0.25])
    divergence = stats.entropy(reference, current) + stats.entropy(current, reference)
    assert population_stability_index(reference * 1e8, current * 1e8) == pytest.approx(divergence, rel=1e-6)


def test_psi_without_drift_has_its_null_expectation():
    n = m = 90
    draws = [
        population_stability_index(GENERATOR.multinomial(n, [0.1] * 10), GENERATOR.multinomial(m, [0.1] * 10))
        for _ in range(2000)
    ]
    assert np.mean(draws) == pytest.approx(9 * (1 / n + 1 / m), rel=0.1)


def test_the_distance_is_scipys_and_known_at_its_ends():
    p, q = GENERATOR.integers(0, 50, 12), GENERATOR.integers(0, 50, 12)
    assert jensen_shannon_distance(p, q) == pytest.approx(float(jensenshannon(p, q, base=2)))
    assert jensen_shannon_distance([5, 0], [0, 9]) == 1.0
    assert jensen_shannon_distance([1, 2], [10, 20]) == 0.0


def on_axis(reference, current):
    axis = np.unique(np.concatenate([reference, current]))
    return [np.bincount(np.searchsorted(axis, sample), minlength=len(axis)) for sample in (reference, current)]


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("n", "m"), [(200, 250), (1000, 400), (5000, 1000), (20_000, 5000)])
def test_kolmogorov_smirnov_is_scipys(n, m, shift):
    reference, current = GENERATOR.normal(size=n).round(1), GENERATOR.normal(shift, size=m).round(1)
    statistic, p_value = kolmogorov_smirnov(*on_axis(reference, current))
    expected = stats.ks_2samp(reference, current, method="asymp")
    assert statistic == pytest.approx(expected.statistic)
    assert p_value == pytest.approx(expected.pvalue, abs=0.012)
    assert p_value == pytest.approx(expected.pvalue, rel=0.03) or not 1e-4 < expected.pvalue < 0.1


@pytest.mark.parametrize(("critical", "p_value"), [(1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)])
def test_critical_values_of_kolmogorov_smirnov_are_the_published_ones(critical, p_value):
    """Smirnov (1948), Table for estimating the goodness of fit of empirical distributions: the limit of many rows."""
    n = 10**8
    apart = round(critical * np.sqrt(2 * n))
    statistic, found = kolmogorov_smirnov([n, 0], [n - apart, apart])
    assert statistic == pytest.approx(apart / n)
    assert found == pytest.approx(p_value, rel=5e-3)


def test_chi_square_is_scipys():
    table = np.array([[30, 12, 0, 7], [20, 30, 0, 9]])
    effect, p_value = chi_square(*table)
    expected = stats.chi2_contingency(table[:, [0, 1, 3]], correction=False)
    assert p_value == pytest.approx(expected.pvalue)
    assert effect == pytest.approx(np.sqrt(expected.statistic / table.sum()))


def test_benjamini_hochberg_is_scipys_and_skips_what_was_not_tested():
    p_values = GENERATOR.random(25) ** 3
    assert benjamini_hochberg(p_values.tolist()) == pytest.approx(stats.false_discovery_control(p_values).tolist())
    assert benjamini_hochberg([None, 0.01, None, 0.04]) == pytest.approx([None, 0.02, None, 0.04])
    assert benjamini_hochberg([]) == []


def test_the_example_of_benjamini_and_hochberg_rejects_four():
    """Benjamini and Hochberg (1995), section 4.1: fifteen p-values, four rejections at 0.05."""
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    assert sum(p < 0.05 for p in benjamini_hochberg(p_values)) == 4


@pytest.mark.parametrize("statistic", [population_stability_index, jensen_shannon_distance])
def test_an_empty_sample_has_no_statistic(statistic):
    assert statistic([0, 0], [1, 2]) is None
    assert kolmogorov_smirnov([0, 0], [1, 2]) == chi_square([0, 0], [1, 2]) == (None, None)


@given(counts, counts)
def test_statistics_are_symmetric_bounded_and_zero_on_themselves(p, q):
    index, distance = population_stability_index(p, q), jensen_shannon_distance(p, q)
    if not sum(p) or not sum(q):
        assert index is distance is None
        return
    assert index >= 0
    assert 0 <= distance <= 1
    assert population_stability_index(q, p) == pytest.approx(index)
    assert jensen_shannon_distance(q, p) == pytest.approx(distance)
    assert population_stability_index(p, p) == pytest.approx(0.0, abs=1e-12)
    statistic, p_value = kolmogorov_smirnov(p, q)
    effect, chance = chi_square(p, q)
    assert all(0 <= value <= 1 for value in (statistic, p_value, effect, chance))


@given(st.lists(st.floats(0, 1), max_size=30))
def test_adjusted_p_values_keep_the_order_and_never_fall(p_values):
    adjusted = benjamini_hochberg(p_values)
    assert all(after >= before - 1e-12 for before, after in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= -1e-12)


def on_edges(edges, values):
    return np.asarray(count_number(tuple(edges.tolist()), values).slots)


def distance(reference, current):
    edges = np.unique(np.quantile(reference, np.linspace(0, 1, 1001), method="inverted_cdf"))
    return wasserstein_distance(edges, on_edges(edges, reference), on_edges(edges, current))


def in_deviations(reference, current):
    return stats.wasserstein_distance(reference, current) / reference.std()


def test_wasserstein_is_scipys_where_all_values_lie_on_edges():
    reference, current = GENERATOR.integers(0, 40, 900) / 7, GENERATOR.integers(3, 30, 500) / 7
    assert distance(reference, current) == pytest.approx(in_deviations(reference, current), rel=1e-12)


@pytest.mark.parametrize(
    "draw",
    [
        lambda n, by: GENERATOR.normal(by, 1, n),
        lambda n, by: GENERATOR.lognormal(by, 0.6, n),
        lambda n, by: GENERATOR.poisson(3 + 2 * by, n).astype(float),
        lambda n, by: GENERATOR.choice([-4.0, 5.0], n) + GENERATOR.normal(by, 1, n),
    ],
    ids=["normal", "skewed", "discrete", "two humps"],
)
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_wasserstein_on_a_thousand_quantiles_is_within_a_hundredth_of_a_deviation_of_scipys(draw, shift):
    reference, current = draw(20_000, 0.0), draw(5000, shift)
    assert distance(reference, current) == pytest.approx(in_deviations(reference, current), abs=0.01)


def test_wasserstein_of_a_shift_is_the_shift_in_deviations_of_the_reference():
    reference = GENERATOR.normal(50, 20, 50_000)
    assert distance(reference, reference + 5) == pytest.approx(0.25, abs=0.003)


def test_wasserstein_takes_what_is_out_of_range_as_lying_at_its_end():
    reference = np.linspace(0, 1, 1001)
    assert distance(reference, reference + 100) == distance(reference, reference + 2)
    assert distance(reference, np.full(5, 1.0)) == pytest.approx(distance(reference, np.full(5, 9.0)))


@pytest.mark.parametrize("unit", [1e-300, 1.0, 1e300])
def test_wasserstein_does_not_depend_on_the_unit(unit):
    reference, current = GENERATOR.normal(size=3000), GENERATOR.normal(0.4, size=1000)
    assert distance(reference * unit, current * unit) == pytest.approx(distance(reference, current))


def test_wasserstein_without_spread_or_sample_is_none():
    assert wasserstein_distance([7.0], [0, 9, 0], [3, 0, 0]) is None
    assert wasserstein_distance([], [0], [3]) is None
    assert wasserstein_distance([1.0, 2.0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]) is None
    assert wasserstein_distance([-1.7e308, 1.7e308], [0, 1, 0, 1, 0], [0, 0, 0, 2, 0]) == pytest.approx(1.0)


@given(st.lists(st.integers(0, 50), min_size=7, max_size=7), st.lists(st.integers(0, 50), min_size=7, max_size=7))
def test_wasserstein_is_never_negative_and_zero_on_itself(reference, current):
    found = wasserstein_distance([0.0, 1.0, 10.0], reference, current)
    assert found is None or found >= 0
    assert wasserstein_distance([0.0, 1.0, 10.0], reference, reference) in {None, 0.0}


def test_published_values_of_the_statistics():
    """A 2 x 3 table of Agresti (2013), Categorical data analysis, table 3.2: gender against party, X2 = 30.07, df = 2.

    And Lin (1991): the Jensen-Shannon divergence of (1/2, 1/2) from (1, 0) is 1 - (3/4) log2(3) + 1/2 = 0.3113 bit.
    """
    women, men = [762, 327, 468], [484, 239, 477]
    effect, p_value = chi_square(women, men)
    assert effect == pytest.approx(np.sqrt(30.07 / 2757), abs=1e-5)
    assert p_value == pytest.approx(2.95e-7, rel=0.01)
    assert jensen_shannon_distance([1, 1], [1, 0]) ** 2 == pytest.approx(0.3113, abs=1e-4)
    assert jensen_shannon_distance([1, 1], [1, 0]) ** 2 == pytest.approx(1.5 - 0.75 * np.log2(3))
