"""The server's tests in an environment that holds the dependency group `serving` and no more."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
ESSENTIAL = ("start", "prediction", "open_inference", "prediction_log")


def run(*command: object) -> str:
    """Run a command at the project's root, without this environment's variables; return what it printed."""
    names = ("PYTHONPATH", "VIRTUAL_ENV", "MLOPS_HOME", "MLOPS_MODELS")
    environment = {name: value for name, value in os.environ.items() if name not in names}
    ended = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of that environment; the versions are those of the lock."""
    folder = tmp_path_factory.mktemp("serving") / "venv"
    run(sys.executable, "-m", "uv", "venv", "--python", sys.executable, folder)
    wanted = ("--group", "serving-tests", "--constraint", "requirements.lock")
    run(sys.executable, "-m", "uv", "pip", "install", "--python", folder / "bin/python", *wanted)
    return folder / "bin" / "python"


def passed_by(python: Path, *arguments: object) -> int:
    """Run pytest there, past the fixtures of the whole project, and return how many tests have passed."""
    printed = run(python, "-m", "pytest", "-p", "no:cacheprovider", "--confcutdir=tests/serving", *arguments)
    counted = re.search(r"(\d+) passed", printed)
    assert counted, printed
    return int(counted[1])


@pytest.mark.parametrize("name", ["dagster", "mlflow", "pandas", "sklearn", "scipy", "ibis", "duckdb"])
def test_the_environment_lacks_what_training_needs(python: Path, name: str):
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is not None)"
    run(python, "-I", "-c", code)


def test_the_tests_of_the_essentials_pass_there(python: Path):
    files = [f"tests/serving/test_{name}.py" for name in ESSENTIAL]
    assert passed_by(python, "-m", "not slow", *files) > 40


@pytest.mark.slow
def test_all_tests_of_the_server_pass_there(python: Path):
    no_uv_there = "--ignore=tests/serving/test_triton_client.py"
    assert passed_by(python, "-m", "not slow", no_uv_there, "tests/serving") > 500
