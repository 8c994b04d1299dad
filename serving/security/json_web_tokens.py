"""JWTs of an identity provider (OpenID Connect, OAuth 2), checked against the keys that it publishes."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from jwt import PyJWKClient, PyJWKSet
from jwt.exceptions import PyJWTError

from serving.errors import SettingsError, UnauthenticatedError
from serving.security.identity import Identity, granted
from serving.security.watched_files import Stamp, stamp_of

# Signatures by private keys only: with a shared secret, whoever can check a token could also make one.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
_REQUIRED_CLAIMS = ("exp", "iss", "aud", "sub")
_LEEWAY_SECONDS = 10
_MAXIMUM_SUBJECT = 200
_FETCH_SECONDS = 300.0
_RETRY_SECONDS = 30.0
_FETCH_TIMEOUT_SECONDS = 5.0

_log = logging.getLogger(__name__)


class JwtVerifier:
    """Checks signature, issuer, audience and time; keeps the keys up to date when `refresh` is called.

    Checking happens on the thread that takes calls in, so nothing here waits for a network: an unknown key is refused
    and asked for by the next `refresh`. A check takes about 0.1 ms.
    """

    def __init__(self, keys: str, *, issuer: str, audience: str) -> None:
        """Read the keys, if they are in a file.

        Args:
            keys: Path or https URL of a JSON Web Key Set.
            issuer: The only `iss` that is accepted.
            audience: What `aud` must contain.

        Raises:
            SettingsError: The file is not there or holds no usable key.
        """
        self._issuer, self._audience = issuer, audience
        self._url = keys if "://" in keys else ""
        self._path = Path(keys)
        self._stamp: Stamp = ()
        self._keys: list[jwt.PyJWK] = []
        self._next_fetch = self._last_fetch = 0.0
        if not self._url:
            self._stamp = stamp_of(self._path)
            self._keys = _keys_in(self._path)

    def identify(self, token: str) -> Identity:
        """Return who presents a token in its compact form.

        Raises:
            UnauthenticatedError: It is not good; says why without repeating any of it.
        """
        return _identity_of(self._claims(token))

    def refresh(self) -> bool:
        """Follow the keys: a file when it changes, a URL every five minutes, or 30 s after an unknown key was met.

        Returns:
            Whether the keys were read again.
        """
        try:
            keys = self._fetched() if self._url else self._reread()
        except (SettingsError, PyJWTError, OSError, ValueError) as error:
            _log.error("the keys for JWTs can not be read: %s; those read before stay", error)
            return False
        if keys is not None:
            self._keys = keys
        return keys is not None

    def _reread(self) -> list[jwt.PyJWK] | None:
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return _keys_in(self._path)

    def _fetched(self) -> list[jwt.PyJWK] | None:
        now = time.monotonic()
        if now < self._next_fetch:
            return None
        self._last_fetch, self._next_fetch = now, now + _RETRY_SECONDS
        client = PyJWKClient(self._url, cache_jwk_set=False, timeout=_FETCH_TIMEOUT_SECONDS)
        keys = client.get_jwk_set().keys
        self._next_fetch = now + _FETCH_SECONDS
        return keys

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key_of(jwt.get_unverified_header(token)),
                algorithms=_ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": list(_REQUIRED_CLAIMS)},
            )
        except jwt.ExpiredSignatureError:
            raise UnauthenticatedError("the token has expired") from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
            raise UnauthenticatedError("the token was not issued for this server") from None
        except (PyJWTError, ValueError, TypeError):
            raise UnauthenticatedError("the token is not good") from None
        return claims

    def _key_of(self, header: Mapping[str, Any]) -> jwt.PyJWK:
        name = header.get("kid")
        for key in self._keys:
            if key.key_id == name and key.public_key_use in {None, "sig"}:
                return key
        self._next_fetch = min(self._next_fetch, self._last_fetch + _RETRY_SECONDS)
        raise UnauthenticatedError("the token is signed with a key that is not known here")


def _keys_in(path: Path) -> list[jwt.PyJWK]:
    try:
        return PyJWKSet.from_dict(json.loads(path.read_bytes())).keys
    except OSError as error:
        raise SettingsError(f"SERVING_JWKS: {path} can not be read: {error.strerror}") from None
    except (PyJWTError, ValueError, TypeError, AttributeError) as error:
        raise SettingsError(f"SERVING_JWKS: {path} is no JSON Web Key Set: {error}") from None


def _identity_of(claims: Mapping[str, Any]) -> Identity:
    subject = claims["sub"]
    if not (subject and subject.isprintable() and len(subject) <= _MAXIMUM_SUBJECT):
        raise UnauthenticatedError("the token's subject is not possible")
    scopes = claims.get("scope", claims.get("scp", ""))
    if not isinstance(scopes, str | list):
        raise UnauthenticatedError("the token's scopes are neither a text nor a list")
    words = scopes.split() if isinstance(scopes, str) else [str(word) for word in scopes]
    return Identity(f"jwt:{subject}", granted(words), float(claims["exp"]) + _LEEWAY_SECONDS)
