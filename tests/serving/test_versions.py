"""A call may name any version that has been in production; what it names never becomes a path."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from serving.client import Client
from serving.errors import (
    BundleUnreadableError,
    ModelNotFoundError,
    ModelUnavailableError,
    RequestConflictError,
    SignatureError,
)
from serving.formats.contract import TextFeature
from serving.formats.release import ReleaseStore
from serving.scoring.host import ModelHost
from serving.scoring.loading import LoadedModel, ModelLoader
from tests.serving.harness import RunningServer, eventually
from tests.serving.hosts import bundle_failures, host_of
from tests.serving.toy import CONTRACT, MODEL, ROW, append_release, promote, score_of, write_toy_bundle

HOSTILE = ["../1", "1/../2", "/etc/hostname", "..", ".", "1\x00", "1 ", " 1", "1\n", "é", "9" * 64, "%31", "*", "toys"]


class Loads:
    """Watches a loader, and holds it up for as long as a test wants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.versions: list[str] = []
        self.go_on = threading.Event()
        self.go_on.set()
        load = ModelLoader.load

        def watched(loader: ModelLoader, bundles, model, deployed, **options) -> LoadedModel:
            self.versions.append(deployed.version)
            assert self.go_on.wait(10)
            return load(loader, bundles, model, deployed, **options)

        monkeypatch.setattr(ModelLoader, "load", watched)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    return Loads(monkeypatch)


@pytest.fixture
def followed(store: ReleaseStore, host: ModelHost, loads: Loads) -> ModelHost:
    """A host that answers with version 6; 1 to 5 came before."""
    for version in range(1, 7):
        promote(store, version)
    host.poll()
    assert loads.versions == ["6"]
    return host


def test_an_earlier_version_is_loaded_once_and_knows_where_it_came_from(followed: ModelHost, loads: Loads):
    named = followed.model(MODEL, "2")
    assert (named.version, named.generation, named.role) == ("2", 2, "pinned")
    assert followed.model(MODEL, "2") is named
    assert loads.versions == ["6", "2"]


def test_the_version_in_production_is_the_one_that_answers_anyway(followed: ModelHost, loads: Loads):
    assert followed.model(MODEL, "6") is followed.model(MODEL)
    assert followed.model(MODEL).role == "production"
    assert loads.versions == ["6"]


@pytest.mark.parametrize("name", [*HOSTILE, "7"])
def test_a_name_that_is_no_version_is_not_found(followed: ModelHost, name: str):
    with pytest.raises(ModelNotFoundError):
        followed.model(MODEL, name)
    with pytest.raises(ModelNotFoundError):
        followed.model(name, "1")


def test_a_candidate_that_was_refused_by_the_gate_is_not_found(store: ReleaseStore, followed: ModelHost):
    refused = replace(store.latest(MODEL), generation=7, action="refuse", candidate=write_toy_bundle(store.bundles, 7))
    store.append(refused)
    followed.poll()
    with pytest.raises(ModelNotFoundError):
        followed.model(MODEL, "7")


def test_of_the_named_versions_the_one_not_asked_for_longest_goes_first(
    store: ReleaseStore, tmp_path: Path, loads: Loads
):
    for version in range(1, 5):
        promote(store, version)
    host = host_of(tmp_path, pinned_versions=2)
    host.poll()
    for version in ("1", "2", "1", "3", "1", "2"):
        host.model(MODEL, version)
    assert loads.versions == ["4", "1", "2", "3", "2"]


def test_two_calls_at_once_load_once(followed: ModelHost, loads: Loads):
    loads.go_on.clear()
    with ThreadPoolExecutor(3) as pool:
        found = [pool.submit(followed.model, MODEL, "3") for _ in range(3)]
        eventually(lambda: loads.versions == ["6", "3"], what="the load")
        loads.go_on.set()
        assert len({id(each.result(10)) for each in found}) == 1
    assert loads.versions == ["6", "3"]


def test_a_slow_load_holds_up_neither_other_versions_nor_more_than_a_few_calls(followed: ModelHost, loads: Loads):
    known = followed.model(MODEL, "1")
    loads.go_on.clear()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(followed.model, MODEL, version) for version in ("2", "3", "4", "5")]
        eventually(lambda: followed._pinned._seats._value == 0, what="four waiting calls")
        assert followed.model(MODEL).version == "6"
        assert followed.model(MODEL, "1") is known
        with pytest.raises(ModelUnavailableError, match="try again"):
            followed.model(MODEL, "2")
        loads.go_on.set()
        assert [each.result(10).version for each in waiting] == ["2", "3", "4", "5"]


def test_a_version_that_is_refused_is_said_once_and_not_loaded_again(
    store: ReleaseStore, followed: ModelHost, caplog: pytest.LogCaptureFixture
):
    folder = store.bundles / store.read(MODEL, 2).routing.production.bundle
    (signature,) = store.bundles.glob(f"{folder.name}.*.sig")
    signature.unlink()
    failures = bundle_failures()
    for _ in range(3):
        with pytest.raises(SignatureError):
            followed.model(MODEL, "2")
    assert bundle_failures() == failures + 1
    assert caplog.text.count("toy, version 2") == 1
    assert followed.model(MODEL).version == "6"


def test_a_version_that_can_not_be_read_is_remembered_for_a_while_and_then_tried_again(
    store: ReleaseStore, followed: ModelHost
):
    folder = store.bundles / store.read(MODEL, 2).routing.production.bundle
    folder.rename(store.root / "away")
    failures = bundle_failures()
    for _ in range(3):
        with pytest.raises(BundleUnreadableError):
            followed.model(MODEL, "2")
    assert bundle_failures() == failures + 1
    (store.root / "away").rename(folder)
    eventually(lambda: _version_of(followed, "2") == "2", what="the second try")


def _version_of(host: ModelHost, version: str) -> str:
    try:
        return host.model(MODEL, version).version
    except BundleUnreadableError:
        return ""


def test_a_damaged_entry_hides_only_what_it_alone_names(store: ReleaseStore, host: ModelHost):
    for version in range(1, 4):
        promote(store, version)
    (store.root / "releases" / MODEL / "2.json").write_text("{")
    host.poll()
    assert [host.model(MODEL, version).version for version in ("1", "3")] == ["1", "3"]
    with pytest.raises(ModelNotFoundError):
        host.model(MODEL, "2")


def test_an_earlier_version_answers_while_nothing_is_in_production(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    append_release(store, None)
    host.poll()
    assert host.model(MODEL, "1").version == "1"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of version 3; version 2 had another contract, and version 1 came first."""
    server = RunningServer(tmp_path_factory.mktemp("three") / "home", ship_seconds=0.2, seal_seconds=0.2)
    promote(server.store, 1)
    airport = TextFeature("airport", ("jfk",), open=True, nullable=True)
    promote(server.store, 2, contract=replace(CONTRACT, texts=(CONTRACT.texts[0], airport)))
    promote(server.store, 3)
    try:
        server.start()
        with server.client() as client:
            assert client.wait_until_healthy(MODEL)
        yield server
    finally:
        server.destroy()


@pytest.fixture
def caller(three: RunningServer) -> Iterator[Client]:
    with three.client(retry_seconds=0) as client:
        yield client


def test_a_call_that_names_a_version_is_answered_by_it_and_logged_as_pinned(three: RunningServer, caller: Client):
    named, present = caller.predict(MODEL, ROW, version="1"), caller.predict(MODEL, ROW, version="3")
    assert (named.model_version, named.generation, present.generation) == ("1", 1, 3)
    assert named.probability == pytest.approx(score_of(1, 400, 7, "aa"), abs=1e-6)
    assert present.probability == pytest.approx(score_of(3, 400, 7, "aa"), abs=1e-6)
    both = {named.prediction_id, present.prediction_id}
    eventually(lambda: both <= set(three.shipped()), what="shipping")
    rows = {row["prediction_id"]: row for row in three.table("predictions").to_pylist()}
    assert (rows[named.prediction_id]["role"], rows[named.prediction_id]["model_version"]) == ("pinned", "1")
    assert rows[present.prediction_id]["role"] == "production"


def test_a_batch_is_checked_against_the_contract_of_the_version_it_names(caller: Client):
    columns = {"distance": [400.0] * 2, "hour": [7, None], "carrier": ["aa", "bb"], "airport": [None, None]}
    answers = caller.predict_batch(MODEL, columns, version="2")
    expected = [score_of(2, 400, 7, "aa"), score_of(2, 400, None, "bb")]
    assert [answer.probability for answer in answers] == pytest.approx(expected, abs=1e-6)
    assert {answer.model_version for answer in answers} == {"2"}


@pytest.mark.parametrize("name", [*HOSTILE, "4"])
def test_over_the_wire_a_name_that_is_no_version_is_not_found(caller: Client, name: str):
    with pytest.raises(ModelNotFoundError):
        caller.predict(MODEL, ROW, version=name)
    with pytest.raises(ModelNotFoundError):
        caller.model_info(MODEL, version=name)


def test_a_request_id_that_comes_again_for_another_version_is_refused(caller: Client):
    caller.predict(MODEL, ROW, request_id="one")
    with pytest.raises(RequestConflictError):
        caller.predict(MODEL, ROW, request_id="one", version="1")


def test_a_version_describes_itself_like_a_model_card(three: RunningServer, caller: Client):
    present, earlier = caller.model_info(MODEL), caller.model_info(MODEL, version="1")
    assert (present.model_version, earlier.model_version) == ("3", "1")
    assert (present.release.previous_version, present.release.previous_generation) == ("2", 2)
    assert (earlier.release.previous_version, earlier.release.previous_generation) == ("", 0)
    assert (present.release.generation, present.release.actor, present.release.reason) == (3, "test", "test")
    assert present.release.at.ToDatetime() == three.store.read(MODEL, 3).at.replace(tzinfo=None)
    assert present.trained_until.ToDatetime().isoformat() == "2025-12-01T00:00:00"
    assert (present.contract_digest, dict(present.metrics)) == (CONTRACT.digest, {"accuracy": 0.75})
    (signature,) = three.store.bundles.glob(f"{present.bundle_digest}.*.sig")
    assert signature.name.split(".")[1] == present.signature.key_id
    assert present.signature.verified_at.seconds > three.store.read(MODEL, 3).at.timestamp() - 1


def test_libraries_and_lock_of_the_training_are_told(new_server: Callable[..., RunningServer]):
    server = new_server()
    append_release(server.store, write_toy_bundle(server.store.bundles, 1, libraries={"onnxruntime": "0.1"}))
    server.start()
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
        assert dict(client.model_info(MODEL).libraries) == {"onnxruntime": "0.1"}
    assert "built with other libraries" in server.log
