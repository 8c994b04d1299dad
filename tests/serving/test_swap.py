"""A promoted version answers within a second, without a failed call; a broken one never does."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serving.client import Client
from serving.errors import ModelNotFoundError, ModelUnavailableError
from serving.formats.release import ReleaseStore
from serving.scoring.host import ModelHost
from serving.scoring.last_known_good import LastKnownGood
from serving.scoring.loading import ModelLoader
from tests.serving.harness import RunningServer, eventually
from tests.serving.load import load_on
from tests.serving.toy import (
    CONTRACT,
    MODEL,
    ROW,
    append_release,
    onnx_of,
    promote,
    score_of,
    write_toy_bundle,
)
from tests.signing import signing_store, trusted_keys


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return signing_store(tmp_path)


@pytest.fixture
def host(store: ReleaseStore, tmp_path: Path) -> ModelHost:
    return new_host(store, tmp_path)


def new_host(store: ReleaseStore, home: Path) -> ModelHost:
    return ModelHost(store, LastKnownGood(home / "cache"), ModelLoader(trusted_keys(home)))


def test_swaps_under_load_fail_no_call_and_each_answer_is_that_of_the_version_it_names(
    new_server: Callable[..., RunningServer],
):
    server = new_server(workers=2)
    promote(server.store, 1)
    server.start()
    seconds = []
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
        with load_on(server.address, retry_seconds=0) as load:
            for version in range(2, 12):
                promote(server.store, version)
                began = time.monotonic()
                eventually(lambda v=version: client.predict(MODEL, ROW).model_version == str(v), what="swap")
                seconds.append(time.monotonic() - began)
                time.sleep(0.2)
    assert not load.failures
    versions = {answer.model_version for _, answer in load.answers}
    assert len(versions) >= 10
    for distance, answer in load.answers:
        expected = score_of(int(answer.model_version), distance, None, "aa")
        assert answer.probability == pytest.approx(expected, abs=1e-6)
        assert answer.generation == int(answer.model_version)
    assert sorted(seconds)[len(seconds) // 2] < 1
    assert 'model_swap_seconds_count{model="toy"}' in server.http("/metrics")[1]


def test_a_refusal_moves_the_generation_and_not_the_version(store: ReleaseStore, host: ModelHost):
    deployed = promote(store, 1).routing.production
    host.poll()
    predictor = host.model(MODEL).predictor
    append_release(store, deployed, action="refuse")
    host.poll()
    assert (host.model(MODEL).generation, host.model(MODEL).version) == (2, "1")
    assert host.model(MODEL).predictor is predictor


def test_a_call_in_flight_keeps_the_version_it_began_with(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    begun = host.model(MODEL)
    promote(store, 2)
    host.poll()
    assert (begun.version, host.model(MODEL).version) == ("1", "2")
    assert begun.predictor.scores(*_one_row())[0] == pytest.approx(score_of(1, 400, 7, "aa"), abs=1e-6)


def test_a_model_that_appears_later_is_found(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    promote(store, 1, contract=replace(CONTRACT, model="other"))
    host.poll()
    assert host.names == ["other", MODEL]


def test_a_model_that_is_taken_out_of_production_is_not_available(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    append_release(store, None)
    host.poll()
    with pytest.raises(ModelUnavailableError):
        host.model(MODEL)


def _one_row():
    return np.array([[400.0, 7.0]]), np.array([["aa", "jfk"]], dtype=object)


def _truncate(folder: Path) -> None:
    model = folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-10])


def _flip_a_bit(folder: Path) -> None:
    model = folder / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 4
    model.write_bytes(content)


def _forge_the_manifest(folder: Path) -> None:
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"threshold": 0.5', '"threshold": 0.1'))


def _leave_by_a_link(folder: Path) -> None:
    model = folder / "model.onnx"
    elsewhere = folder.parent / "elsewhere.onnx"
    model.rename(elsewhere)
    model.symlink_to(elsewhere)


def _remove_a_file(folder: Path) -> None:
    (folder / "golden.json").unlink()


@pytest.mark.parametrize("damage", [_truncate, _flip_a_bit, _forge_the_manifest, _leave_by_a_link, _remove_a_file])
def test_a_damaged_bundle_keeps_the_old_version(
    store: ReleaseStore, host: ModelHost, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
):
    promote(store, 1)
    host.poll()
    deployed = write_toy_bundle(store.bundles, 2)
    damage(store.bundles / deployed.bundle)
    append_release(store, deployed)
    host.poll()
    assert host.model(MODEL).version == "1"
    assert "what answered before goes on" in caplog.text


def test_a_model_that_misses_its_golden_answers_is_refused_and_not_tried_again(
    store: ReleaseStore, host: ModelHost, caplog: pytest.LogCaptureFixture
):
    promote(store, 1)
    host.poll()
    deployed = promote(store, 2, golden_error=0.001).routing.production
    append_release(store, deployed, action="refuse")
    for _ in range(5):
        host.poll()
    assert host.model(MODEL).version == "1"
    assert caplog.text.count("misses its golden answers") == 1
    promote(store, 3)
    host.poll()
    assert host.model(MODEL).version == "3"


def test_a_bundle_of_another_model_or_without_a_graph_is_refused(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    foreign = write_toy_bundle(store.bundles, 2, contract=replace(CONTRACT, model="other"))
    append_release(store, foreign)
    host.poll()
    append_release(store, write_toy_bundle(store.bundles, 3, model=onnx_of(3)[:50]))
    host.poll()
    assert host.model(MODEL).version == "1"


def test_a_bundle_that_cannot_be_read_for_a_while_is_tried_again(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    deployed = write_toy_bundle(store.bundles, 2)
    away = store.root / "away"
    (store.bundles / deployed.bundle).rename(away)
    append_release(store, deployed)
    host.poll()
    assert host.model(MODEL).version == "1"
    away.rename(store.bundles / deployed.bundle)
    eventually(lambda: host.poll() or host.model(MODEL).version == "2", what="second try")


def test_a_damaged_release_document_keeps_the_old_version(store: ReleaseStore, host: ModelHost):
    promote(store, 1)
    host.poll()
    (store.root / "releases" / MODEL / "2.json").write_text("{")
    host.poll()
    assert host.model(MODEL).version == "1"


def _refusal_of(client: Client) -> str:
    with pytest.raises((ModelUnavailableError, ModelNotFoundError)) as caught:
        client.predict(MODEL, ROW)
    return str(caught.value) if caught.type is ModelUnavailableError else ""


def test_a_server_without_any_model_is_alive_and_not_ready_until_one_is_promoted(
    new_server: Callable[..., RunningServer],
):
    server = new_server().start()
    with server.client(retry_seconds=0) as client:
        assert (server.http("/livez")[0], server.http("/readyz")[0]) == (200, 503)
        assert not client.health()
        append_release(server.store, None)
        eventually(lambda: "toy" in _refusal_of(client), what="the empty release")
        promote(server.store, 1)
        with server.client(retry_seconds=10) as patient:
            assert patient.predict(MODEL, ROW).model_version == "1"
        eventually(lambda: server.http("/readyz")[0] == 200, what="readiness")


def test_a_server_starts_from_the_last_known_good_while_the_store_is_away(new_server: Callable[..., RunningServer]):
    server = new_server()
    promote(server.store, 1)
    promote(server.store, 2)
    server.start()
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
    assert server.terminate() == 0
    away = server.home / "away"
    server.store.root.rename(away)
    server.start()
    with server.client() as client:
        assert client.wait_until_healthy(MODEL)
        answer = client.predict(MODEL, ROW)
        assert (answer.model_version, answer.generation) == ("2", 2)
        assert 'model_stale{model="toy"} 1.0' in server.http("/metrics")[1]
        away.rename(server.store.root)
        promote(server.store, 3)
        eventually(lambda: client.predict(MODEL, ROW).model_version == "3", what="swap")
        eventually(lambda: 'model_stale{model="toy"} 0.0' in server.http("/metrics")[1], what="freshness")


def test_a_remembered_bundle_that_was_altered_is_not_served(store: ReleaseStore, host: ModelHost, tmp_path: Path):
    deployed = promote(store, 1).routing.production
    host.poll()
    store.root.rename(tmp_path / "away")
    _flip_a_bit(tmp_path / "cache" / "bundles" / deployed.bundle)
    again = new_host(store, tmp_path)
    again.poll()
    assert again.names == []


def test_only_the_bundles_in_use_are_remembered(store: ReleaseStore, host: ModelHost, tmp_path: Path):
    for version in range(1, 4):
        promote(store, version)
        host.poll()
    kept = {path.name.partition(".")[0] for path in (tmp_path / "cache" / "bundles").iterdir()}
    assert kept == {host.model(MODEL).digest}
