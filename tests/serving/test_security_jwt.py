"""JWTs of an identity provider: which are good, and how its keys are followed."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from serving.errors import SettingsError, UnauthenticatedError
from serving.security.json_web_tokens import JwtVerifier
from tests.serving.api import FEEDBACK, PREDICT, running_api
from tests.serving.harness import eventually

ISSUER, AUDIENCE = "https://issuer.example", "mlops"


class Provider:
    """Signs tokens and publishes its keys."""

    def __init__(self, name: str = "k1") -> None:
        self.name = name
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def keys(self) -> str:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return json.dumps({"keys": [public | {"kid": self.name, "use": "sig", "alg": "RS256"}]})

    def token(self, *, without: str = "", header: dict[str, Any] | None = None, **changed: Any) -> str:
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60, "scope": "predict openid"}
        claims = {name: value for name, value in (claims | changed).items() if name != without}
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.name} | (header or {}))


@pytest.fixture(scope="module")
def provider() -> Provider:
    return Provider()


@pytest.fixture
def keys(tmp_path: Path, provider: Provider) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(provider.keys())
    return path


@pytest.fixture
def verifier(keys: Path) -> JwtVerifier:
    return JwtVerifier(str(keys), issuer=ISSUER, audience=AUDIENCE)


def test_a_good_token_gives_its_subject_and_the_scopes_that_are_known(verifier: JwtVerifier, provider: Provider):
    identity = verifier.identify(provider.token())
    assert (identity.name, identity.scopes) == ("jwt:alice", {"predict", "health", "reflection"})
    assert identity.expires_at == pytest.approx(time.time() + 70, abs=5)


@pytest.mark.parametrize("claims", [{"scope": ["feedback"]}, {"without": "scope", "scp": "feedback"}])
def test_scopes_may_be_written_in_the_ways_that_providers_do(
    verifier: JwtVerifier, provider: Provider, claims: dict[str, Any]
):
    assert "feedback" in verifier.identify(provider.token(**claims)).scopes


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": 1_000_000}, "expired"),
        ({"iss": "https://other.example"}, "not issued for this server"),
        ({"aud": "other"}, "not issued for this server"),
        ({"nbf": 4_000_000_000}, "not good"),
        *(({"without": claim}, "the token") for claim in ("exp", "iss", "aud", "sub")),
        ({"sub": ""}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": "x" * 300}, "subject"),
        ({"header": {"kid": "k2"}}, "key that is not known"),
    ],
)
def test_a_token_that_is_not_good_is_refused(
    verifier: JwtVerifier, provider: Provider, claims: dict[str, Any], why: str
):
    with pytest.raises(UnauthenticatedError, match=why):
        verifier.identify(provider.token(**claims))


def test_a_signature_of_another_key_is_refused(verifier: JwtVerifier):
    with pytest.raises(UnauthenticatedError, match="not good"):
        verifier.identify(Provider().token())


def test_a_token_without_a_signature_or_with_a_shared_secret_is_refused(verifier: JwtVerifier, keys: Path):
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": time.time() + 60}
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"})
    with pytest.raises(UnauthenticatedError):
        verifier.identify(unsigned)
    # The public key as the secret of an HMAC: what a verifier accepts that lets the token choose the algorithm.
    shared = jwt.encode(claims, b"x" * 32, algorithm="HS256", headers={"kid": "k1"})
    with pytest.raises(UnauthenticatedError):
        verifier.identify(shared)


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "....", "e30.e30.e30", "ü.ü.ü", "\udcff"])
def test_what_is_no_token_at_all_is_refused(verifier: JwtVerifier, text: str):
    with pytest.raises(UnauthenticatedError):
        verifier.identify(text)


def test_a_rotated_key_file_is_followed(verifier: JwtVerifier, keys: Path):
    following = Provider("k2")
    keys.write_text(following.keys())
    assert verifier.refresh()
    assert verifier.identify(following.token()).name == "jwt:alice"
    assert not verifier.refresh()


def test_a_key_file_that_breaks_leaves_the_keys_that_were_read(verifier: JwtVerifier, keys: Path, provider: Provider):
    keys.write_text('{"keys": []}')
    assert not verifier.refresh()
    assert verifier.identify(provider.token()).name == "jwt:alice"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "RSA"}]}'])
def test_a_file_without_keys_is_named_at_start(tmp_path: Path, content: str):
    path = tmp_path / "jwks.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"jwks\.json is no JSON Web Key Set"):
        JwtVerifier(str(path), issuer=ISSUER, audience=AUDIENCE)


def test_keys_of_elliptic_curves_are_accepted(tmp_path: Path):
    key = ec.generate_private_key(ec.SECP256R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public | {"kid": "e1"}]}))
    claims = {"iss": ISSUER, "aud": [AUDIENCE, "other"], "sub": "bob", "exp": time.time() + 60}
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": "e1"})
    verifier = JwtVerifier(str(tmp_path / "jwks.json"), issuer=ISSUER, audience=AUDIENCE)
    assert verifier.identify(token).name == "jwt:bob"


class Publisher:
    """The key set of a provider over HTTP."""

    def __init__(self) -> None:
        self.content, self.asked = "", 0
        publisher = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(200 if publisher.content else 503)
                self.end_headers()
                self.wfile.write(publisher.content.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    running = Publisher()
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_keys_are_fetched_from_a_url_and_not_at_every_call(publisher: Publisher, provider: Provider):
    publisher.content = provider.keys()
    verifier = JwtVerifier(publisher.url, issuer=ISSUER, audience=AUDIENCE)
    assert verifier.refresh()
    for _ in range(10):
        verifier.identify(provider.token())
        assert not verifier.refresh()
    assert publisher.asked == 1


def test_unknown_keys_do_not_make_the_server_ask_again_and_again(publisher: Publisher, provider: Provider):
    publisher.content = provider.keys()
    verifier = JwtVerifier(publisher.url, issuer=ISSUER, audience=AUDIENCE)
    verifier.refresh()
    for _ in range(10):
        with pytest.raises(UnauthenticatedError):
            verifier.identify(provider.token(header={"kid": "k2"}))
        verifier.refresh()
    assert publisher.asked == 1


def test_a_url_that_is_away_lets_nobody_in_and_does_no_harm(publisher: Publisher, provider: Provider):
    verifier = JwtVerifier(publisher.url, issuer=ISSUER, audience=AUDIENCE)
    assert not verifier.refresh()
    with pytest.raises(UnauthenticatedError, match="key that is not known"):
        verifier.identify(provider.token())


def test_calls_with_jwts_are_answered_until_the_key_has_gone(tmp_path: Path, keys: Path, provider: Provider):
    with running_api(tmp_path, jwks=str(keys), jwt_issuer=ISSUER, jwt_audience=AUDIENCE) as api:
        token = provider.token()
        assert api.status(PREDICT, token=token) is grpc.StatusCode.OK
        assert api.status(FEEDBACK, token=token) is grpc.StatusCode.PERMISSION_DENIED
        assert api.servicers.callers == ["jwt:alice"]
        keys.write_text(Provider("k2").keys())
        eventually(lambda: api.status(PREDICT, token=token) is grpc.StatusCode.UNAUTHENTICATED, what="rotation")


@pytest.mark.parametrize("scope", [None, 5, {"predict": True}])
def test_scopes_of_another_kind_are_refused(verifier: JwtVerifier, provider: Provider, scope):
    with pytest.raises(UnauthenticatedError, match="neither a text nor a list"):
        verifier.identify(provider.token(scope=scope))
