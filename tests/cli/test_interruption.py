"""A signal ends a command, also one that a library swallowed."""

import signal
import subprocess
import sys
import textwrap

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


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_swallowed_signal_is_raised_again_at_the_next_check(name: str):
    command = [sys.executable, "-c", SWALLOWED.format(name=name)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "swallowed\n"
    assert ended.returncode == -signal.SIGINT
