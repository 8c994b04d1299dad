import numpy as np
import pytest

from mlops_assets.core.labels import LabelArrival, measure_labels


def test_coverage_and_delay_of_labels():
    arrival = measure_labels(20, np.arange(1.0, 12.0) * 3600)
    assert (arrival.n_rows, arrival.n_labels, arrival.coverage) == (20, 11, 0.55)
    assert arrival.delay_median_seconds == 6 * 3600
    assert arrival.delay_p90_seconds == pytest.approx(10 * 3600)


@pytest.mark.parametrize(("n_rows", "coverage"), [(0, None), (7, 0.0)])
def test_without_labels_the_delay_is_unknown(n_rows, coverage):
    assert measure_labels(n_rows, np.array([])) == LabelArrival(n_rows, 0, coverage, None, None)
