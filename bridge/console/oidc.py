"""Provider: the login by OpenID Connect, with the authorization code and PKCE.

https://openid.net/specs/openid-connect-core-1_0.html. Authlib makes the requests and
checks the claims. joserfc, which is its own, checks the signature of the ID token
(3.1.3.7) by the keys that the provider publishes. Authlib's clients would bring a
second HTTP library, so aiohttp carries the requests. Only where the settings name a
provider is this imported.
"""

import secrets
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import Key, KeySet, import_key

from bridge.settings.addresses import is_loopback
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.wire.body import read_body

ANSWER_WAIT_S = 10.0
ANSWER_BYTES_MAX = 65_536
# How long the provider's addresses and keys are taken as they were read.
KNOWN_S = 3_600.0
# Keys change at any time: for one that is not known they are read again, so often.
KEYS_AGAIN_S = 30.0
# Providers publish two or three.
KEYS_MAX = 50
# Clocks differ by less.
LEEWAY_S = 60
# With any other a provider's public key, or nothing at all, would make a token.
ALGORITHMS = frozenset(
    (
        *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "Ed25519"),
    )
)
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class OidcError(Exception):
    """The provider did not say who this is; the text says why."""


class _Metadata(msgspec.Struct, frozen=True):
    """The provider's page; what may be missing has the default of the standard."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str


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
        self._keys = KeySet([])
        self._keys_at = float("-inf")

    async def url_of(self, attempt: Attempt) -> str:
        """Return where the browser is sent to log in. Raises OidcError."""
        metadata = await self._found()
        where: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            self._client_id,
            "code",
            redirect_uri=self._redirect_uri,
            scope="openid email",
            state=attempt.state,
            nonce=attempt.nonce,
            code_challenge=create_s256_code_challenge(attempt.verifier),
            code_challenge_method="S256",
        )
        return where

    async def email_of(self, code: str, attempt: Attempt, now: float) -> str:
        """Return the verified e-mail address of who has logged in; raises OidcError."""
        metadata = await self._found()
        url, headers, body = self._auth(metadata).prepare(
            "POST",
            metadata.token_endpoint,
            dict(_FORM),
            prepare_token_request(
                "authorization_code",
                code=code,
                redirect_uri=self._redirect_uri,
                code_verifier=attempt.verifier,
            ),
        )
        answer = await self._ask("POST", url, headers=headers, data=body)
        token: str = _decode(answer, _Tokens).id_token
        signed = await self._signed(token, metadata)
        self._check(signed, metadata, attempt, now)
        return str(signed.claims["email"])

    def _auth(self, metadata: _Metadata) -> ClientAuth:
        """Return how the client names itself: in the form, where that is allowed."""
        methods = metadata.token_endpoint_auth_methods_supported
        in_form = "client_secret_post" in methods
        return ClientAuth(
            self._client_id,
            self._settings.oidc_client_secret or "",
            "client_secret_post" if in_form else "client_secret_basic",
        )

    async def _signed(self, token: str, metadata: _Metadata) -> jwt.Token:
        """Return a token whose signature is the provider's. Raises OidcError."""
        wanted = ALGORITHMS.intersection(metadata.id_token_signing_alg_values_supported)
        age_s = monotonic() - self._keys_at
        if age_s > KNOWN_S:
            await self._read_keys(metadata)
            age_s = 0.0
        try:
            try:
                return jwt.decode(token, self._key_of, algorithms=list(wanted))
            except InvalidKeyIdError:
                if age_s <= KEYS_AGAIN_S:
                    raise
            await self._read_keys(metadata)
            return jwt.decode(token, self._key_of, algorithms=list(wanted))
        except (JoseError, ValueError, TypeError) as error:
            raise OidcError(f"the ID token: {_said(error)}") from None

    def _key_of(self, signed: Any) -> Key:
        """Return the key that a token names; the only one, if it names none."""
        return self._keys.get_by_kid(signed.headers().get("kid"))

    def _check(
        self, signed: jwt.Token, metadata: _Metadata, attempt: Attempt, now: float
    ) -> None:
        claims = CodeIDToken(
            signed.claims,
            signed.header,
            {
                "iss": {"essential": True, "value": metadata.issuer},
                "aud": {"essential": True, "value": self._client_id},
            },
            {"nonce": attempt.nonce, "client_id": self._client_id},
        )
        try:
            claims.validate(now=int(now), leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise OidcError(f"the ID token: {_said(error)}") from None
        email = claims.get("email")
        is_verified = claims.get("email_verified") in (True, "true")
        if not isinstance(email, str) or not email or not is_verified:
            raise OidcError("email is not verified")

    async def _found(self) -> _Metadata:
        """Return the provider's addresses (OpenID Connect Discovery 1.0, 4.3)."""
        if self._metadata is None or monotonic() - self._known_at > KNOWN_S:
            url = get_well_known_url(self._issuer, external=True)
            metadata = _decode(await self._ask("GET", url), _Metadata)
            if metadata.issuer.rstrip("/") != self._issuer:
                raise OidcError("the issuer's page is another issuer's")
            for end in (
                metadata.authorization_endpoint,
                metadata.token_endpoint,
                metadata.jwks_uri,
            ):
                _check_address(end)
            self._metadata, self._known_at = metadata, monotonic()
        return self._metadata

    async def _read_keys(self, metadata: _Metadata) -> None:
        """Read the provider's keys, without those of unknown kinds (RFC 7517, 5)."""
        found: _Keys = _decode(await self._ask("GET", metadata.jwks_uri), _Keys)
        keys = []
        for one in found.keys[:KEYS_MAX]:
            try:
                keys.append(import_key(one))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
        self._keys, self._keys_at = KeySet(keys), monotonic()

    async def _ask(self, method: str, url: str, **request: Any) -> bytes:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WAIT_S)
        proxy = proxy_of(self._settings, url)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(
                    method, url, proxy=proxy, allow_redirects=False, **request
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
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OidcError(f"the provider's answer: {error}") from None


def _said(error: Exception) -> str:
    """Return what is wrong, without what the token holds."""
    claim = getattr(error, "claim", "")
    return f"{type(error).__name__} {claim}".rstrip()
