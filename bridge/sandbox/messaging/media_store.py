"""Files of messages at Twilio: a Media resource behind a login, and the store.

https://www.twilio.com/docs/messaging/api/media-resource. A media URL asks for the
account's credentials and redirects to a signed URL of a store at another origin, which
refuses a request that brings credentials of its own. A deleted file is 404 at both.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from bridge.sandbox.messaging.message_records import API_VERSION, Message, new_sid

# https://www.twilio.com/docs/messaging/guides/accepted-mime-types: 16 MB for WhatsApp;
# https://www.twilio.com/docs/whatsapp/guidance-whatsapp-media-messages: 5 MB for
# pictures, and the types. A calendar file (text/calendar) is not among them.
BYTES_MAX = 16_000_000
PICTURE_BYTES_MAX = 5_000_000
PICTURES = frozenset(("image/jpeg", "image/jpg", "image/png", "image/webp"))
_OFFICE = "application/vnd.openxmlformats-officedocument"
TYPES = PICTURES | {
    *("audio/ogg", "audio/amr", "audio/3gpp", "audio/aac", "audio/mpeg"),
    *("video/mp4", "application/pdf", "application/msword", "text/vcard"),
    f"{_OFFICE}.wordprocessingml.document",
    f"{_OFFICE}.presentationml.presentation",
    f"{_OFFICE}.spreadsheetml.sheet",
}


@dataclass
class Media:
    """A file of a message; `redirect` is where its URL leads, instead of the store."""

    sid: str
    message_sid: str
    account_sid: str
    content_type: str
    content: bytes
    created_at: datetime
    key: str
    redirect: str = ""
    fetches: int = 0

    @property
    def uri(self) -> str:
        """Return the path of the resource."""
        return (
            f"/{API_VERSION}/Accounts/{self.account_sid}"
            f"/Messages/{self.message_sid}/Media/{self.sid}"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the Media resource."""
        created = format_datetime(self.created_at)
        return {
            "account_sid": self.account_sid,
            "content_type": self.content_type,
            "date_created": created,
            "date_updated": created,
            "parent_sid": self.message_sid,
            "sid": self.sid,
            "uri": f"{self.uri}.json",
        }


class MediaStore:
    """The files of the account; `deleted` counts those that were deleted by request."""

    def __init__(self) -> None:
        self._by_sid: dict[str, Media] = {}
        self._runner: web.AppRunner | None = None
        self._closing = asyncio.Event()
        self.url = ""
        self.deleted = 0
        self.stall_s = 0.0  # between the halves of a file
        self.problems: list[str] = []

    def add(
        self, message: Message, content: bytes, content_type: str, redirect: str = ""
    ) -> Media:
        """Keep a file of a message."""
        found = Media(
            new_sid("ME"),
            message.sid,
            message.account_sid,
            content_type,
            content,
            message.created_at,
            secrets.token_urlsafe(16),
            redirect,
        )
        self._by_sid[found.sid] = found
        return found

    def find(self, message_sid: str, sid: str) -> Media | None:
        """Return a file of a message."""
        found = self._by_sid.get(sid)
        return found if found and found.message_sid == message_sid else None

    def of(self, message_sid: str) -> list[Media]:
        """Return the files of a message."""
        found = self._by_sid.values()
        return [media for media in found if media.message_sid == message_sid]

    def delete(self, media: Media) -> None:
        """Forget a file."""
        del self._by_sid[media.sid]
        self.deleted += 1

    def location(self, media: Media) -> str:
        """Return where the media URL leads."""
        return media.redirect or f"{self.url}/store/{media.key}?signature=valid"

    async def start(self) -> None:
        """Listen on a port of its own: the store is another origin."""
        app = web.Application()
        app.router.add_get("/store/{key}", self._get)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening; a file that stalls goes on at once."""
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _get(self, request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            self.problems.append("credentials were sent to the store")
            return web.Response(status=400, text="Only one auth mechanism allowed")
        key = request.match_info["key"]
        found = next((one for one in self._by_sid.values() if one.key == key), None)
        if found is None or request.query_string != "signature=valid":
            return web.Response(status=403, text="AccessDenied")
        found.fetches += 1
        headers = {"Content-Type": found.content_type}
        if not self.stall_s:
            return web.Response(body=found.content, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length, half = len(found.content), len(found.content) // 2
        await response.prepare(request)
        await response.write(found.content[:half])
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), self.stall_s)
        await response.write(found.content[half:])
        return response
