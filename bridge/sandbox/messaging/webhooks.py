"""Twilio's requests to a bridge about messages: signed, with a deadline, recorded.

https://www.twilio.com/docs/usage/webhooks/webhooks-security and
https://www.twilio.com/docs/usage/webhooks/webhooks-overview. Twilio waits 15 seconds. A
repeat of a request carries the same `I-Twilio-Idempotency-Token`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit
from xml.etree import ElementTree

import aiohttp

from bridge.sandbox.sign import sha256_signature, signature

ANSWER_S = 15.0
_BODY_BYTES_MAX = 65_536
SETTINGS_HEADER = "X-Twilio-Webhooks-Signature-Settings"


@dataclass(frozen=True)
class Signer:
    """Signs as the account does: with its token, or with a shared key of Twilio's."""

    auth_token: str
    key_sid: str = ""
    key_secret: str = ""

    def headers(self, url: str, fields: Mapping[str, str]) -> dict[str, str]:
        """Return the headers that prove a request."""
        if not self.key_sid:
            return {"X-Twilio-Signature": signature(self.auth_token, url, fields)}
        return {
            SETTINGS_HEADER: f"key={self.key_sid},algorithm=HMAC_SHA256",
            "X-Twilio-Signature": sha256_signature(self.key_secret, url, fields),
        }


@dataclass(frozen=True)
class Answer:
    """What the bridge answered; without an answer `error` says why."""

    path: str
    status: int | None
    content_type: str = ""
    body: bytes = b""
    seconds: float = 0.0
    error: str = ""

    @property
    def problem(self) -> str:
        """Return what Twilio's debugger would show; empty for a good answer."""
        if self.status is None:
            return f"11200 {self.path}: {self.error}"
        if self.status // 100 != 2:
            return f"11200 {self.path}: HTTP {self.status}"
        return ""

    @property
    def document_problem(self) -> str:
        """Return what is wrong with an answer that should be an empty document."""
        if self.problem:
            return self.problem
        if self.status != 200:
            return f"expected HTTP 200 of {self.path}, got {self.status}"
        kind = self.content_type.partition(";")[0].strip()
        if kind not in ("text/xml", "application/xml"):
            return f"12300 invalid Content-Type: {self.content_type}"
        try:
            root = ElementTree.fromstring(self.body)
        except ElementTree.ParseError as error:
            return f"12100 document parse failure: {error}"
        if root.tag != "Response" or len(root) or (root.text or "").strip():
            return f"12200 expected an empty <Response/>, got {self.body[:200]!r}"
        return ""


class Webhooks:
    """Posts to a bridge at `bridge_url`, whose name for the world is `public_url`."""

    def __init__(self, bridge_url: str, public_url: str | None = None) -> None:
        self._bridge_url = bridge_url.rstrip("/")
        self.base_url = (public_url or bridge_url).rstrip("/")
        self._http: aiohttp.ClientSession | None = None
        self.answers: list[Answer] = []

    async def post(
        self,
        url: str,
        fields: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> Answer:
        """POST a form; never raises for what the other side does."""
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=ANSWER_S)
            self._http = aiohttp.ClientSession(timeout=timeout)
        path, began = urlsplit(url).path, time.monotonic()
        try:
            async with self._http.post(
                self.local(url), data=fields, headers=headers, allow_redirects=False
            ) as response:
                body = await response.content.read(_BODY_BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            seconds = time.monotonic() - began
            why = str(error) or type(error).__name__
            found = Answer(path, None, seconds=seconds, error=why)
        else:
            seconds = time.monotonic() - began
            kind = response.headers.get("Content-Type", "")
            found = Answer(path, response.status, kind, body, seconds)
        self.answers.append(found)
        return found

    def local(self, url: str) -> str:
        """Return the local address of a URL of the bridge."""
        parts = urlsplit(url)
        if parts.netloc != urlsplit(self.base_url).netloc:
            return url
        here = urlsplit(self._bridge_url)
        return urlunsplit((here.scheme, here.netloc, parts.path, parts.query, ""))

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None
            # The transports of aiohttp close in the loop's next rounds.
            await asyncio.sleep(0)
