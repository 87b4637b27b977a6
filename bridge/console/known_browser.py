"""The cookie of a browser in which a user has logged in before.

A stranger who fails at a login name makes the others wait who have not this cookie:
what fails beside it counts for its browser alone (owasp.org/www-community/
Slow_Down_Online_Guessing_Attacks_with_Device_Cookies). The cookie opens nothing. Its
key is the stored password, so it is worth nothing after the password was changed.
"""

import hashlib
import hmac
import secrets

from crm.accounts import User

AGE_S = 365 * 86_400
_NONCE_BYTES = 16
_CHARS_MAX = 128


def cookie_of(login: str) -> str:
    """Return the cookie's name: several people may use one browser."""
    return f"kolbridge_known_{hashlib.sha256(login.encode()).hexdigest()[:16]}"


def new_value(user: User) -> str:
    """Return the cookie of a browser in which a user has logged in; "" for a user
    without a password."""
    nonce = secrets.token_urlsafe(_NONCE_BYTES)
    return f"{nonce}.{_mac(user, nonce)}" if user.password_hash else ""


def browser_of(user: User, value: str) -> str:
    """Return which browser a cookie names; "" where it is none of this user."""
    nonce, _, mac = value.partition(".")
    if not user.password_hash or len(value) > _CHARS_MAX or not value.isascii():
        return ""
    return nonce if hmac.compare_digest(mac, _mac(user, nonce)) else ""


def _mac(user: User, nonce: str) -> str:
    assert user.password_hash, "looked at before"
    text = f"{nonce} {user.login}"
    return hmac.digest(user.password_hash.encode(), text.encode(), "sha256").hex()
