"""Twilio's signatures over webhooks and WebSocket handshakes.

Pure functions: the URL is always the public one Twilio was given, never what a request
says of itself, and every comparison takes the same time whatever it finds. The scheme
is https://www.twilio.com/docs/usage/security: the URL, for a form POST followed by each
parameter's name and value in the order of the names, HMAC-SHA1 with the auth token.
"""

import hmac
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit, urlunsplit

HEADER = "X-Twilio-Signature"
_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def sign(auth_token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """Return the signature of a form POST to `url`, or of the URL alone.

    Parameters with an empty value count; of a repeated one each distinct value does.
    """
    text = url + "".join(name + value for name, value in sorted(set(params)))
    mac = hmac.digest(auth_token.encode(), text.encode(), "sha1")
    return b64encode(mac).decode()


def is_valid_form(
    auth_token: str, url: str, params: Iterable[tuple[str, str]], signature: str
) -> bool:
    """Tell whether `signature` is Twilio's over a form POST, or a GET without any."""
    kept = list(params)
    return _is_any_of(
        signature, [sign(auth_token, given, kept) for given in _ports_of(url)]
    )


def is_valid_body(auth_token: str, url: str, body: bytes, signature: str) -> bool:
    """Tell whether `signature` covers a body that is no form, named in `bodySHA256`."""
    claimed = parse_qs(urlsplit(url).query).get("bodySHA256", [""])[0]
    is_body_right = hmac.compare_digest(
        sha256(body).hexdigest().encode(), claimed.lower().encode()
    )
    return is_valid_form(auth_token, url, (), signature) and is_body_right


def is_valid_handshake(auth_token: str, url: str, signature: str) -> bool:
    """Tell whether `signature` is Twilio's over the handshake for the stream at `url`.

    "wss://" counts, and Twilio may sign the URL with a slash at its end. A stream's URL
    has no query string, so one that came with a query is refused.
    """
    if urlsplit(url).query:
        return False
    bare = url.rstrip("/")
    candidates = [
        sign(auth_token, given)
        for form in (bare, bare + "/")
        for given in _ports_of(form)
    ]
    return _is_any_of(signature, candidates)


def _is_any_of(signature: str, candidates: list[str]) -> bool:
    """Compare with every candidate, so that the time tells nothing."""
    given = signature.encode("utf-8", "surrogateescape")
    matches = [hmac.compare_digest(given, one.encode()) for one in candidates]
    return any(matches)


def _ports_of(url: str) -> list[str]:
    """Return the URL as it is and, where its port is the default one, with the port
    named and not named: Twilio may sign either form."""
    parts = urlsplit(url)
    default = _DEFAULT_PORTS.get(parts.scheme)
    if default is None or parts.port not in (None, default):
        return [url]
    host = parts.netloc.rpartition("@")[2].removesuffix(f":{default}")
    return [
        urlunsplit(parts._replace(netloc=netloc))
        for netloc in (host, f"{host}:{default}")
    ]
