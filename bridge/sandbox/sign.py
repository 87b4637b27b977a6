"""Twilio's request signatures: HMAC over the URL and every form field.

https://www.twilio.com/docs/usage/webhooks/webhooks-security. Fields are sorted by name,
empty ones count, and a WebSocket is signed with its `wss://` URL and no field. The hash
is SHA-1 with the account's token, and SHA-256 with a shared key.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping


def signature(
    auth_token: str, url: str, fields: Mapping[str, str] | None = None
) -> str:
    """Return the value of `X-Twilio-Signature`."""
    return _sign("sha1", auth_token, url, fields)


def sha256_signature(secret: str, url: str, fields: Mapping[str, str]) -> str:
    """Return the value of `X-Twilio-Signature` made with a shared key."""
    return _sign("sha256", secret, url, fields)


def _sign(name: str, key: str, url: str, fields: Mapping[str, str] | None) -> str:
    pairs = sorted((fields or {}).items())
    signed = url + "".join(name + value for name, value in pairs)
    digest = hmac.new(key.encode(), signed.encode(), getattr(hashlib, name)).digest()
    return base64.b64encode(digest).decode()
