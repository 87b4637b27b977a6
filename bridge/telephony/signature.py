"""Twilio's signatures over webhooks and WebSocket handshakes.

These are pure functions. The URL is always the public URL that Twilio was given, never
a URL from the request itself. Every comparison takes constant time. The scheme is
https://www.twilio.com/docs/usage/security: HMAC-SHA1 with the auth token, over the URL,
which for a form POST is followed by each parameter's name and value in the order of the
names. A request whose `SETTINGS_HEADER` names a shared key is signed with HMAC-SHA256
and that key's secret instead, and with nothing else.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import ParseResult, parse_qs, urlparse, urlsplit

from bridge.settings.signing import SigningSecrets

HEADER = "X-Twilio-Signature"
# "key=<the shared key's id>,algorithm=HMAC_SHA256"
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"
# Twilio was seen to send these parameters without signing them.
UNSIGNED_PARAMETERS = frozenset(("CallToken", "StirVerstat"))
_HASHES = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
# Twilio may sign a URL with its default port or without. For wss:// the port is 443 in
# Twilio's documentation, 80 in its libraries.
_DEFAULT_PORTS = {"https": (443,), "http": (80,), "wss": (443, 80), "ws": (80,)}

Params = list[tuple[str, str]]


class Claim(NamedTuple):
    """What a request's headers say of its signature."""

    signature: str
    settings: str = ""


class _Way(NamedTuple):
    """One way in which a request may be signed."""

    algorithm: str
    secrets: tuple[str, ...]


def sign(
    secret: str,
    url: str,
    params: Iterable[tuple[str, str]] = (),
    algorithm: str = "sha1",
) -> str:
    """Return the signature of a form POST to `url`, or of the URL alone.

    Parameters with an empty value count; so does each distinct value of a repeated
    parameter.
    """
    text = url + "".join(name + value for name, value in sorted(set(params)))
    mac = hmac.digest(secret.encode(), text.encode(), algorithm)
    return b64encode(mac).decode()


def signed_params(
    secrets: SigningSecrets, url: str, params: Iterable[tuple[str, str]], claim: Claim
) -> Params | None:
    """Return those parameters of a form POST that Twilio has signed.

    These are all parameters, or all but UNSIGNED_PARAMETERS, which then prove nothing.
    The result is None where the signature is not Twilio's. Names and values must be
    Unicode text.
    """
    whole = list(params)
    bare = [pair for pair in whole if pair[0] not in UNSIGNED_PARAMETERS]
    tokens = secrets.of_account(dict(whole).get("AccountSid", ""))
    way = _way_of(secrets, claim, tokens)
    is_whole = _is_signed(way, _forms_of(url), whole, claim)
    is_bare = _is_signed(way, _forms_of(url), bare, claim)
    if is_whole:
        return whole
    return bare if is_bare else None


def is_valid_body(secrets: SigningSecrets, url: str, body: bytes, claim: Claim) -> bool:
    """Tell whether a signature covers a body that is no form, by `bodySHA256`."""
    claimed = parse_qs(urlsplit(url).query).get("bodySHA256", [""])[0]
    is_body_right = hmac.compare_digest(
        sha256(body).hexdigest().encode(), claimed.lower().encode()
    )
    return signed_params(secrets, url, (), claim) is not None and is_body_right


def is_valid_handshake(secrets: SigningSecrets, url: str, claim: Claim) -> bool:
    """Tell whether a signature is Twilio's over the handshake for the stream at `url`.

    The signed URL includes "wss://", and Twilio may sign it with a slash at its end. A
    stream's URL has no query string, so a handshake with a query is refused.
    """
    if urlsplit(url).query:
        return False
    bare = url.rstrip("/")
    urls = [form for given in (bare, bare + "/") for form in _forms_of(given)]
    way = _way_of(secrets, claim, secrets.of_any_account)
    return _is_signed(way, urls, [], claim)


def _way_of(secrets: SigningSecrets, claim: Claim, tokens: tuple[str, ...]) -> _Way:
    """Return how a request that makes this claim must be signed.

    A shared key that is not configured, or an unknown algorithm, has no secrets, so the
    request is refused: a request that names a key is never checked by an auth token.
    """
    named = _settings_of(claim.settings)
    algorithm = _HASHES.get(named.get("algorithm", "HMAC_SHA1").upper(), "")
    key = named.get("key")
    if key is not None:
        shared = secrets.shared_keys.get(key, ())
        return _Way("sha256", shared if algorithm == "sha256" else ())
    return _Way(algorithm or "sha256", tokens if algorithm else ())


def _settings_of(header: str) -> dict[str, str]:
    """Return the settings in SETTINGS_HEADER; the first value of each name counts."""
    named: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        if value.strip():
            named.setdefault(name.strip(), value.strip())
    return named


def _is_signed(way: _Way, urls: list[str], params: Params, claim: Claim) -> bool:
    """Compare with every candidate, so that the time reveals nothing."""
    given = claim.signature.encode("utf-8", "surrogateescape")
    matches = [
        hmac.compare_digest(given, sign(secret, url, params, way.algorithm).encode())
        for secret in way.secrets
        for url in urls
    ]
    return any(matches)


def _forms_of(url: str) -> list[str]:
    """Return the URL with its port (the default port where the URL has none) and
    without: Twilio may sign either form."""
    parts = urlparse(url)
    if parts.port is not None:
        return [parts.geturl(), _with_port(parts, None)]
    defaults = _DEFAULT_PORTS.get(parts.scheme, ())
    return [parts.geturl(), *(_with_port(parts, port) for port in defaults)]


def _with_port(parts: ParseResult, port: int | None) -> str:
    host = parts.netloc
    if parts.port is not None:
        host = host.removesuffix(f":{parts.port}")
    return parts._replace(netloc=host if port is None else f"{host}:{port}").geturl()
