"""Finds out who calls, from the `authorization` header of a call."""

import time
from collections.abc import Iterable

from serving.errors import UnauthenticatedError
from serving.security.identity import Identity
from serving.security.json_web_tokens import JwtVerifier
from serving.security.tokens import AcceptedTokens, digest_of
from serving.settings import ServingSettings

_BEARER = "bearer "
_MAXIMUM_REMEMBERED = 10_000


class Authenticator:
    """Knows the tokens of a file, and JWTs, whichever are configured.

    A header that was found good is remembered until something changes, so that a caller costs a look-up and no more.
    """

    def __init__(self, tokens: AcceptedTokens | None, jwts: JwtVerifier | None) -> None:
        self._tokens, self._jwts = tokens, jwts
        self._known: dict[str | bytes, Identity] = {}

    def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Identity | None:
        """Return the caller, or None if it does not say who it is.

        Raises:
            UnauthenticatedError: It says so, and it is not true.
        """
        for key, value in metadata:
            if key == "authorization":
                identity = self._known.get(value) or self._remembered(str(value))
                if identity.expires_at <= time.time():
                    raise UnauthenticatedError("the token has expired")
                return identity
        return None

    def confirm(self, identity: Identity) -> None:
        """Raise if an identity that was found before is not good any more.

        Raises:
            UnauthenticatedError: Its token has expired or was revoked.
        """
        if identity.expires_at <= time.time():
            raise UnauthenticatedError("the token has expired")
        if identity.credential and (self._tokens is None or self._tokens.find(identity.credential) is None):
            raise UnauthenticatedError("the token was revoked")

    def refresh(self) -> None:
        """Follow changes of the token file and of the keys for JWTs."""
        changed = [source.refresh() for source in (self._tokens, self._jwts) if source is not None]
        if any(changed):
            # Another dictionary: a check with the old tokens and keys may be about to write to this one.
            self._known = {}

    def _remembered(self, header: str) -> Identity:
        known = self._known
        identity = self._identity_of(header)
        if len(known) >= _MAXIMUM_REMEMBERED:
            known.clear()
        known[header] = identity
        return identity

    def _identity_of(self, header: str) -> Identity:
        token = header[len(_BEARER) :]
        if header[: len(_BEARER)].lower() != _BEARER:
            raise UnauthenticatedError("the authorization header must be `Bearer <token>`")
        identity = self._tokens.find(digest_of(token)) if self._tokens is not None else None
        if identity is None and self._jwts is not None:
            identity = self._jwts.identify(token)
        if identity is None:
            raise UnauthenticatedError("the token is not good")
        return identity


def authenticator_of(settings: ServingSettings) -> Authenticator | None:
    """Return the authenticator that the settings ask for, or None if they ask for none.

    Raises:
        SettingsError: A file that they name can not be read.
    """
    tokens = AcceptedTokens(settings.tokens) if settings.tokens else None
    jwts = None
    if settings.jwks:
        jwts = JwtVerifier(settings.jwks, issuer=settings.jwt_issuer, audience=settings.jwt_audience)
    return Authenticator(tokens, jwts) if tokens or jwts else None
