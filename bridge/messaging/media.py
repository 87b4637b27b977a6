"""Pictures and voice notes of writers, fetched from Twilio within limits.

https://www.twilio.com/docs/messaging/api/media-resource: the URL of a webhook is read
with the account's credentials, and leads to a signed store. An address is asked with
credentials only if it is the configured API's and names a medium of that account; the
store is asked without, over https. So no message can make the service fetch anything
else, whatever a webhook says.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp

from bridge.messaging.twilio_messages import (
    ABOUT_THE_ACCOUNT,
    NOT_LEFT,
    FateUnknown,
    NotSent,
    TwilioError,
    TwilioMessages,
    why_not_left,
)
from bridge.wire.body import read_body

# WhatsApp's own limits: 16 MB of sound, 5 MB of a picture.
SOUND_BYTES_MAX = 16 * 1024 * 1024
PICTURE_BYTES_MAX = 5 * 1024 * 1024
FETCH_WAIT_S = 15.0
REDIRECTS_MAX = 3
PICTURES = frozenset(("image/jpeg", "image/png", "image/webp", "image/gif"))
SOUND = "audio/"
_PATH = re.compile(
    r"/2010-04-01/Accounts/(?P<account>AC[0-9a-zA-Z]+)"
    r"/Messages/(?:SM|MM)[0-9a-f]{32}/Media/ME[0-9a-f]{32}"
)
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class MediaRefused(Exception):
    """A medium is not fetched, now or later; `reason` is one word of: address, type,
    size, gone."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Fetched(NamedTuple):
    """A medium: its type without parameters, and its bytes."""

    content_type: str
    data: bytes


class MediaFetcher:
    """Fetches media with the connections and credentials of a client."""

    def __init__(self, twilio: TwilioMessages) -> None:
        self._twilio = twilio
        api = urlsplit(twilio.hosts.api)
        self._origin = (api.scheme, api.netloc)
        # Settings allow plain HTTP towards loopback only: a sandbox.
        self._is_sandbox = api.scheme == "http"

    async def fetch(self, account_sid: str, url: str) -> Fetched:
        """Return a medium; raises MediaRefused, or TwilioError where a later try may
        succeed."""
        self._check_address(account_sid, url)
        try:
            return await self._follow(account_sid, url)
        except NOT_LEFT as error:
            raise NotSent(why_not_left(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FateUnknown(type(error).__name__) from None

    async def _follow(self, account_sid: str, url: str) -> Fetched:
        headers = {"Authorization": self._twilio.authorization(account_sid)}
        timeout = aiohttp.ClientTimeout(total=FETCH_WAIT_S)
        for _ in range(REDIRECTS_MAX):
            async with self._twilio.request(
                "GET", url, headers=headers, timeout=timeout
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return await _read(answer)
                url = urljoin(url, answer.headers.get("Location", ""))
            self._check_store(url)
            # The store has a signature in its URL, and may not see the token.
            headers = {}
        raise MediaRefused("address", f"expected at most {REDIRECTS_MAX} redirects")

    def _check_address(self, account_sid: str, url: str) -> None:
        try:
            parts = urlsplit(url)
            origin = (parts.scheme, parts.netloc)
        except ValueError:
            raise MediaRefused("address", "expected a URL") from None
        found = _PATH.fullmatch(parts.path)
        is_ours = origin == self._origin and not parts.query and not parts.fragment
        if not is_ours or found is None or found["account"] != account_sid:
            raise MediaRefused(
                "address",
                f"expected a medium of {account_sid} at {self._twilio.hosts.api}, got "
                f"{origin[1][:64]!r}",
            )

    def _check_store(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_name = (
            re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}", host) is not None
        )
        is_loopback = self._is_sandbox and host in ("127.0.0.1", "localhost")
        if not is_loopback and (parts.scheme != "https" or not is_name):
            raise MediaRefused(
                "address", f"expected a store at https://name, got {host[:64]!r}"
            )


async def _read(answer: Any) -> Fetched:
    """Read a medium within the limit of its type."""
    if answer.status in ABOUT_THE_ACCOUNT or answer.status >= 500:
        raise TwilioError(f"HTTP {answer.status} for a medium")
    if answer.status != 200:
        raise MediaRefused("gone", f"expected 200 for a medium, got {answer.status}")
    kind = answer.content_type.lower()
    if kind not in PICTURES and not kind.startswith(SOUND):
        raise MediaRefused("type", f"expected a picture or sound, got {kind[:64]}")
    most = PICTURE_BYTES_MAX if kind in PICTURES else SOUND_BYTES_MAX
    data = await read_body(answer.content, most)
    if data is None:
        raise MediaRefused("size", f"expected at most {most} bytes of {kind}")
    return Fetched(kind, data)
