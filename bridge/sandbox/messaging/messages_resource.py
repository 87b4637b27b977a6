"""The Messages, Media and Typing resources of the sandbox.

https://www.twilio.com/docs/messaging/api/message-resource, .../api/media-resource and
https://www.twilio.com/docs/whatsapp/api/typing-indicators-resource. Not verified: how a
typing indicator for an unknown message is refused (here 400 and 20001).
"""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from bridge.sandbox.messaging import message_list, message_rules
from bridge.sandbox.messaging.delivery import Typing
from bridge.sandbox.messaging.media_store import Media
from bridge.sandbox.messaging.message_records import (
    API_VERSION,
    PREFIX,
    Message,
    answer,
    new_sid,
    not_found,
    refuse,
)
from bridge.sandbox.messaging.messaging_account import Account

_BASE = f"/{API_VERSION}/Accounts/{{account}}/Messages"


class MessagesResource:
    """The requests about messages of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        # How long the list does not show a message yet.
        self.listed_after = timedelta()
        # Whether the list has what is not sent yet after all that is.
        self.unsent_last = False
        self.lookups = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; each is named by the path that a fault names."""
        one, file = f"{_BASE}/{{message}}", f"{_BASE}/{{message}}/Media/{{media}}"
        return [
            web.post(f"{_BASE}.json", self._create, name="messages"),
            web.get(f"{_BASE}.json", self._list, name="list"),
            web.get(f"{one}.json", self._get, name="fetch"),
            web.get(f"{one}/Media.json", self._files, name="media-list"),
            web.get(file, self._file, name="media"),
            web.delete(file, self._delete, name="media-delete"),
            web.post("/v2/Indicators/Typing.json", self._type, name="typing"),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        account = self._account
        form = await request.post()
        wish = message_rules.read(form, request.content_type, account)
        found = account.add_message(
            new_sid("MM" if wish.media_urls else "SM"),
            wish.sender,
            wish.to,
            wish.body,
            "outbound-api",
        )
        found.callback, found.service_sid = wish.callback, wish.service_sid
        found.content, found.variables = wish.content, wish.variables
        found.media_urls = wish.media_urls
        if wish.content is not None:
            found.body = wish.content.text(wish.variables)
        found.turn("accepted" if wish.service_sid else "queued", account.clock.now())
        account.courier.accept(found)
        return answer(found.as_json(), 201)

    async def _list(self, request: web.Request) -> web.Response:
        self.lookups += 1
        newest = self._account.clock.now() - self.listed_after
        messages = self._account.messages.values()
        shown = [message for message in messages if message.created_at <= newest]
        if len(set(request.query)) != len(request.query):
            refuse(20001, "expected each parameter once")
        return answer(
            message_list.page(request.path, request.query, shown, self.unsent_last)
        )

    async def _get(self, request: web.Request) -> web.Response:
        self.lookups += 1
        return answer(self._find(request).as_json())

    async def _files(self, request: web.Request) -> web.Response:
        found = self._account.media.of(self._find(request).sid)
        return answer({"media_list": [media.as_json() for media in found]})

    async def _file(self, request: web.Request) -> web.Response:
        media, is_json = self._find_media(request)
        if is_json:
            return answer(media.as_json())
        location = self._account.media.location(media)
        return web.Response(status=307, headers={"Location": location})

    async def _delete(self, request: web.Request) -> web.Response:
        self._account.media.delete(self._find_media(request)[0])
        return web.Response(status=204)

    async def _type(self, request: web.Request) -> web.Response:
        fields = message_rules.single_values(await request.post(), request.content_type)
        if set(fields) != {"channel", "messageId"} or fields["channel"] != "whatsapp":
            refuse(20001, f"expected channel=whatsapp and messageId, got {fields}")
        message = self._account.messages.get(fields["messageId"])
        if message is None or message.direction != "inbound":
            refuse(20001, f"expected a writer's message, got {fields['messageId']!r}")
        inbox = self._account.add_user(message.sender.removeprefix(PREFIX))
        inbox.type(Typing(self._account.clock.now(), message.sid))
        return answer({"success": True})

    def _find(self, request: web.Request) -> Message:
        found = self._account.messages.get(request.match_info["message"])
        if found is None:
            not_found(request.path)
        return found

    def _find_media(self, request: web.Request) -> tuple[Media, bool]:
        name = request.match_info["media"]
        sid, is_json = name.removesuffix(".json"), name.endswith(".json")
        found = self._account.media.find(request.match_info["message"], sid)
        if found is None:
            not_found(request.path)
        return found, is_json
