"""What the server refuses to start with, and the commands that make what it asks for."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from serving.errors import SettingsError
from serving.security.certificates import create_certificates
from serving.security.protection import check_protection, is_loopback
from serving.security.tokens import create_token, read_tokens
from serving.settings import load_settings
from tests.serving.test_start import refusal, run


@pytest.fixture
def protected(tmp_path: Path) -> dict[str, object]:
    create_certificates(tmp_path, ["localhost"], lifetime=timedelta(days=1))
    create_token(tmp_path / "tokens.json", name="alice", scopes=["predict"], lifetime=None)
    return {
        "tls_certificate": tmp_path / "server.crt",
        "tls_key": tmp_path / "server.key",
        "tokens": tmp_path / "tokens.json",
    }


def problem(**settings: object) -> str:
    with pytest.raises(SettingsError) as caught:
        check_protection(load_settings(**settings))
    return str(caught.value)


def test_an_address_that_others_reach_is_refused_in_one_line_that_names_the_mend(tmp_path: Path):
    line = refusal(tmp_path, port=0, host="0.0.0.0")
    assert "SERVING_HOST=0.0.0.0 can be reached from other machines" in line
    for variable in ("SERVING_TLS_CERTIFICATE", "SERVING_TLS_KEY", "SERVING_TOKENS", "SERVING_ALLOW_UNPROTECTED=true"):
        assert variable in line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "", "no-such-host.invalid"])
def test_every_address_but_the_loopback_needs_tls_and_tokens(tmp_path: Path, protected: dict[str, object], host: str):
    assert "SERVING_TOKENS" in problem(home=tmp_path, host=host)
    tls_only = {name: path for name, path in protected.items() if name != "tokens"}
    assert "set SERVING_TOKENS or SERVING_JWKS" in problem(home=tmp_path, host=host, **tls_only)
    assert "set SERVING_TLS_CERTIFICATE" in problem(home=tmp_path, host=host, tokens=protected["tokens"])
    check_protection(load_settings(home=tmp_path, host=host, **protected))
    check_protection(load_settings(home=tmp_path, host=host, allow_unprotected=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_loopback_needs_nothing(tmp_path: Path, host: str):
    check_protection(load_settings(home=tmp_path, host=host))
    assert is_loopback(host)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"tls_certificate": "x"}, "SERVING_TLS_CERTIFICATE needs SERVING_TLS_KEY too"),
        ({"tls_key": "x"}, "SERVING_TLS_KEY needs SERVING_TLS_CERTIFICATE too"),
        ({"tls_client_ca": "x"}, "SERVING_TLS_CLIENT_CA needs SERVING_TLS_CERTIFICATE too"),
        ({"jwks": "x"}, "SERVING_JWKS needs SERVING_JWT_ISSUER too"),
        ({"jwks": "x", "jwt_issuer": "i"}, "SERVING_JWKS needs SERVING_JWT_AUDIENCE too"),
        ({"jwks": "http://issuer.example/keys", "jwt_issuer": "i", "jwt_audience": "a"}, "fetched over https"),
        ({"calls_per_second": 5}, "SERVING_CALLS_PER_SECOND limits identities, and without tokens nobody has one: set"),
        ({"calls_per_second": 5}, "set SERVING_TOKENS or SERVING_JWKS"),
        ({"tokens": "/nowhere/tokens.json"}, "/nowhere/tokens.json can not be read"),
    ],
)
def test_settings_that_do_not_fit_together_are_named(tmp_path: Path, settings: dict[str, object], what: str):
    assert what in problem(home=tmp_path, **settings)


@pytest.mark.parametrize("content", ["", "[", "{}", '[{"name": "a"}]', '[{"sha256": 1}]'])
def test_a_file_that_holds_no_tokens_is_named(tmp_path: Path, content: str):
    (tmp_path / "tokens.json").write_text(content)
    line = problem(home=tmp_path, tokens=tmp_path / "tokens.json")
    assert "tokens.json is no token file" in line
    assert "\n" not in line


def test_tokens_are_created_listed_and_revoked_by_commands(tmp_path: Path):
    path = tmp_path / "secrets" / "tokens.json"

    def tokens(*arguments: str) -> subprocess.CompletedProcess[str]:
        return run("-m", "serving", "tokens", *arguments, home=tmp_path, tokens=path)

    created = tokens("create", "--name", "alice", "--scopes", "predict, feedback", "--days", "30")
    text = created.stdout.strip()
    assert text not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    (entry,) = read_tokens(path)
    assert (entry.name, entry.scopes) == ("alice", ("predict", "feedback"))
    assert tokens("list").stdout.startswith(f"{entry.id}  alice")
    assert "worthless" in tokens("revoke", entry.id).stdout
    assert read_tokens(path) == []
    assert tokens("revoke", entry.id).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--name", "a b", "--scopes", "predict"], "is no name for a token"),
        (["--name", "a", "--scopes", "everything"], "there is no scope 'everything'"),
        (["--name", "a", "--scopes", ""], "there is no scope ''"),
        (["--name", "a", "--scopes", "predict", "--days", "0"], "--days 0"),
    ],
)
def test_a_token_that_cannot_be_made_is_explained_in_one_line(tmp_path: Path, arguments: list[str], what: str):
    finished = run("-m", "serving", "tokens", "create", *arguments, home=tmp_path, tokens=tmp_path / "t.json")
    assert finished.returncode == 2
    assert what in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
    assert not (tmp_path / "t.json").exists()


def test_tokens_created_at_the_same_time_are_all_kept(tmp_path: Path):
    path = tmp_path / "tokens.json"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: create_token(path, name=f"n{i}", scopes=["predict"], lifetime=None), range(40)))
    assert len(read_tokens(path)) == 40
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".tokens.json.lock", "tokens.json"]


def test_the_file_holds_nothing_that_opens_the_server(tmp_path: Path):
    text, token = create_token(tmp_path / "tokens.json", name="a", scopes=["predict"], lifetime=None)
    stored = json.loads((tmp_path / "tokens.json").read_text())
    assert set(stored[0]) == {"name", "scopes", "sha256", "created_at", "expires_at"}
    assert text not in json.dumps(stored)
    assert token.sha256 not in text


def test_certificates_are_created_by_a_command_and_again_under_the_same_authority(tmp_path: Path):
    def certificates() -> subprocess.CompletedProcess[str]:
        return run("-m", "serving", "certificates", "create", str(tmp_path / "pki"), "--days", "1", home=tmp_path)

    assert len(certificates().stdout.splitlines()) == 6
    authority, server = ((tmp_path / "pki" / name).read_bytes() for name in ("ca.crt", "server.crt"))
    assert certificates().returncode == 0
    assert (tmp_path / "pki" / "ca.crt").read_bytes() == authority
    assert (tmp_path / "pki" / "server.crt").read_bytes() != server


def test_the_probes_stay_on_the_loopback_unless_their_own_setting_says_so(tmp_path: Path):
    assert load_settings(home=tmp_path, host="0.0.0.0").metrics_host == "127.0.0.1"
