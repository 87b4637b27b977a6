"""What a target of notices looks like: an https URL, or one e-mail address."""

import re
from urllib.parse import urlsplit

from yarl import URL

from bridge.notices.addresses import is_address, is_public
from crm import notices

TARGET_CHARS_MAX = 500
# As far as a mistake can be told from an address; whether it works, a test shows.
_EMAIL = re.compile(r"[^\s@,;<>\"()\[\]\\:]+@[a-zA-Z0-9-]+(\.[a-zA-Z0-9-]+)+")


class TargetError(ValueError):
    """Nothing can be sent to this target; the text says what was expected."""


def allowed_hosts(setting: str | None) -> frozenset[str]:
    """Return the hosts of NOTICE_ALLOW_HOSTS, which need no https and no public
    address."""
    names = (name.strip().lower() for name in (setting or "").split(","))
    return frozenset(filter(None, names))


def check_target(kind: str, target: str, allowed: frozenset[str]) -> str:
    """Return a target without spaces around it, or raise TargetError."""
    text = target.strip()
    if len(text) > TARGET_CHARS_MAX:
        raise TargetError(f"expected at most {TARGET_CHARS_MAX} characters")
    if kind == notices.EMAIL:
        if not text.isascii() or _EMAIL.fullmatch(text) is None:
            raise TargetError("expected one e-mail address, such as dana@example.com")
        return text
    check_url(text, allowed)
    return text


def check_url(url: str, allowed: frozenset[str]) -> None:
    """Raise TargetError unless a webhook may be sent to this URL, as far as that shows
    without a resolved name."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        # As it is dialled: other digits and full stops become those of ASCII (UTS 46).
        host = URL(url).raw_host or ""
    except ValueError:
        raise TargetError("expected a URL, such as https://example.com/hook") from None
    if parts.username is not None or parts.password is not None:
        raise TargetError("expected a URL without a user name and a password")
    if not host or not url.isprintable() or " " in url or parts.fragment:
        raise TargetError("expected a URL, such as https://example.com/hook")
    if host in allowed and parts.scheme in ("http", "https"):
        return
    if parts.scheme != "https":
        raise TargetError("expected a URL that begins with https://")
    if is_address(host) and not is_public(host):
        raise TargetError(f"expected a public address, not {host}")
