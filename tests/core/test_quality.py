from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.core.quality import extreme_share, measure_quality
from mlops_assets.spec import DataQualityPolicy


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([], None),
        ([np.nan, np.nan], None),
        ([5.0], 0.0),
        ([0.1] * 1000, 0.0),
        ([0.0] * 99 + [50.0], 0.01),
        ([0.0] * 98 + [50.0, np.inf], 0.02),
        ([np.inf, -np.inf], 1.0),
        ([1e300, -1e300] * 50 + [1e308], 1 / 101),
        ([0.0] * 99 + [50.0] + [np.nan] * 100, 0.01),
        ([1e-320] * 50 + [2e-320] * 50, 0.0),
    ],
)
def test_the_share_of_extreme_values(values, share):
    assert extreme_share(np.array(values, dtype=float)) == share


def test_three_in_a_thousand_normal_values_are_extreme():
    assert extreme_share(np.random.default_rng(1).normal(1e9, 1, 200_000)) == pytest.approx(0.0027, abs=0.0005)


@given(st.lists(st.floats(allow_infinity=False, allow_nan=False), min_size=1, max_size=60))
def test_finite_values_keep_to_chebyshevs_bound(values):
    assert 0 <= extreme_share(np.array(values)) <= 1 / 9


def quality(spec, size, color):
    return {column.name: column for column in measure_quality(pd.DataFrame({"size": size, "color": color}), spec)}


def test_a_column_over_a_limit_is_suspicious_and_only_that(tiny_spec):
    spec = replace(tiny_spec, quality=DataQualityPolicy(maximum_missing_share=0.2, maximum_extreme_share=0.005))
    assert not quality(spec, [1.0, 2.0, 3.0, 4.0, np.nan], ["red", "red", "red", None, "blue"])["size"].suspicious
    many = quality(spec, [1.0, 2.0, np.nan, np.nan, 4.0], ["red", "", None, "blue", "red"])
    assert (many["size"].missing_share, many["size"].suspicious) == (0.4, True)
    assert (many["color"].missing_share, many["color"].extreme_share, many["color"].suspicious) == (0.4, None, True)
    extreme = quality(spec, [0.0] * 99 + [50.0], ["red"] * 100)
    assert (extreme["size"].extreme_share, extreme["size"].suspicious) == (0.01, True)
    assert not extreme["color"].suspicious


def test_no_rows_and_wholly_missing_columns_have_a_result(tiny_spec):
    empty = quality(tiny_spec, pd.Series([], dtype=float), pd.Series([], dtype=object))
    assert [(column.missing_share, column.suspicious) for column in empty.values()] == [(None, False)] * 2
    missing = quality(tiny_spec, [np.nan] * 3, [None] * 3)
    assert [(column.missing_share, column.suspicious) for column in missing.values()] == [(1.0, True)] * 2
