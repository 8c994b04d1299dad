"""A signal ends a command, also one that a library swallowed."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SWALLOWED = textwrap.dedent(
    """
    import os, signal
    from mlops_assets.cli import interruption

    interruption.listen()
    try:
        os.kill(os.getpid(), signal.{name})
    except BaseException:
        print("swallowed", flush=True)
    interruption.check()
    print("went on", flush=True)
    """
)

IN_EXECUTED_TEXT = textwrap.dedent(
    """
    import sys
    from mlops_assets.cli import interruption

    interruption.listen()
    try:
        exec("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    except KeyboardInterrupt:
        sys.exit(130)
    """
)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_swallowed_signal_is_raised_again_at_the_next_check(name: str):
    command = [sys.executable, "-c", SWALLOWED.format(name=name)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "swallowed\n"
    assert ended.returncode == 1
    assert "interruption.Interruption" in ended.stderr


def test_a_signal_while_source_text_is_executed_leaves_the_exit_code_alone(tmp_path: Path):
    (tmp_path / "command.py").write_text(IN_EXECUTED_TEXT)
    command = [sys.executable, "-m", "command"]
    path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    ended = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": path}, timeout=60)
    assert ended.returncode == 130
