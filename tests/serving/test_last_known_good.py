"""While the release store is away, a server starts from what answered last, verified like anything else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from serving.errors import ModelUnavailableError
from serving.formats.release import ReleaseStore
from serving.scoring.host import ModelHost
from tests.serving.harness import RunningServer, eventually
from tests.serving.hosts import host_of
from tests.serving.toy import MODEL, ROW, append_release, promote


@pytest.fixture
def remembered(store: ReleaseStore, host: ModelHost, tmp_path: Path) -> Path:
    """The cache's bundles after version 1 answered; the store has gone."""
    promote(store, 1)
    host.poll()
    store.root.rename(tmp_path / "away")
    return tmp_path / "cache" / "bundles"


def stale() -> float | None:
    return REGISTRY.get_sample_value("model_stale", {"model": MODEL})


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
        assert not client.model_info(MODEL).HasField("release")
        with pytest.raises(ModelUnavailableError, match="chain is away"), server.client(retry_seconds=0) as other:
            other.predict(MODEL, ROW, version="1")
        assert 'model_stale{model="toy"} 1.0' in server.http("/metrics")[1]
        away.rename(server.store.root)
        promote(server.store, 3)
        eventually(lambda: client.predict(MODEL, ROW).model_version == "3", what="swap")
        eventually(lambda: 'model_stale{model="toy"} 0.0' in server.http("/metrics")[1], what="freshness")
        assert client.predict(MODEL, ROW, version="1").model_version == "1"


def test_a_server_without_store_and_memory_is_alive_and_not_ready(new_server: Callable[..., RunningServer]):
    server = new_server().start()
    assert (server.http("/livez")[0], server.http("/readyz")[0]) == (200, 503)
    assert server.log.count("there are no releases") == 1


def test_what_is_remembered_answers(remembered: Path, tmp_path: Path):
    again = host_of(tmp_path)
    again.poll()
    assert (again.model(MODEL).version, again.model(MODEL).role) == ("1", "production")


def flip_a_bit(bundles: Path) -> None:
    model = next(bundles.glob("*/model.onnx"))
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 4
    model.write_bytes(content)


def remove_the_signature(bundles: Path) -> None:
    next(bundles.glob("*.sig")).unlink()


def withdraw_the_key(bundles: Path) -> None:
    shutil.rmtree(bundles.parents[1] / "keys" / "trusted")


@pytest.mark.parametrize("damage", [flip_a_bit, remove_the_signature, withdraw_the_key])
def test_what_is_remembered_and_no_longer_whole_or_trusted_does_not_answer(
    remembered: Path, tmp_path: Path, damage: Callable[[Path], None]
):
    damage(remembered)
    again = host_of(tmp_path)
    again.poll()
    assert again.names == []


def test_a_damaged_memory_is_mended_when_the_store_is_there(store: ReleaseStore, tmp_path: Path):
    promote(store, 1)
    host_of(tmp_path).poll()
    flip_a_bit(tmp_path / "cache" / "bundles")
    host_of(tmp_path).poll()
    store.root.rename(tmp_path / "away")
    again = host_of(tmp_path)
    again.poll()
    assert again.model(MODEL).version == "1"


def test_only_the_bundles_in_use_are_remembered(store: ReleaseStore, host: ModelHost, tmp_path: Path):
    for version in range(1, 4):
        promote(store, version)
        host.poll()
    kept = {path.name.partition(".")[0] for path in (tmp_path / "cache" / "bundles").iterdir()}
    assert kept == {host.model(MODEL).digest}


def test_an_empty_release_store_is_one_that_is_away(remembered: Path, tmp_path: Path, store: ReleaseStore):
    (store.root / "releases" / "other").mkdir(parents=True)
    again = host_of(tmp_path)
    again.poll()
    assert (again.model(MODEL).version, stale()) == ("1", 1)


def test_a_model_whose_chain_has_gone_answers_on_and_is_stale(store: ReleaseStore, host: ModelHost, impatient):
    promote(store, 1)
    host.poll()
    chain = store.root / "releases" / MODEL
    chain.rename(store.root / "away")
    host.poll()
    assert (host.model(MODEL).version, stale()) == ("1", 1)
    (store.root / "away").rename(chain)
    host.poll()
    assert (host.model(MODEL).version, stale()) == ("1", 0)


def test_a_model_that_is_withdrawn_is_not_stale_and_does_not_come_back_with_the_store_away(
    store: ReleaseStore, host: ModelHost, tmp_path: Path
):
    promote(store, 1)
    host.poll()
    promote(store, 2, golden_error=0.1)
    host.poll()
    assert stale() == 1
    append_release(store, None)
    host.poll()
    assert (host.names, stale()) == ([], 0)
    store.root.rename(tmp_path / "away")
    again = host_of(tmp_path)
    for each in (host, again):
        each.poll()
        assert each.names == []


def test_a_store_that_comes_back_broken_does_not_replace_what_answers(
    remembered: Path, tmp_path: Path, store: ReleaseStore
):
    again = host_of(tmp_path)
    again.poll()
    (tmp_path / "away").rename(store.root)
    (store.root / "releases" / MODEL / "1.json").write_text("{")
    again.poll()
    assert again.model(MODEL).version == "1"
