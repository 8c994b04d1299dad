"""Rows for `mlops predict` that can not be read are named with their place and what is expected."""

import io

import pytest

from mlops_assets.cli.rows import read_rows
from mlops_assets.errors import DataError
from tests.cli.toy_spec import spec

REFUSED = {
    "": "holds no rows; give CSV",
    "distance,carrier\n": "holds no rows; give CSV",
    "[1, 2]": "line 1 is not a JSON object",
    '{"distance": 1}\n[1]': "line 2 is not a JSON object",
    '{"distance": 1}\n\n{"distance": ': "line 3 is not a JSON object",
    '{"distance": [1]}': r"line 1: distance is \[1\], not a number",
    '{"carrier": {"a": 1}}': 'line 1: carrier is {"a": 1}, not a number',
    '{"carrier": "\\ud800"}': "line 1: carrier is",
    '{"distance": 1' + 400 * "0" + "}": "line 1: distance is 1000",
    "distance,carrier\n1,aa\n\n1,aa,jfk\n": "line 4 does not have as many cells as the header",
    "distance,carrier\n1\n": "line 2 does not have as many cells as the header",
    'carrier,distance\n"a\na",1\nbb,soon\n': "line 4: distance is 'soon', not a number",
    "carrier\n" + 200_000 * "a": "is not CSV after line 1",
}


@pytest.mark.parametrize(("text", "why"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_not_rows_is_refused_with_its_place(text: str, why: str):
    with pytest.raises(DataError, match=f"^-.*{why}"):
        read_rows(spec, io.StringIO(text))


def test_a_file_that_is_not_text_is_named(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1\xff\xfe\x00")
    with (tmp_path / "rows.parquet").open(encoding="utf-8") as file, pytest.raises(DataError, match="parquet .*UTF-8"):
        read_rows(spec, file)


def test_empty_cells_and_nulls_are_missing():
    assert read_rows(spec, io.StringIO("distance,carrier\n,\n")) == [("-: line 2", {"distance": None, "carrier": None})]
    assert read_rows(spec, io.StringIO('{"distance": null}')) == [("-: line 1", {"distance": None})]
