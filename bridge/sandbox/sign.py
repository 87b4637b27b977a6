"""Twilio's request signatures: HMAC-SHA1 over the URL and every form field.

https://www.twilio.com/docs/usage/webhooks/webhooks-security. Fields are sorted by name,
empty ones count, and a WebSocket is signed with its `wss://` URL and no field.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping


def signature(
    auth_token: str, url: str, fields: Mapping[str, str] | None = None
) -> str:
    """Return the value of `X-Twilio-Signature`."""
    pairs = sorted((fields or {}).items())
    signed = url + "".join(name + value for name, value in pairs)
    digest = hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
