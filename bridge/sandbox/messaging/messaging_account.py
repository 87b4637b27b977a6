"""The account whose messaging the sandbox serves: senders, messages, files, users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import aiohttp
from aiohttp import encode_basic_auth

from bridge.sandbox.messaging.contents import Content, read
from bridge.sandbox.messaging.delivery import Courier, Inbox, Ways
from bridge.sandbox.messaging.media_store import (
    BYTES_MAX,
    PICTURE_BYTES_MAX,
    PICTURES,
    TYPES,
    MediaStore,
)
from bridge.sandbox.messaging.message_records import PREFIX, Clock, Message, refuse
from bridge.sandbox.messaging.webhooks import Signer

_FETCH_S = 10.0


class Account:
    """What Twilio knows of one account; the resources of the API read and change it."""

    def __init__(
        self,
        sid: str,
        auth_token: str,
        senders: Iterable[str],
        services: Mapping[str, str],
        seed: int,
    ) -> None:
        self.sid = sid
        self.credentials = encode_basic_auth(sid, auth_token)
        self.signer = Signer(auth_token)
        self.senders = set(senders)  # numbers, without `whatsapp:`
        self.services = dict(services)  # the sender of each messaging service
        self.clock = Clock()
        self.ways = Ways()
        self.contents: dict[str, Content] = {}
        self.messages: dict[str, Message] = {}
        self.media = MediaStore()
        self.courier = Courier(self.clock, seed, self.ways, self.signer, self._fetch)

    def add_user(self, number: str) -> Inbox:
        """Let a number be on WhatsApp."""
        return self.courier.inboxes.setdefault(number, Inbox(number))

    def add_template(
        self, body: str, variables: Mapping[str, str], language: str
    ) -> str:
        """Keep an approved template; return its sid."""
        request = {
            "language": language,
            "types": {"twilio/text": {"body": body}},
            "variables": dict(variables),
        }
        content = read(request, self.sid, self.clock.now())
        content.approval = "approved"
        self.contents[content.sid] = content
        return content.sid

    def add_message(
        self, sid: str, sender: str, to: str, body: str, direction: str
    ) -> Message:
        """Keep a new message of either direction."""
        number, now = len(self.messages), self.clock.now()
        message = Message(sid, self.sid, sender, to, body, direction, now, number)
        self.messages[sid] = message
        return message

    def receive(self, sid: str, sender: str, to: str, body: str) -> Message:
        """Keep a writer's message, which opens their window."""
        message = self.add_message(sid, PREFIX + sender, PREFIX + to, body, "inbound")
        message.turn("received", self.clock.now())
        self.add_user(sender).wrote_at[message.to] = self.clock.now()
        return message

    async def _fetch(self, message: Message) -> None:
        """Fetch the files of a message of the business, as Twilio does."""
        for url in message.media_urls:
            content, kind = await self._download(url)
            if kind not in TYPES:
                refuse(63021, f"WhatsApp takes no {kind}")
            if len(content) > (PICTURE_BYTES_MAX if kind in PICTURES else BYTES_MAX):
                refuse(63021, f"a file of {len(content)} bytes is too large")
            self.media.add(message, content, kind)

    async def _download(self, url: str) -> tuple[bytes, str]:
        webhooks = self.courier.webhooks
        local = webhooks.local(url) if webhooks else url
        timeout = aiohttp.ClientTimeout(total=_FETCH_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(local) as response,
            ):
                content = await response.content.read(BYTES_MAX + 1)
                while not response.content.at_eof() and len(content) <= BYTES_MAX:
                    content += await response.content.read(BYTES_MAX + 1)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            refuse(63019, f"Media failed to download: {error}")
        if response.status != 200:
            refuse(63019, f"Media failed to download: HTTP {response.status}")
        return content, response.content_type
