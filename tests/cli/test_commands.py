"""A user's mistake gets one line that names the thing and the mend, an exit code that is not 0, and no traceback."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_assets.cli import main, platform
from mlops_assets.errors import OperationError
from mlops_assets.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def mlops(*arguments, home, stdin="", **variables):
    return subprocess.run(
        [sys.executable, "-m", "mlops_assets.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, "MLOPS_HOME": str(home), **variables},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_one_line(result, *words):
    assert result.returncode != 0
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr + result.stdout
    for word in words:
        assert word in lines[0]


def test_help_names_every_command(tmp_path):
    result = mlops("--help", home=tmp_path)
    assert result.returncode == 0
    named = set(result.stdout.split())
    assert {"demo", "up", "serve", "replay", "predict", "feedback", "retrain", "pause", "resume"} <= named
    assert {"keys", "release", "status", "doctor", "backtest"} <= named
    assert "\n    mlops demo     " in result.stdout


def test_an_unknown_model_is_named_with_those_that_exist(tmp_path):
    assert_one_line(mlops("predict", "nope", "-", home=tmp_path), "'nope'", "flight_delay")


def test_a_spec_module_that_is_not_there_is_named(tmp_path):
    assert_one_line(mlops("status", home=tmp_path, MLOPS_MODELS="no.such.module"), "no.such.module", "MLOPS_MODELS")


def test_a_spec_that_can_not_be_read_is_named(tmp_path):
    (tmp_path / "broken_spec.py").write_text("spec = = 1\n")
    result = mlops("status", home=tmp_path, MLOPS_MODELS="broken_spec", PYTHONPATH=str(tmp_path))
    assert_one_line(result, "broken_spec", "SyntaxError")


@pytest.mark.parametrize("command", ["status", "up"])
def test_a_policy_that_can_not_work_is_named_with_its_field(command, tmp_path):
    lines = [
        "from dataclasses import replace",
        "from mlops_assets.models.breast_cancer import spec as built_in",
        "from mlops_assets.spec import AccuracyPolicy",
        "spec = replace(built_in, name='mine', accuracy=AccuracyPolicy(confirm='bounds'))",
    ]
    (tmp_path / "my_model.py").write_text("\n".join(lines))
    result = mlops(command, home=tmp_path / "home", MLOPS_MODELS="my_model", PYTHONPATH=str(tmp_path))
    assert_one_line(result, "my_model: mine: accuracy.confirm is 'bounds'; it must be 'bound' or 'point'")


def test_a_server_that_is_not_up_is_named_with_the_mend(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    result = mlops("feedback", "flight_delay", "x=late", home=tmp_path, MLOPS_SERVER=address)
    assert_one_line(result, address, "mlops up", "MLOPS_SERVER")


def test_dagster_that_is_not_up_is_named_with_the_mend(tmp_path):
    result = mlops("pause", "flight_delay", home=tmp_path, MLOPS_DAGSTER_URL="http://127.0.0.1:9")
    assert_one_line(result, "127.0.0.1:9", "mlops up", "MLOPS_DAGSTER_URL")


IMPOSSIBLE = [
    ("MLOPS_CLOCK", "sundial", "'wall' or 'event'"),
    ("MLOPS_SERVER", "nonsense", "host:port"),
    ("MLOPS_SERVER", "127.0.0.1:99999", "host:port"),
    ("MLOPS_DAGSTER_URL", "nonsense", "http://"),
    ("MLOPS_DAGSTER_URL", "http://127.0.0.1:99999", "0-65535"),
]


@pytest.mark.parametrize(("variable", "value", "rule"), IMPOSSIBLE)
def test_a_setting_that_is_not_possible_is_named_with_the_rule(tmp_path, variable, value, rule):
    assert_one_line(mlops("doctor", home=tmp_path, **{variable: value}), variable, repr(value), rule)


def test_a_port_that_is_taken_is_named_with_the_option_that_changes_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_one_line(mlops("up", "--dagster-port", port, home=tmp_path / "home"), port, "--dagster-port")


def test_a_port_that_is_asked_for_twice_is_named_with_both_options(tmp_path):
    result = mlops("up", "--port", "39301", "--dagster-port", "39301", home=tmp_path / "home")
    assert_one_line(result, "39301", "--port", "--dagster-port")


def test_a_port_that_does_not_exist_is_named_with_those_that_do(tmp_path):
    result = mlops("up", "--dagster-port", "99999", home=tmp_path)
    assert_one_line(result, "--dagster-port", "99999", "1<=x<=65535", "mlops up --help")
    assert result.returncode == 2


def test_a_spec_that_is_not_there_is_named_before_anything_starts(tmp_path):
    assert_one_line(mlops("up", home=tmp_path / "home", MLOPS_MODELS="nope.nope"), "nope.nope", "MLOPS_MODELS")
    assert not (tmp_path / "home").exists()


def test_a_disk_without_room_is_named_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "ROOM_BYTES", 2**70)
    with pytest.raises(OperationError, match=f"{tmp_path} has .* left, .* MLOPS_HOME"):
        platform.prepare_home(Settings(home=tmp_path))


def test_a_home_that_is_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    assert_one_line(mlops("demo", "--exit", home=tmp_path), "thesis.tex", "MLOPS_HOME")
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_a_home_of_another_release_is_refused(tmp_path):
    (tmp_path / "STATE_FORMAT").write_text("99\n")
    assert_one_line(mlops("up", home=tmp_path), "99", "MLOPS_HOME")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    assert_one_line(mlops("up", home=tmp_path / "home"), str(tmp_path), "MLOPS_HOME")


def test_a_file_without_rows_is_named_with_what_is_expected(tmp_path):
    assert_one_line(mlops("predict", "flight_delay", "-", home=tmp_path), "holds no rows", "CSV", "JSON object a line")


def test_a_damaged_table_of_the_lake_is_named(tmp_path):
    log = tmp_path / "lake" / "flight_delay" / "drift_metrics" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("nonsense")
    assert_one_line(mlops("status", home=tmp_path), str(log.parent), "restore it from a backup")


def test_a_disk_that_is_full_on_the_way_is_named_with_the_mend(monkeypatch, capsys):
    def fill(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/home/of/mine/x.html")

    monkeypatch.setattr(main.interruption, "listen", lambda: None)
    monkeypatch.setattr("mlops_assets.cli.commands.commands", fill)
    with pytest.raises(SystemExit, match="1"):
        main.main()
    assert capsys.readouterr().err == (
        "mlops: /home/of/mine/x.html: No space left on device; "
        "free some space on that disk, or let MLOPS_HOME name a folder elsewhere\n"
    )


def test_a_fault_of_our_own_takes_one_line_and_debug_shows_where_it_is(tmp_path):
    (tmp_path / "faulty.py").write_text(
        "from dataclasses import replace\n"
        "from mlops_assets.models import breast_cancer\n"
        "spec = replace(breast_cancer.spec, name='faulty', traffic=lambda: 1 / 0)\n"
    )
    variables = {"home": tmp_path / "home", "MLOPS_MODELS": "faulty", "PYTHONPATH": str(tmp_path)}
    assert_one_line(mlops("backtest", "faulty", **variables), "ZeroDivisionError", "mlops --debug")
    assert "faulty.py" in mlops("--debug", "backtest", "faulty", **variables).stderr


def test_a_cell_that_is_not_a_number_is_named_with_its_line(tmp_path):
    rows = "departure_delay,origin\n5,JFK\nsoon,JFK\n"
    result = mlops("predict", "flight_delay", "-", home=tmp_path, stdin=rows)
    assert_one_line(result, "line 3", "departure_delay", "'soon'")


def test_a_model_without_releases_says_so(tmp_path):
    result = mlops("status", "flight_delay", home=tmp_path)
    assert result.returncode == 0
    assert "nothing has been released yet" in result.stdout
    assert_one_line(mlops("release", "at", "flight_delay", "2024-01-01", home=tmp_path), "nothing was in production")
    assert_one_line(mlops("release", "show", "flight_delay", "1", home=tmp_path), "generation 1")


def test_doctor_says_what_is_wrong_and_how_to_mend_it(tmp_path):
    result = mlops("doctor", home=tmp_path, MLOPS_SERVER="127.0.0.1:9", MLOPS_DAGSTER_URL="http://127.0.0.1:9")
    assert result.returncode == 1
    assert "BAD  gRPC server answers at 127.0.0.1:9" in result.stdout
    assert "→" in result.stdout
    assert "ok   model specs: breast_cancer, flight_delay" in result.stdout


def test_a_backtest_of_what_does_not_exist_is_answered_with_what_does(tmp_path):
    assert_one_line(mlops("backtest", "nope", home=tmp_path), "'nope'", "flight_delay")
    result = mlops("backtest", "breast_cancer", "--policies", "monthly", home=tmp_path)
    assert_one_line(result, "'monthly'", "weekly", "drift-no-seasonal")
    result = mlops("backtest", "breast_cancer", "--sweep", "drift.votez=1", home=tmp_path)
    assert_one_line(result, "'drift.votez=1'", "votes")


def test_a_history_that_is_too_short_is_named(tmp_path):
    (tmp_path / "hasty.py").write_text(
        "from dataclasses import replace\n"
        "from mlops_assets.models import breast_cancer\n"
        "spec = replace(breast_cancer.spec, name='hasty', traffic=lambda: breast_cancer.traffic(weeks=1).head(300))\n"
    )
    result = mlops("backtest", "hasty", home=tmp_path, MLOPS_MODELS="hasty", PYTHONPATH=str(tmp_path))
    assert_one_line(result, "hasty", "does not fill one window")


def test_a_backtest_prints_a_table_and_writes_json_for_machines(tmp_path):
    json_file = tmp_path / "b.json"
    arguments = ("--policies", "static", "--weeks", "2", "--json", str(json_file))
    result = mlops("backtest", "breast_cancer", *arguments, home=tmp_path / "home")
    assert result.returncode == 0, result.stderr
    document = json.loads(json_file.read_text())
    assert document["history"]["n_windows"] == 2
    assert "constant" in result.stdout
    assert f"Run static: {document['recommended']['reason']}" in result.stdout
    assert (tmp_path / "home" / "reports" / "breast_cancer" / "policy-backtest.html").exists()
