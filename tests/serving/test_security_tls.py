"""TLS and mutual TLS, and certificates that are rotated while the server runs."""

import shutil
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from serving.client import Client
from serving.client_channel import Credentials
from serving.errors import ServingError, SettingsError
from serving.security.certificates import create_certificates
from serving.security.tls import ServerCertificate
from serving.security.tokens import create_token
from tests.serving.api import running_api
from tests.serving.harness import RunningServer, eventually
from tests.serving.toy import MODEL, ROW, promote

QUARTER = timedelta(days=90)


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    create_certificates(tmp_path / "pki", ["localhost", "127.0.0.1"], lifetime=QUARTER)
    return tmp_path / "pki"


def tls_settings(pki: Path, *, mutual: bool = False) -> dict[str, Path]:
    settings = {"tls_certificate": pki / "server.crt", "tls_key": pki / "server.key"}
    return settings | ({"tls_client_ca": pki / "ca.crt"} if mutual else {})


def serial_at(port: int) -> int:
    """Return the serial number of the certificate that a new connection is shown."""
    shown = ssl.get_server_certificate(("127.0.0.1", port), timeout=5)
    return x509.load_pem_x509_certificate(shown.encode()).serial_number


def answers(port: int, **credentials: Path) -> bool:
    with Client(
        f"localhost:{port}", credentials=Credentials(**credentials), retry_seconds=0, timeout_seconds=5
    ) as client:
        try:
            return client.predict("toy", ROW).label == "toy"
        except ServingError:
            return False


def test_a_client_that_knows_the_authority_is_answered_and_others_are_not(tmp_path: Path, pki: Path):
    create_certificates(tmp_path / "foreign", ["localhost"], lifetime=QUARTER)
    with running_api(tmp_path, **tls_settings(pki)) as api:
        assert answers(api.port, ca=pki / "ca.crt")
        assert not answers(api.port, ca=tmp_path / "foreign" / "ca.crt")
        assert not answers(api.port)


def test_mutual_tls_answers_only_clients_with_a_certificate_of_the_authority(tmp_path: Path, pki: Path):
    create_certificates(tmp_path / "foreign", ["localhost"], lifetime=QUARTER)
    foreign = {"certificate": tmp_path / "foreign" / "client.crt", "key": tmp_path / "foreign" / "client.key"}
    with running_api(tmp_path, **tls_settings(pki, mutual=True)) as api:
        assert answers(api.port, ca=pki / "ca.crt", certificate=pki / "client.crt", key=pki / "client.key")
        assert not answers(api.port, ca=pki / "ca.crt")
        assert not answers(api.port, ca=pki / "ca.crt", **foreign)


def test_a_rotated_certificate_is_shown_to_new_connections_and_open_ones_go_on(tmp_path: Path, pki: Path):
    with running_api(tmp_path, **tls_settings(pki)) as api:
        before = serial_at(api.port)
        with Client(f"localhost:{api.port}", credentials=Credentials(ca=pki / "ca.crt"), retry_seconds=0) as open_one:
            open_one.predict("toy", ROW)
            create_certificates(pki, ["localhost"], lifetime=QUARTER)
            eventually(lambda: serial_at(api.port) != before, what="rotation")
            assert open_one.predict("toy", ROW).label == "toy"
        assert answers(api.port, ca=pki / "ca.crt")


def test_a_rotation_that_is_half_done_leaves_the_certificate_that_was_read(tmp_path: Path, pki: Path):
    certificate = ServerCertificate(pki / "server.crt", pki / "server.key")
    create_certificates(tmp_path / "new", ["localhost"], lifetime=QUARTER)
    shutil.copy(tmp_path / "new" / "server.crt", pki / "server.crt")
    certificate.refresh()
    assert certificate._changed() is None
    shutil.copy(tmp_path / "new" / "server.key", pki / "server.key")
    certificate.refresh()
    assert certificate._changed() is not None
    assert certificate._changed() is None


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("server.key", "x", "SERVING_TLS_KEY: .* is no private key"),
        ("server.crt", "x", "SERVING_TLS_CERTIFICATE: .* holds no certificate"),
        ("ca.crt", "", "SERVING_TLS_CLIENT_CA: .* holds no certificate"),
        ("server.key", None, "SERVING_TLS_KEY: .* No such file"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_named(pki: Path, name: str, content: str | None, what: str):
    (pki / name).unlink()
    if content is not None:
        (pki / name).write_text(content)
    with pytest.raises(SettingsError, match=what):
        ServerCertificate(pki / "server.crt", pki / "server.key", pki / "ca.crt")


def test_a_key_of_another_certificate_is_named(pki: Path):
    with pytest.raises(SettingsError, match="does not belong to the certificate"):
        ServerCertificate(pki / "server.crt", pki / "client.key")


def test_private_keys_are_readable_by_their_owner_alone(pki: Path):
    assert {path.stat().st_mode & 0o777 for path in pki.glob("*.key")} == {0o600}


def test_a_token_does_not_travel_in_the_clear():
    with pytest.raises(SettingsError, match="needs TLS"):
        Client("192.0.2.1:50051", credentials=Credentials(token="mlops_secret"))
    Client("127.0.0.1:50051", credentials=Credentials(token="mlops_secret")).close()
    assert "secret" not in repr(Credentials(token="mlops_secret"))


def test_all_workers_of_a_real_server_ask_for_certificate_and_token(
    new_server: Callable[..., RunningServer], tmp_path: Path, pki: Path
):
    token, _ = create_token(tmp_path / "tokens.json", name="alice", scopes=["predict"], lifetime=None)
    server = new_server(workers=2, tokens=tmp_path / "tokens.json", **tls_settings(pki, mutual=True))
    promote(server.store, 1)
    server.start()
    files = {"ca": pki / "ca.crt", "certificate": pki / "client.crt", "key": pki / "client.key"}
    with server.client(credentials=Credentials(token, **files), connections=8) as client:
        eventually(lambda: client.health(MODEL), what="health")
        assert len({client.predict(MODEL, ROW).prediction_id for _ in range(16)}) == 16
    stranger = server.client(credentials=Credentials("wrong", **files), retry_seconds=0)
    with stranger, pytest.raises(ServingError, match="the token is not good"):
        stranger.predict(MODEL, ROW)
    everything = server.log + server.http("/metrics")[1]
    assert token not in everything
    assert "wrong" not in everything
