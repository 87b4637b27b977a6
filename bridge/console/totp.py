"""One-time codes of an authenticator app: RFC 6238 with SHA-1, six digits, 30 s.

These are the values that every app knows without being told.
"""

import base64
import hmac
import secrets
from urllib.parse import quote

PERIOD_S = 30
DIGITS = 6
# A clock that is one period off, and a code typed at the end of its period.
PERIODS_OFF = 1
# RFC 4226, section 4, R6: the length of the hash's output.
SECRET_BYTES = 20


def new_secret() -> str:
    """Return a new secret, in base32."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code_of(secret: str, period: int) -> str:
    """Return the code of a period."""
    key = base64.b32decode(secret)
    digest = hmac.digest(key, period.to_bytes(8, "big"), "sha1")
    # RFC 4226, section 5.3: dynamic truncation.
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4], "big") & 0x7FFFFFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def period_of(secret: str, code: str, now: float) -> int | None:
    """Return the period whose code this is, of those around `now`; None if none is."""
    typed = "".join(code.split())
    if len(typed) != DIGITS or not typed.isascii():
        return None
    present = int(now // PERIOD_S)
    for period in range(present - PERIODS_OFF, present + PERIODS_OFF + 1):
        if hmac.compare_digest(code_of(secret, period), typed):
            return period
    return None


def uri(secret: str, login: str) -> str:
    """Return the address that sets up an authenticator app."""
    return (
        f"otpauth://totp/{quote(f'Kolbridge:{login}')}?secret={secret}&issuer=Kolbridge"
    )
