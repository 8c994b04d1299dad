"""How the server starts, and what it says when it can not."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.errors import SettingsError
from serving.settings import load_settings
from tests.serving.harness import ROOT, RunningServer
from tests.serving.toy import promote

_ISOLATED = """
import sys
FORBIDDEN = {"pandas", "dagster", "mlflow", "sklearn", "mlops_assets", "sensors"}
class Gate:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Gate())
import pkgutil, importlib, serving
for module in pkgutil.walk_packages(serving.__path__, "serving."):
    importlib.import_module(module.name) if not module.name.endswith("__main__") else None
{then}
assert not FORBIDDEN & {name.partition(".")[0] for name in sys.modules}
"""


def run(*arguments: str, home: Path, **environment: object) -> subprocess.CompletedProcess[str]:
    settings = {f"SERVING_{name.upper()}": str(value) for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "MLOPS_HOME": str(home), "SERVING_METRICS_PORT": "0", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def refusal(home: Path, **environment: object) -> str:
    """Return the one line that a server says which can not start."""
    finished = run("-m", "serving", home=home, **environment)
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
    return finished.stderr


def test_the_serving_side_imports_without_pandas_dagster_mlflow_and_scikit_learn(tmp_path: Path):
    finished = run("-c", _ISOLATED.replace("{then}", ""), home=tmp_path)
    assert finished.returncode == 0, finished.stderr


def test_journaling_shipping_and_reading_back_need_no_pandas(tmp_path: Path):
    then = """
from pathlib import Path
import uuid
from serving.feedback import PredictionLog
from serving.journal.append import Journal
from serving.journal.ship import Shipper
from tests.serving.records import append_predictions, seal
root = Path(sys.argv[1])
journal = Journal(root / "journals")
(one,) = append_predictions(journal, 1)
log = PredictionLog(root / "lake", root / "journals")
assert log.find("toy", one)["label"] == "on_time"
seal(journal)
assert Shipper(root / "journals", root / "lake").ship().rows == 1
assert log.find("toy", one)["label"] == "on_time"
"""
    finished = run("-c", _ISOLATED.replace("{then}", then), str(tmp_path), home=tmp_path)
    assert finished.returncode == 0, finished.stderr


def test_the_client_is_light(tmp_path: Path):
    code = "import sys, serving.client; print({'pandas', 'onnxruntime', 'pyarrow', 'deltalake'} & sys.modules.keys())"
    assert run("-c", code, home=tmp_path).stdout == "set()\n"


def test_help_names_every_setting(tmp_path: Path):
    finished = run("-m", "serving", "--help", home=tmp_path)
    assert finished.returncode == 0
    assert "MLOPS_HOME" in finished.stdout
    assert "SERVING_GRACE_SECONDS" in finished.stdout


def test_a_taken_port_is_named_with_the_mend(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"can not listen on 127.0.0.1:{port}: Address already in use" in refusal(tmp_path, port=port)
        assert "set SERVING_METRICS_PORT" in refusal(tmp_path, port=0, metrics_port=port)


def test_a_second_server_neither_joins_the_first_ones_port_nor_its_home(
    new_server: Callable[..., RunningServer], tmp_path: Path
):
    server = new_server()
    promote(server.store, 1)
    server.start()
    port = int(server.address.rpartition(":")[2])
    assert "SERVING_PORT" in refusal(tmp_path / "other", port=port)
    assert "another server runs in" in refusal(server.home, port=0)


def test_a_folder_that_cannot_be_written_is_named_with_the_mend(tmp_path: Path):
    (tmp_path / "journals").write_text("in the way")
    assert "set SERVING_JOURNALS to a folder" in refusal(tmp_path, port=0)
    assert "set MLOPS_HOME to a folder" in refusal(tmp_path / "journals" / "home", port=0)


def test_a_host_that_is_not_there_is_named(tmp_path: Path):
    assert "set SERVING_HOST" in refusal(tmp_path, port=0, host="192.0.2.1", allow_unprotected=True)


def test_a_wrong_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SERVING_PORT", "many")
    assert "SERVING_PORT: Input should be a valid integer" in refusal(tmp_path, port="many")
    with pytest.raises(SettingsError, match="SERVING_PORT"):
        load_settings()


def test_folders_follow_the_home_and_children_get_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = load_settings(home=tmp_path, lake=tmp_path / "elsewhere")
    assert settings.journals == tmp_path / "journals"
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
