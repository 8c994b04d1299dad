from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from protos.inference import open_inference_pb2_grpc as pb_grpc
from serving.client import Client
from serving.formats.release import ReleaseStore
from serving.scoring import host as host_module
from serving.scoring import loading
from serving.scoring.host import ModelHost
from tests.serving.api import RunningApi, Tokens, running_api
from tests.serving.harness import RunningServer, eventually
from tests.serving.hosts import host_of
from tests.serving.toy import MODEL, promote
from tests.signing import signing_store


@pytest.fixture
def new_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Make servers in temporary homes; they are gone at the end, whatever happened."""
    servers = []

    def make(home: str = "home", **settings: Any) -> RunningServer:
        servers.append(RunningServer(tmp_path / home, **settings))
        return servers[-1]

    yield make
    for server in servers:
        server.destroy()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of the toy model's version 1, shared by all tests that do not stop or change it."""
    running = RunningServer(tmp_path_factory.mktemp("server") / "home", ship_seconds=0.2)
    promote(running.store, 1)
    try:
        running.start()
        with running.client() as client:
            eventually(lambda: client.health(MODEL), what="health")
        yield running
    finally:
        running.destroy()


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with server.client() as opened:
        yield opened


@pytest.fixture
def inference(server: RunningServer) -> Iterator[pb_grpc.GRPCInferenceServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield pb_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return signing_store(tmp_path)


@pytest.fixture
def host(tmp_path: Path) -> ModelHost:
    """A host over `store`."""
    return host_of(tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a host look again at what it refused at every poll, not only after a second."""
    monkeypatch.setattr(host_module, "LOOK_AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(loading, "LOOK_AGAIN_SECONDS", 0.0)


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "tokens.json")


@pytest.fixture
def api(tmp_path: Path, tokens: Tokens) -> Iterator[RunningApi]:
    with running_api(tmp_path, tokens=tokens.path) as running:
        yield running
