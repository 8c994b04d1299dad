"""Finds out who calls, from the `authorization` header of a call."""

from collections.abc import Iterable

from serving.errors import UnauthenticatedError
from serving.security.identity import Identity
from serving.security.json_web_tokens import JwtVerifier
from serving.security.tokens import AcceptedTokens, digest_of
from serving.settings import ServingSettings

_BEARER = "bearer "


class Authenticator:
    """Knows the tokens of a file, and JWTs, whichever are configured."""

    def __init__(self, tokens: AcceptedTokens | None, jwts: JwtVerifier | None) -> None:
        self._tokens, self._jwts = tokens, jwts

    def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Identity | None:
        """Return the caller, or None if it does not say who it is.

        Raises:
            UnauthenticatedError: It says so, and it is not true.
        """
        for key, value in metadata:
            if key == "authorization":
                return self._identity_of(str(value))
        return None

    def confirm(self, identity: Identity) -> None:
        """Raise if an identity that was found before is not good any more.

        Raises:
            UnauthenticatedError: Its token has expired or was revoked.
        """
        if identity.expired:
            raise UnauthenticatedError("the token has expired")
        if identity.credential and (self._tokens is None or self._tokens.find(identity.credential) is None):
            raise UnauthenticatedError("the token was revoked")

    def refresh(self) -> None:
        """Follow changes of the token file and of the keys for JWTs."""
        if self._tokens is not None:
            self._tokens.refresh()
        if self._jwts is not None:
            self._jwts.refresh()

    def _identity_of(self, header: str) -> Identity:
        token = header[len(_BEARER) :]
        if header[: len(_BEARER)].lower() != _BEARER:
            raise UnauthenticatedError("the authorization header must be `Bearer <token>`")
        digest = digest_of(token)
        identity = self._tokens.find(digest) if self._tokens is not None else None
        if identity is None:
            if self._jwts is None:
                raise UnauthenticatedError("the token is not good")
            identity = self._jwts.identify(token, digest)
        if identity.expired:
            raise UnauthenticatedError("the token has expired")
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
