"""What the sandbox keeps of WhatsApp messages: the messages, refusals, its own clock.

https://www.twilio.com/docs/messaging/api/message-resource and
https://www.twilio.com/docs/usage/troubleshooting/rest-api-errors.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from aiohttp import web

if TYPE_CHECKING:
    from bridge.sandbox.messaging.contents import Content, Shown

API_VERSION = "2010-04-01"
PREFIX = "whatsapp:"


class Clock:
    """The sandbox's clock: the real time, moved forward by whoever holds it."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """Return the sandbox's time."""
        return datetime.now(UTC) + self._ahead

    def advance(self, *, hours: float = 0, seconds: float = 0) -> None:
        """Move the clock forward; nobody waits for it."""
        ahead = timedelta(hours=hours, seconds=seconds)
        if ahead < timedelta():
            raise ValueError(f"expected a time forward, got {ahead}")
        self._ahead += ahead


class RefusalError(Exception):
    """An answer of Twilio's that is an error, with its code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> web.Response:
        """Return Twilio's body of an error."""
        body = {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }
        headers = {"Retry-After": "1"} if self.status == 429 else None
        return answer(body, self.status, headers)


def refuse(code: int, message: str, status: int = 400) -> NoReturn:
    """Refuse a request."""
    raise RefusalError(status, code, message)


def not_found(path: str) -> NoReturn:
    """Refuse a request for what is not there."""
    refuse(20404, f"The requested resource {path} was not found", 404)


def answer(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    """Return an answer in JSON."""
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def new_sid(prefix: str) -> str:
    """Return a new SID: two letters and 32 hexadecimal digits."""
    return prefix + secrets.token_hex(16)


@dataclass
class Message:
    """A message of either direction; `number` counts them in the order of creation."""

    sid: str
    account_sid: str
    sender: str  # with `whatsapp:`
    to: str
    body: str
    direction: str
    created_at: datetime
    number: int
    status: str = "queued"
    sent_at: datetime | None = None
    updated_at: datetime | None = None
    error_code: int | None = None
    error_message: str | None = None
    callback: str | None = None
    service_sid: str | None = None
    media_urls: list[str] = field(default_factory=list)
    content: Content | None = None
    variables: dict[str, str] = field(default_factory=dict)
    shown: Shown | None = None  # what the writer sees, where it is a Content
    is_gone: asyncio.Event = field(default_factory=asyncio.Event)  # sent, or failed
    history: list[str] = field(default_factory=list)  # every status that it had

    def turn(
        self, status: str, now: datetime, error: RefusalError | None = None
    ) -> None:
        """Give the message a status, and the error that it failed with."""
        self.status = status
        self.updated_at = now
        self.history.append(status)
        self.error_code = error.code if error else None
        self.error_message = error.message if error else None
        if status in ("sent", "received"):
            self.sent_at = now
        if status in ("sent", "failed"):
            self.is_gone.set()

    def as_json(self) -> dict[str, Any]:
        """Return the Message resource; it does not tell of a ContentSid."""
        uri = f"/{API_VERSION}/Accounts/{self.account_sid}/Messages/{self.sid}"
        return {
            "account_sid": self.account_sid,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": format_datetime(self.created_at),
            "date_sent": format_datetime(self.sent_at) if self.sent_at else None,
            "date_updated": format_datetime(self.updated_at or self.created_at),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": self.error_message,
            "from": self.sender,
            "messaging_service_sid": self.service_sid,
            "num_media": str(len(self.media_urls)),
            "num_segments": "0" if self.service_sid and not self.sent_at else "1",
            "price": None,
            "price_unit": None,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }
