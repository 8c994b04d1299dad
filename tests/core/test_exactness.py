"""How close the statistics of a number on its profile's edges are to the exact ones, by kind of data."""

import numpy as np
import pytest
from scipy import stats

from mlops_assets.core.feature_drift import number_drift
from mlops_assets.core.profile import build_profile, count_number
from tests.core.example import example_frame, example_spec

KINDS = {
    "normal": lambda g, n, by: g.normal(by, 1, n),
    "exponential": lambda g, n, by: g.exponential(size=n) + by,
    "discrete": lambda g, n, by: g.poisson(3 + 2 * by, n).astype(float),
    "t(3)": lambda g, n, by: g.standard_t(3, n) + by,
    "lognormal(1)": lambda g, n, by: g.lognormal(by, 1, n),
    "gamma(0.1)": lambda g, n, by: g.gamma(0.1, size=n) * (1 + by),
    "t(2)": lambda g, n, by: g.standard_t(2, n) + by,
    "lognormal(2)": lambda g, n, by: g.lognormal(2 * by, 2, n),
    "Cauchy": lambda g, n, by: g.standard_cauchy(n) + by,
    "Pareto(1.2)": lambda g, n, by: g.pareto(1.2, n) + by,
    "two scales": lambda g, n, by: np.where(g.random(n) < 0.5, g.normal(by, 1e-6, n), g.normal(by, 1e6, n)),
}
WITHIN = {"normal": 0.01, "exponential": 0.01, "discrete": 0.01, "t(3)": 0.05, "lognormal(1)": 0.05, "gamma(0.1)": 0.05}
WITHIN |= {"t(2)": 0.15, "lognormal(2)": 0.25}


def measured(kind, n_rows, n_window, by):
    generator = np.random.default_rng(3)
    reference, window = KINDS[kind](generator, n_rows, 0.0), KINDS[kind](generator, n_window, by)
    frame = example_frame(n_rows).assign(amount=reference)
    profile = build_profile(frame, example_spec().contract).by_name["amount"]
    return number_drift(profile, count_number(profile.edges, window)), reference, window


@pytest.mark.parametrize("by", [0.3, 1.0])
@pytest.mark.parametrize("kind", WITHIN)
def test_the_wasserstein_distance_is_as_close_as_the_tails_allow(kind, by):
    drift, reference, window = measured(kind, 20_000, 5000, by)
    exact = stats.wasserstein_distance(reference, window) / reference.std()
    assert drift.wasserstein_distance == pytest.approx(exact, rel=WITHIN[kind])


@pytest.mark.parametrize("by", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_kolmogorov_smirnov_statistic_is_within_a_thousandth_whatever_the_tails(kind, by):
    drift, reference, window = measured(kind, 100_000, 50_000, by)
    exact = stats.ks_2samp(reference, window, method="asymp").statistic
    assert drift.ks_statistic == pytest.approx(exact, abs=1e-3)
