"""Columns as they are read from the wire."""

import numpy as np
import pytest

from protos.mlops.v1 import prediction_pb2 as pb
from serving.api.codec import rows_of_columns
from serving.formats.contract import Contract, NumberFeature, TextFeature

CONTRACT = Contract("toy", (NumberFeature("x", nullable=True),), (), "no", "yes")


@pytest.mark.parametrize("n_rows", [1, 15, 16, 17, 1000])
def test_numbers_are_read_exactly_whatever_their_length(n_rows: int):
    values = np.random.default_rng(0).normal(size=n_rows) * 1e30
    values[0] = np.nan
    request = pb.PredictBatchRequest(columns=[pb.Column(name="x", numbers=pb.NumberColumn(values=values))])
    numbers, _ = rows_of_columns(request, CONTRACT)
    np.testing.assert_array_equal(numbers[:, 0], values)


def test_fields_of_a_newer_client_do_not_shift_the_numbers():
    unknown = b"\xfa\x07\x03new"  # field 127, a text
    wire = pb.NumberColumn(values=[1.5, 2.5]).SerializeToString()
    for content in (wire + unknown, unknown + wire):
        column = pb.Column(name="x", numbers=pb.NumberColumn.FromString(content))
        numbers, _ = rows_of_columns(pb.PredictBatchRequest(columns=[column]), CONTRACT)
        assert numbers[:, 0].tolist() == [1.5, 2.5]


def test_numbers_that_came_unpacked_are_read_too():
    unpacked = b"\x09" + np.float64(1.5).tobytes() + b"\x09" + np.float64(2.5).tobytes()
    column = pb.Column(name="x", numbers=pb.NumberColumn.FromString(unpacked))
    numbers, _ = rows_of_columns(pb.PredictBatchRequest(columns=[column]), CONTRACT)
    assert numbers[:, 0].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("n_rows", [1, 127, 128, 1000])
@pytest.mark.parametrize("n_categories", [1, 127, 128, 300])
def test_codes_are_read_exactly_whatever_their_size(n_rows: int, n_categories: int):
    contract = Contract("toy", (), (TextFeature("city", open=True, nullable=True),), "no", "yes")
    dictionary = [f"city {number}" for number in range(n_categories)]
    codes = np.random.default_rng(1).integers(0, n_categories + 1, size=n_rows).tolist()
    column = pb.Column(name="city", texts=pb.TextColumn(dictionary=dictionary, codes=codes))
    _, (texts,) = rows_of_columns(pb.PredictBatchRequest(columns=[column]), contract)
    assert texts.texts().tolist() == ["" if code == 0 else dictionary[code - 1] for code in codes]
