"""Provider: the login by OpenID Connect, with the authorization code and PKCE.

https://openid.net/specs/openid-connect-core-1_0.html. The ID token comes from the token
endpoint over TLS, which stands for the check of its signature (3.1.3.7, point 6: "the
TLS server validation MAY be used to validate the issuer in place of checking the token
signature"). All other claims are checked.
"""

import base64
import hashlib
import secrets
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec

from bridge.settings.addresses import is_loopback
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.wire.body import read_body

ANSWER_WAIT_S = 10.0
ANSWER_BYTES_MAX = 65_536
# How long the provider's addresses are taken as they were read.
KNOWN_S = 3_600.0
# Clocks differ by less.
LEEWAY_S = 60.0


class OidcError(Exception):
    """The provider did not say who this is; the text says why."""


class _Metadata(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    iss: str
    aud: str | list[str]
    exp: float
    azp: str = ""
    nonce: str = ""
    email: str = ""
    email_verified: bool | str = False


class Attempt(NamedTuple):
    """What the browser keeps while it is at the provider, and must bring back."""

    state: str
    nonce: str
    verifier: str


def new_attempt() -> Attempt:
    """Return the secrets of one login."""
    return Attempt(*(secrets.token_urlsafe(32) for _ in Attempt._fields))


class Provider:
    """The provider of the settings."""

    def __init__(self, settings: Settings, redirect_uri: str) -> None:
        self._settings = settings
        self._issuer = (settings.oidc_issuer or "").rstrip("/")
        self._client_id = settings.oidc_client_id or ""
        self._redirect_uri = redirect_uri
        self._metadata: _Metadata | None = None
        self._known_at = 0.0

    async def url_of(self, attempt: Attempt) -> str:
        """Return where the browser is sent to log in. Raises OidcError."""
        metadata = await self._found()
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "scope": "openid email",
            "client_id": self._client_id,
            "redirect_uri": self._redirect_uri,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(query)}"

    async def email_of(self, code: str, attempt: Attempt, now: float) -> str:
        """Return the verified e-mail address of who has logged in; raises OidcError."""
        metadata = await self._found()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._client_id,
            "client_secret": self._settings.oidc_client_secret or "",
            "code_verifier": attempt.verifier,
        }
        answer = await self._ask("POST", metadata.token_endpoint, form)
        token: str = _decode(answer, _Tokens).id_token
        claims: _Claims = _decode(_payload(token), _Claims)
        self._check(claims, metadata, attempt, now)
        return claims.email

    def _check(
        self, claims: _Claims, metadata: _Metadata, attempt: Attempt, now: float
    ) -> None:
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        is_verified = claims.email_verified in (True, "true")
        for is_right, what in (
            (claims.iss == metadata.issuer, "iss is another issuer"),
            (self._client_id in audience, "aud is another client"),
            (len(audience) == 1 or claims.azp == self._client_id, "azp is another"),
            (now < claims.exp + LEEWAY_S, "exp is past"),
            (secrets.compare_digest(claims.nonce, attempt.nonce), "nonce is another"),
            (bool(claims.email) and is_verified, "email is not verified"),
        ):
            if not is_right:
                raise OidcError(what)

    async def _found(self) -> _Metadata:
        """Return the provider's addresses (OpenID Connect Discovery 1.0, 4.3)."""
        if self._metadata is None or monotonic() - self._known_at > KNOWN_S:
            url = f"{self._issuer}/.well-known/openid-configuration"
            metadata = _decode(await self._ask("GET", url), _Metadata)
            if metadata.issuer.rstrip("/") != self._issuer:
                raise OidcError("the issuer's page is another issuer's")
            for end in (metadata.authorization_endpoint, metadata.token_endpoint):
                _check_address(end)
            self._metadata, self._known_at = metadata, monotonic()
        return self._metadata

    async def _ask(
        self, method: str, url: str, form: dict[str, str] | None = None
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WAIT_S)
        proxy = proxy_of(self._settings, url)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(
                    method, url, data=form, proxy=proxy, allow_redirects=False
                ) as answer,
            ):
                if answer.status != 200:
                    raise OidcError(f"{urlsplit(url).path}: status {answer.status}")
                data = await read_body(answer.content, ANSWER_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise OidcError(f"{type(error).__name__}: {error}") from None
        if data is None:
            raise OidcError(f"{urlsplit(url).path}: more than {ANSWER_BYTES_MAX} bytes")
        return data


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise OidcError(f"{url}: expected https://")


def _decode(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OidcError(f"the provider's answer: {error}") from None


def _payload(token: str) -> bytes:
    parts = token.split(".")
    if len(parts) != 3:
        raise OidcError("the ID token is none")
    try:
        return base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        raise OidcError("the ID token is none") from None
