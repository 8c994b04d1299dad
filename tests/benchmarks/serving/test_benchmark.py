"""The benchmark measures what it says: on a real server with a short load, and on hand-made results."""

import re
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

import grpc
import numpy as np
import pytest

from tests.benchmarks.page import markers, write_section
from tests.benchmarks.serving.answers import FRAME_HEADER_BYTES, check, measured
from tests.benchmarks.serving.figures import FIGURES, figures_of
from tests.benchmarks.serving.load import LoadError, Request, Sample, grpc_request, h2load
from tests.benchmarks.serving.model import make_model
from tests.benchmarks.serving.parts import PARTS, Bench
from tests.benchmarks.serving.peers.catalog import FORMS, PEERS
from tests.benchmarks.serving.peers.environments import environment_of
from tests.benchmarks.serving.report import NAME, about, tables
from tests.benchmarks.serving.servers import running_ours

PEERS_FOLDER = Path(__file__).parent / "peers"


def python_load(request: Request, concurrency: int, calls: int) -> Sample:
    """Stands in for h2load where it is not installed: slower, and enough to see that everything fits together."""
    address, method = re.fullmatch("http://([^/]+)(/.+)", request.url).groups()
    waiting: SimpleQueue[int] = SimpleQueue()
    for number in range(calls):
        waiting.put(number)
    seconds, sizes = [], []

    def run() -> None:
        with grpc.insecure_channel(address) as channel:
            call = channel.unary_unary(method)
            while True:
                try:
                    waiting.get_nowait()
                except Empty:
                    return
                began = time.perf_counter()
                sizes.append(len(call(request.body[FRAME_HEADER_BYTES:], timeout=10)) + FRAME_HEADER_BYTES)
                seconds.append(time.perf_counter() - began)

    began = time.perf_counter()
    threads = [threading.Thread(target=run) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Sample(calls / (time.perf_counter() - began), np.sort(np.array(seconds) * 1e3), sum(sizes))


LOAD = h2load if shutil.which("h2load") else python_load


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    model = make_model(folder / "bundles")
    return Bench(folder, model, LOAD, rounds=1, seconds=0.2, promotions=2, may_install=False, report=print, keep=list)


@pytest.mark.processes
def test_yardsticks_and_ours_are_measured_and_answer_right(bench):
    document = PARTS["single"](bench)
    rounds = [
        document[server][case][0]
        for server in ("echo", "transport", "bare", "ours")
        for case in ("single_1", "single_16")
    ]
    assert all(one["calls"] >= 48 and one["calls_per_second"] > 0 and one["p99"] >= one["p50"] > 0 for one in rounds)
    figures = figures_of({"single": document})
    assert set(figures) == {
        "single_row_over_echo",
        "single_row_over_transport",
        "p99_over_echo",
        "everything_over_bare",
    }
    assert "`single_row_over_echo`" in tables({"single": document}, about())


@pytest.mark.processes
def test_a_failed_call_and_a_wrong_answer_are_found(bench):
    with running_ours(bench.folder / "wrong", bench.model) as (ours, _):
        broken = grpc_request(ours.single(0).url.removeprefix("http://").split("/")[0], "/no.Such/Method", b"")
        with pytest.raises(LoadError, match="UNIMPLEMENTED"):
            measured(LOAD, broken, concurrency=1, calls=10)
        with pytest.raises(LoadError, match="answers"):
            check(ours.single(0), ours.scores_of, bench.model.scores[:1] + 0.01)


@pytest.mark.processes
def test_promotions_are_timed_to_the_last_answer_by_the_old_version(bench):
    seconds = PARTS["promotions"](bench)["seconds"]
    assert len(seconds) == 2
    assert all(0 <= one < 10 for one in seconds)


def test_answers_without_a_message_are_counted_as_failed():
    def statuses_only(request: Request, concurrency: int, calls: int) -> Sample:
        return Sample(100.0, np.ones(calls), 0)

    with grpc_answering(b"score") as address, pytest.raises(LoadError, match="0 bytes came for 7 answers of 10 bytes"):
        measured(statuses_only, grpc_request(address, "/a.B/C", b""), concurrency=1, calls=7)


def test_every_figure_has_a_part_and_a_name_of_its_own():
    assert len({figure.name for figure in FIGURES}) == len(FIGURES) == 11
    assert {figure.part for figure in FIGURES} <= set(PARTS)


def test_figures_are_medians_of_ratios_within_a_round():
    yardsticks = {"echo": cases(100, 50, 200), "transport": cases(200, 100, 400), "bare": cases(80, 40, 160)}
    assert figures_of({"single": {**yardsticks, "ours": cases(50, 40, 100)}}) == {
        "single_row_over_echo": 0.5,
        "single_row_over_transport": 0.25,
        "p99_over_echo": 2.0,
        "everything_over_bare": 0.625,
    }


def test_a_peer_that_was_not_measured_shows_its_reason_and_is_nobody_to_compare_with_nor_is_one_in_another_language():
    slow, fast, fastest = ({"peer": cases(rate), "ours": cases(100)} for rate in (10, 25, 50))
    python, native = {"version": "1", "is_python": True}, {"version": "2", "is_python": False}
    rows = [
        {"peer": "A", "form": "documented", "rounds": slow} | python,
        {"peer": "B", "form": "documented", "rounds": fast} | python,
        {"peer": "C", "form": "documented", "rounds": fastest} | native,
        {"peer": "A", "form": "onnx", "reason": "does not start: no such thing"} | python,
    ]
    parts = {"peers": {"rows": rows}}
    assert figures_of(parts) == {"over_best_peer_documented": 4.0}
    shown = tables(parts, about())
    assert "not measured: does not start: no such thing" in shown
    assert "not measured | – |" in shown


def test_the_page_gets_its_section_and_keeps_the_rest(tmp_path):
    page, (begin, end) = tmp_path / "page.md", markers(NAME)
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    write_section(page, NAME, "new \\1")
    assert page.read_text() == f"before\n{begin}\nnew \\1\n{end}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="has no section"):
        write_section(page, NAME, "new")


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.folder)
def test_every_peer_is_pinned_and_names_no_index(peer):
    pins = (PEERS_FOLDER / peer.folder / "requirements.txt").read_text().splitlines()
    assert all(re.match(r"[A-Za-z0-9_.-]+(\[[a-z,]+\])?==\S+", pin) for pin in pins)
    assert environment_of(peer).version_of(peer.package)
    assert (PEERS_FOLDER / peer.folder / "server.py").exists()
    assert set(peer.forms) == set(FORMS)


def cases(*rates: float) -> dict:
    rounds = [
        {"calls": 10, "calls_per_second": rate, "p50": 1.0, "p95": 1.0, "p99": 100 / rate, "cpu_us": 1.0}
        for rate in rates
    ]
    return {"single_1": rounds, "single_16": rounds}


@contextmanager
def grpc_answering(answer: bytes) -> Iterator[str]:
    """A gRPC server that gives one answer to everything."""

    class Everything(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_unary_rpc_method_handler(lambda *_: answer)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Everything()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
