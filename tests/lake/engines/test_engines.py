"""DuckDB, PostgreSQL and Spark, each a real one, give the very counts that numpy gives."""

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pyarrow.parquet as pq
import pytest

from mlops_assets.core.profile import count
from mlops_assets.errors import OperationError
from mlops_assets.lake.counting import count_rows
from mlops_assets.lake.engines import window_table
from mlops_assets.lake.queries import labelled_predictions, log_versions, window_counts
from mlops_assets.lake.tables import Lake
from tests.lake.engines.log import END, START, as_document, hard_profile, hard_spec, write_log

ROOT = Path(__file__).parents[3]
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
DUCKDB = "duckdb://?memory_limit=512MB"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake(tmp_path_factory.mktemp("engines") / "lake")
    write_log(made)
    return made


@pytest.fixture(scope="module")
def expected(lake: Lake) -> dict:
    """numpy's counts of the joined frame, in which NaN and NULL are one; they are told apart by what was written."""
    spec = hard_spec()
    frame = labelled_predictions(lake, spec, log_versions(lake, spec.name), start=START, end=END)
    document = as_document(count(hard_profile(), frame))
    continuous = document["numbers"]["continuous"]
    assert continuous["missing"] == 150
    continuous.update(missing=100, not_a_number=50)
    return document


def test_duckdb_gives_the_counts_of_numpy(lake: Lake, expected: dict):
    counts = window_counts(lake, hard_spec(), hard_profile(), start=START, end=END, engine=DUCKDB)
    assert as_document(counts) == expected
    number = counts.numbers["continuous"]
    assert (number.missing, number.not_a_number) == (100, 50)
    assert (number.positive_infinity, number.negative_infinity) == (20, 10)
    assert counts.numbers["vanished"].missing == counts.n_rows == 3010  # ten of those sent again had no request id
    assert (counts.categories["city"].unseen, counts.categories["city"].missing) == (12, 30)
    assert counts.categories["city"].other > 0


def test_a_window_without_rows_or_without_a_log_counts_nothing(lake: Lake, tmp_path: Path):
    for empty, start in ((lake, END + (END - START)), (Lake(tmp_path), START)):
        counts = window_counts(
            empty, hard_spec(), hard_profile(), start=start, end=start + (END - START), engine=DUCKDB
        )
        assert counts.n_rows == 0
        assert sum(counts.numbers["continuous"].slots) == 0


def test_a_feature_that_the_log_does_not_have_is_missing_in_every_row(tmp_path: Path, lake: Lake):
    files = lake.files("tiny", "predictions", "event_time", start=START, end=END)
    pq.write_table(pq.read_table(files[:1]).drop_columns(["cents", "city"]), tmp_path / "older.parquet")
    with window_table(DUCKDB, [str(tmp_path / "older.parquet")], ()) as rows:
        counts = count_rows(rows, hard_profile())
    assert counts.numbers["cents"].missing == counts.categories["city"].missing == counts.n_rows > 0


def test_files_without_a_row_of_the_window_are_not_opened(lake: Lake):
    assert len(lake.files("tiny", "predictions", "event_time", start=START, end=END)) == 3
    assert len(lake.files("tiny", "predictions", "event_time", start=END, end=END + (END - START))) == 1


def test_an_engine_that_does_not_exist_is_named():
    with pytest.raises(OperationError, match="MLOPS_ENGINE=oracle://x: no such engine"):
        window_table("oracle://x", [], ()).__enter__()


@pytest.mark.processes
def test_postgresql_gives_the_counts_of_numpy(lake: Lake, expected: dict, clients: Path, postgresql: str):
    assert counted(lake, postgresql, clients) == expected


@pytest.mark.processes
def test_spark_gives_the_counts_of_numpy(lake: Lake, expected: dict, clients: Path, tmp_path: Path):
    require(shutil.which("java"), "Java (default-jre-headless)")
    settings = {
        "spark.master": "local[2]",
        "spark.sql.codegen.wholeStage": "false",  # compiling takes longer than so few rows
        "spark.sql.adaptive.enabled": "false",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "1",
        "spark.local.dir": str(tmp_path),
        "spark.sql.warehouse.dir": str(tmp_path / "warehouse"),
    }
    assert counted(lake, f"pyspark://?{urlencode(settings)}", clients) == expected


def counted(lake: Lake, url: str, clients: Path) -> dict:
    """Count in a process that has the engine's client library."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(clients)])}
    done = subprocess.run(
        [sys.executable, "-m", "tests.lake.engines.count_log", str(lake.root), url],
        cwd=clients,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def require(found: object, package: str) -> None:
    """Skip where a system package is missing; CI has to have it."""
    if not found:
        assert not os.environ.get("CI"), f"CI must have {package}"
        pytest.skip(f"{package} is not installed; see `make system-packages`")


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the client libraries, which are not the project's."""
    folder = tmp_path_factory.mktemp("clients")
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    subprocess.run([*command, "-r", str(REQUIREMENTS)], check=True, timeout=280, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """A server of its own on a socket in a temporary folder; PostgreSQL refuses to run as root."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda path: int(path.parent.name))
    require(programs, "PostgreSQL (postgresql)")
    assert programs is not None
    user = next(name for name in ("postgres", "nobody") if has_user(name)) if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="mlops-postgres-") as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(folder / "data"), *arguments]
            subprocess.run(command, user=user, cwd=folder, check=True, timeout=120, stdout=subprocess.DEVNULL)

        run("initdb", "--username=mlops", "--auth=trust", "--no-sync")
        run("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "-o", f"-k {folder} -c listen_addresses=''")
        try:
            yield f"postgresql://mlops@/postgres?{urlencode({'host': str(folder)})}"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate")


def has_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())
