"""Workers that end are replaced, and nothing that they counted or journaled is forgotten."""

import re
import resource
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

import psutil
import pytest

from serving.errors import JournalError
from serving.observation import MAXIMUM_CONNECTIONS
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW, promote

OK = {"model": MODEL, "status": "OK"}


@pytest.fixture
def server(new_server: Callable[..., RunningServer]) -> RunningServer:
    """Two workers of which one answers this test's only connection."""
    running = new_server(workers=2, seal_seconds=0.1, ship_seconds=0.1)
    promote(running.store, 1)
    running.start()
    with running.client() as client:
        assert client.wait_until_healthy(MODEL)
    return running


def predict(server: RunningServer, count: int) -> list[str]:
    with server.client(connections=4) as client:
        return [client.predict(MODEL, ROW).prediction_id for _ in range(count)]


def counted(server: RunningServer) -> float:
    return server.metric("model_predictions_total", **OK)


def replace_a_worker(server: RunningServer) -> None:
    victim = server.children("worker")[0]
    victim.kill()
    eventually(
        lambda: (
            victim.pid not in [each.pid for each in server.children("worker")] and len(server.children("worker")) == 2
        ),
        what="a new worker",
    )


def test_counters_outlive_the_workers_that_counted_and_nothing_is_counted_twice(server: RunningServer):
    for n_rows in (10, 20, 30, 40, 50):
        predict(server, 10)
        # A worker adds to its counters every 0.1 s: what it answered since then is not counted when it is killed.
        eventually(lambda n=n_rows: counted(server) == n, what="counting")
        if n_rows % 20 == 0:
            replace_a_worker(server)
    eventually(lambda: server.metric("journal_shipped_rows_total") == 50, what="50 shipped rows")
    (shipper,) = server.children("shipper")
    shipper.kill()
    predict(server, 5)
    eventually(lambda: server.metric("journal_shipped_rows_total") == 55, what="55 shipped rows")
    assert server.metric("model_prediction_latency_seconds_count", model=MODEL) == counted(server) == 55


def test_the_gauges_of_a_dead_worker_vanish_with_it(server: RunningServer):
    assert server.metric("journal_writable") == 1
    sick = server.children("worker")[0]
    sick.rlimit(psutil.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))

    def is_sick() -> bool:
        with server.client(retry_seconds=0) as client:
            try:
                client.predict(MODEL, ROW)
            except JournalError:
                return True
        return False

    eventually(is_sick, what="a refusal")
    eventually(lambda: server.metric("journal_writable") == 0, what="the gauge of the sick worker")
    sick.kill()
    eventually(lambda: server.metric("journal_writable") == 1, what="the end of its gauge")


def test_a_worker_that_cannot_start_is_tried_again_and_again_but_ever_more_rarely(server: RunningServer):
    acknowledged = predict(server, 10)
    journals, away = server.home / "journals", server.home / "away"
    journals.rename(away)
    journals.write_text("in the way")
    for worker in server.children("worker"):
        worker.kill()
    eventually(lambda: server.log.count("worker-0 (pid") >= 5, seconds=60, what="restarts")
    pauses = [float(pause) for pause in re.findall(r"worker-0 .* restart in ([0-9.]+) s", server.log)]
    assert pauses[:5] == sorted(pauses[:5])
    assert pauses[4] >= 8 * pauses[0]
    assert (server.http("/livez")[0], server.http("/readyz")[0]) == (200, 503)
    journals.unlink()
    away.rename(journals)
    with server.client() as client:
        assert client.wait_until_healthy(MODEL, seconds=30)
    eventually(lambda: set(acknowledged) <= set(server.shipped()), what="what the dead had journaled")


def test_a_second_signal_cuts_the_draining_short_and_loses_nothing(server: RunningServer):
    acknowledged = predict(server, 10)
    for worker in server.children("worker"):
        worker.suspend()  # it will not drain
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert server.process.poll() is None
    assert server.http("/readyz")[0] == 503
    began = time.monotonic()
    assert server.terminate(seconds=5) == 1
    assert time.monotonic() - began < 5
    server.start()
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
    eventually(lambda: set(acknowledged) <= set(server.shipped()), what="shipping")
    assert len(server.shipped()) == 10


def test_a_worker_that_cannot_be_started_for_want_of_file_descriptors_comes_back_when_there_are_some(
    server: RunningServer,
):
    supervisor = psutil.Process(server.process.pid)
    before = supervisor.rlimit(psutil.RLIMIT_NOFILE)
    supervisor.rlimit(psutil.RLIMIT_NOFILE, (3, before[1]))
    server.children("worker")[0].kill()
    eventually(lambda: server.log.count("can not be started ([Errno 24] Too many open files)") >= 3, what="tries")
    pauses = [float(pause) for pause in re.findall(r"can not be started .* restart in ([0-9.]+) s", server.log)]
    assert pauses[:3] == [0.2, 0.4, 0.8]
    supervisor.rlimit(psutil.RLIMIT_NOFILE, before)
    eventually(lambda: len(server.children("worker")) == 2, what="a new worker")
    assert server.metric("journal_writable") == 1
    assert server.terminate() == 0


def test_idle_connections_to_the_http_port_are_bounded_and_closed(server: RunningServer):
    supervisor = psutil.Process(server.process.pid)
    host, port = server.addresses["metrics"].removeprefix("http://").split(":")
    before = supervisor.num_threads()
    with ExitStack() as stack:
        for _ in range(3 * MAXIMUM_CONNECTIONS):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
        with socket.create_connection((host, int(port)), timeout=5) as beyond:
            assert beyond.recv(1) == b""
        assert supervisor.num_threads() <= before + MAXIMUM_CONNECTIONS
        eventually(lambda: supervisor.num_threads() <= before, what="the end of their threads")
        assert server.http("/livez")[0] == 200
