"""The commands, the checks and the replay reach a server that asks who they are."""

from datetime import timedelta
from pathlib import Path

import pytest

from mlops_assets.resources.prediction_server import connect
from mlops_assets.settings import Settings
from serving.errors import UnauthenticatedError
from serving.security.certificates import create_certificates
from serving.security.tokens import create_token
from tests.serving.api import running_api


def test_the_settings_carry_token_and_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    create_certificates(tmp_path, ["localhost"], lifetime=timedelta(days=1))
    token, _ = create_token(tmp_path / "tokens.json", name="dagster", scopes=["predict"], lifetime=None)
    tls = {"tls_certificate": tmp_path / "server.crt", "tls_key": tmp_path / "server.key"}
    with running_api(tmp_path, tokens=tmp_path / "tokens.json", tls_client_ca=tmp_path / "ca.crt", **tls) as api:
        monkeypatch.setenv("MLOPS_SERVER", f"localhost:{api.port}")
        monkeypatch.setenv("MLOPS_SERVER_CA", str(tmp_path / "ca.crt"))
        monkeypatch.setenv("MLOPS_CLIENT_CERTIFICATE", str(tmp_path / "client.crt"))
        monkeypatch.setenv("MLOPS_CLIENT_KEY", str(tmp_path / "client.key"))
        with connect(Settings()) as stranger, pytest.raises(UnauthenticatedError):
            stranger.predict("toy", {})
        monkeypatch.setenv("MLOPS_SERVER_TOKEN", token)
        with connect(Settings()) as client:
            assert client.predict("toy", {}).label == "toy"
        assert api.servicers.callers == ["dagster"]
        assert token not in repr(Settings())
