"""A client that is interrupted in the middle of a call can be closed."""

import subprocess
import sys

from tests.serving.harness import ROOT

# As Ctrl-C does when it comes between the start of a call and that of the thread which is to receive its answer.
INTERRUPTED = """
from grpc import _channel

from serving.client import Client


def interrupt(state):
    raise KeyboardInterrupt


_channel._run_channel_spin_thread = interrupt
try:
    with Client("127.0.0.1:1") as client:
        client.predict_future("toy", {"size": 1.0})
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupted_client_closes_and_its_process_ends():
    command = [sys.executable, "-c", INTERRUPTED]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.stdout, ended.returncode) == ("interrupted\n", 0), ended.stderr
