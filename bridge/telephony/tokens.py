"""One-use tokens that tie a media stream to the webhook that asked for it.

A signature is not bound to a call: every stream to the same URL has the same signature,
so anyone who saw it could open a stream. A token names one CallSid, is valid for
LIFETIME_S and is accepted once. This module owns the key and the tokens already used.
It reads no clock.
"""

import hmac
import secrets

# Twilio opens the stream within a second or two of the webhook's answer.
LIFETIME_S = 60.0
KEY_BYTES = 32
_NONCE_BYTES = 8


class TokenError(ValueError):
    """A token is not from this service, not for this call, too old, or used."""


def new_key() -> bytes:
    """Return a key for one run of the service; its workers share it."""
    return secrets.token_bytes(KEY_BYTES)


class Tokens:
    """The tokens of one process; `now` is any clock that its workers share."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._used: dict[str, float] = {}

    def issue(self, call_sid: str, now: float) -> str:
        """Return a token for this call, valid for LIFETIME_S."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        expires_ms = str(round((now + LIFETIME_S) * 1e3))
        return f"{expires_ms}.{nonce}.{self._mac(expires_ms, nonce, call_sid)}"

    def redeem(self, token: str, call_sid: str, now: float) -> None:
        """Use up a token; raises TokenError where it is not valid for this call."""
        expires_ms, _, rest = token.partition(".")
        nonce, _, mac = rest.partition(".")
        wanted = self._mac(expires_ms, nonce, call_sid)
        given = mac.encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, wanted.encode()):
            raise TokenError("the token is not one for this call")
        expires = int(expires_ms) / 1e3
        if now >= expires:
            raise TokenError(f"the token is {now - expires:.0f} s too old")
        if nonce in self._used:
            raise TokenError("the token was used before")
        self._used[nonce] = expires
        self._forget(now)

    def _mac(self, expires_ms: str, nonce: str, call_sid: str) -> str:
        text = f"{expires_ms}.{nonce}.{call_sid}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, text, "sha256").hex()

    def _forget(self, now: float) -> None:
        """Drop expired tokens: used tokens are kept only while they are valid."""
        self._used = {nonce: at for nonce, at in self._used.items() if at > now}
