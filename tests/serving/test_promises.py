"""Acknowledged is in the lake, once: through kills, a lake that is away, a full disk and a stop."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable

import psutil
import pytest

from serving.errors import JournalError
from tests.serving.harness import RunningServer, eventually
from tests.serving.load import load_on
from tests.serving.toy import MODEL, ROW, promote


@pytest.fixture(params=["process"])
def busy_server(new_server: Callable[..., RunningServer], request: pytest.FixtureRequest) -> RunningServer:
    server = new_server(workers=2, seal_seconds=0.2, ship_seconds=0.1, durability=request.param)
    promote(server.store, 1)
    server.start()
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
    return server


def assert_each_is_in_the_lake_once(server: RunningServer, acknowledged: list[str]) -> None:
    assert len(acknowledged) > 50
    eventually(lambda: set(acknowledged) <= set(server.shipped()), seconds=30, what="shipping")
    shipped = server.shipped()
    assert len(shipped) == len(set(shipped))
    assert not list(server.home.glob("journals/quarantine/*"))


def kill_under_load(server: RunningServer, kills: int, *, stream: bool) -> list[str]:
    """Kill workers and the shipper in turn, each while calls are answered; the clients retry, as clients do."""
    chooser = random.Random(11)
    with load_on(server.address, retry_seconds=90, stream=stream) as load:
        for turn in range(kills):
            before = len(load.answers)
            time.sleep(chooser.uniform(0.1, 0.4))
            eventually(lambda n=before: len(load.answers) > n + 10, seconds=30, what="answers between kills")
            module = "shipper" if turn % 3 == 2 else "worker"
            processes = eventually(lambda m=module: server.children(m), what=f"a {module}")
            chooser.choice(processes).kill()
        eventually(lambda: len(server.children("worker")) == 2, seconds=30, what="restart")
        before = len(load.answers)
        eventually(lambda: len(load.answers) > before + 20, seconds=30, what="new answers")
    assert not load.failures
    return load.acknowledged


durability_and_stream = pytest.mark.parametrize(
    ("busy_server", "stream"),
    [("process", False), ("group", True)],
    indirect=["busy_server"],
)


@durability_and_stream
def test_killed_workers_and_shippers_lose_nothing_and_double_nothing(busy_server: RunningServer, stream: bool):
    acknowledged = kill_under_load(busy_server, 6, stream=stream)
    assert_each_is_in_the_lake_once(busy_server, acknowledged)
    assert busy_server.log.count("restart in") >= 6
    assert busy_server.terminate() == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@durability_and_stream
def test_a_hundred_kills_lose_nothing_and_double_nothing(busy_server: RunningServer, stream: bool):
    acknowledged = kill_under_load(busy_server, 100, stream=stream)
    assert_each_is_in_the_lake_once(busy_server, acknowledged)


def test_a_stop_under_load_finishes_accepted_calls_and_ships_everything(busy_server: RunningServer):
    server = busy_server
    with load_on(server.address, retry_seconds=0) as load:
        eventually(lambda: len(load.answers) > 100, what="load")
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 15
    # Later calls find nobody. None was accepted and then dropped: what is logged is what was answered.
    assert {str(failure).split(":")[0] for failure in load.failures} <= {"UNAVAILABLE", "CANCELLED"}
    assert sorted(load.acknowledged) == sorted(server.shipped())
    assert not server.address_file.exists()
    assert [entry.name for entry in (server.home / "journals").iterdir()] == [".shipper.lock"]


def test_a_lake_that_is_away_stops_no_answer_and_gets_everything_later(new_server: Callable[..., RunningServer]):
    server = new_server(seal_seconds=0.2, ship_seconds=0.1)
    promote(server.store, 1)
    server.start()
    lake = server.home / "lake"
    lake.write_text("in the way")
    with server.client() as client:
        client.wait_until_healthy(MODEL)
        answers = [client.predict(MODEL, ROW).prediction_id for _ in range(20)]
        eventually(lambda: "segments are kept" in server.log, what="the complaint")
        assert client.prediction(MODEL, answers[0]).prediction_id == answers[0]
        assert server.http("/readyz")[0] == 200
        lake.unlink()
        eventually(lambda: set(answers) <= set(server.shipped()), seconds=30, what="shipping")
    assert len(server.shipped()) == 20


def test_a_full_journal_disk_answers_unavailable_and_heals_by_itself(new_server: Callable[..., RunningServer]):
    server = new_server()
    promote(server.store, 1)
    server.start()
    with server.client(retry_seconds=0) as client:
        client.wait_until_healthy(MODEL)
        (worker,) = server.children("worker")
        # Every file of the worker is at its limit, as on a full disk.
        worker.rlimit(psutil.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        with pytest.raises(JournalError, match="can not be written"):
            client.predict(MODEL, ROW)
        eventually(lambda: not client.health(), what="not ready")
        eventually(lambda: server.http("/readyz")[0] == 503, what="not ready over HTTP")
        worker.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        eventually(lambda: client.health(MODEL), what="healing")
        answer = client.predict(MODEL, ROW)
    assert server.terminate() == 0
    assert server.shipped() == [answer.prediction_id]


def test_children_end_when_the_supervisor_is_killed_and_the_next_server_ships_what_they_left(
    new_server: Callable[..., RunningServer],
):
    server = new_server(ship_seconds=60, grace_seconds=0)
    promote(server.store, 1)
    server.start()
    with server.client() as client:
        client.wait_until_healthy(MODEL)
        answers = [client.predict(MODEL, ROW).prediction_id for _ in range(5)]
    children = psutil.Process(server.process.pid).children()
    for child in server.children("shipper"):
        child.kill()
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait(5)
    assert not psutil.wait_procs(children, timeout=15)[1]
    server.address_file.unlink()
    server.start()
    assert server.terminate() == 0
    assert sorted(server.shipped()) == sorted(answers)
