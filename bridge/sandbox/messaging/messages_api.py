"""Twilio's REST API for WhatsApp messages: a strict server for one account.

Serves under one host what Twilio serves under three (api, content and messaging):

    POST GET  /2010-04-01/Accounts/{AC}/Messages.json
    GET       /2010-04-01/Accounts/{AC}/Messages/{SM}.json
    GET       /2010-04-01/Accounts/{AC}/Messages/{SM}/Media.json
    GET DEL   /2010-04-01/Accounts/{AC}/Messages/{SM}/Media/{ME}[.json]
    POST GET  /v1/Content, GET DEL /v1/Content/{HX}
    POST      /v1/Content/{HX}/ApprovalRequests/whatsapp, GET .../ApprovalRequests
    POST      /v2/Indicators/Typing.json

How to use it:

    async with MessagingApi(senders={"+15550100002"}) as api:
        api.connect(bridge_url)                      # where callbacks go
        async with Writer(api, bridge_url) as writer:
            await writer.write("Is there a place on Monday?")
            reply = await writer.next(within_s=10)

A number without a `Writer` (or `api.add_user(number)`) is not on WhatsApp. What goes
wrong on demand: `api.cut` (the server is away), `api.faults` (requests),
`api.courier.fail_next` (messages), `api.courier.hold` (they stay queued), `api.ways`
(statuses, callbacks, order), `api.latency_s`. `api.clock.advance(hours=25)` closes all
windows. `api.template(body)` returns the sid of an approved template. Afterwards
`api.refusals` has what was refused, `api.sent` the messages of the business in the
order of their creation, `api.problems` what Twilio's debugger would show. `await
api.settle()` waits until every callback is posted.

Neither a list nor a message tells the ContentSid; `body` is the text as it was filled
in. `message_list` says what a filter on `DateSent` finds, and in which order;
`api.list_after(seconds)` and `api.resource.unsent_last` make look-ups harder.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN
from bridge.sandbox.messaging.contents import SESSION_ONLY
from bridge.sandbox.messaging.contents_resource import ContentsResource
from bridge.sandbox.messaging.delivery import Courier, Inbox, Ways
from bridge.sandbox.messaging.faults import Fault, Faults
from bridge.sandbox.messaging.media_store import MediaStore
from bridge.sandbox.messaging.message_records import Clock, Message, RefusalError
from bridge.sandbox.messaging.messages_resource import MessagesResource
from bridge.sandbox.messaging.messaging_account import Account
from bridge.sandbox.messaging.webhooks import Webhooks

_REQUEST_BYTES_MAX = 262_144
# How long a request may go on after a cut; aiohttp takes 0 for no limit.
_CUT_S = 0.01

_Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MessagingApi:
    """The messaging of one account; see the module for its use."""

    def __init__(
        self,
        *,
        senders: Iterable[str] = (),
        services: Mapping[str, str] | None = None,
        account_sid: str = SANDBOX_ACCOUNT_SID,
        auth_token: str = SANDBOX_AUTH_TOKEN,
        seed: int = 1,
        port: int = 0,
    ) -> None:
        """`port` 0 takes a free one."""
        self._port = port
        self._rng = random.Random(f"{seed} latency")
        self.account = Account(account_sid, auth_token, senders, services or {}, seed)
        self.faults = Faults(random.Random(f"{seed} faults"))
        self.resource = MessagesResource(self.account)
        self.contents = ContentsResource(self.account)
        self.refusals: list[RefusalError] = []
        self.latency_s = (0.0, 0.0)
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.url = ""

    # --- what is behind it ---

    @property
    def clock(self) -> Clock:
        """Return the sandbox's clock."""
        return self.account.clock

    @property
    def ways(self) -> Ways:
        """Return how messages and callbacks go; its fields may be changed."""
        return self.account.ways

    @property
    def courier(self) -> Courier:
        """Return who takes messages to their writers."""
        return self.account.courier

    @property
    def media(self) -> MediaStore:
        """Return the files of the account."""
        return self.account.media

    @property
    def sent(self) -> list[Message]:
        """Return the messages of the business, in the order of their creation."""
        found = self.account.messages.values()
        return [message for message in found if message.direction == "outbound-api"]

    @property
    def problems(self) -> list[str]:
        """Return what Twilio's debugger would show."""
        return self.courier.problems + self.media.problems

    # --- for those who test with it ---

    def connect(self, bridge_url: str, public_url: str | None = None) -> Webhooks:
        """Post callbacks to a bridge; `public_url` is its name in them."""
        self.courier.webhooks = Webhooks(bridge_url, public_url)
        return self.courier.webhooks

    def add_user(self, number: str) -> Inbox:
        """Let a number be on WhatsApp."""
        return self.account.add_user(number)

    def template(
        self,
        body: str,
        variables: Mapping[str, str] | None = None,
        language: str = "en",
    ) -> str:
        """Return the sid of an approved template with this text."""
        return self.account.add_template(body, variables or {}, language)

    def approve(self, content_sid: str) -> None:
        """Let WhatsApp approve a resource: it may start a conversation."""
        content = self.account.contents[content_sid]
        if content.kind in SESSION_ONLY:
            raise ValueError(f"{content.kind} cannot be approved")
        content.approval = "approved"

    def list_after(self, seconds: float) -> None:
        """Let the list show a message only some time after its creation."""
        self.resource.listed_after = timedelta(seconds=seconds)

    async def settle(self) -> None:
        """Wait until nothing is on its way and every callback is posted."""
        await self.courier.settle()

    # --- the server ---

    async def start(self) -> None:
        """Begin to listen."""
        await self._listen(self._port)
        await self.media.start()

    async def cut(self) -> None:
        """Stop listening, and cut every connection; nothing that was accepted is lost.

        What is on its way goes on. A request that is being done has an unknown fate.
        """
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def listen_again(self) -> None:
        """Listen where the server listened before `cut`."""
        await self._listen(urlsplit(self.url).port or 0)

    async def _listen(self, port: int) -> None:
        app = web.Application(
            client_max_size=_REQUEST_BYTES_MAX, middlewares=[self._middleware()]
        )
        app.add_routes((*self.resource.routes(), *self.contents.routes()))
        self._runner = web.AppRunner(app, shutdown_timeout=_CUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, reuse_address=True).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop; messages on their way are lost."""
        self._closing.set()
        await self.courier.close()
        await self.media.close()
        await self.cut()

    async def __aenter__(self) -> MessagingApi:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _middleware(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: _Respond) -> web.StreamResponse:
            return await self._guard(request, handler)

        return guard

    async def _guard(
        self, request: web.Request, respond: _Respond
    ) -> web.StreamResponse:
        """Ask for credentials, let faults happen, answer refusals in Twilio's form."""
        await asyncio.sleep(self._rng.uniform(*self.latency_s))
        try:
            self._authenticate(request)
            fault = self.faults.next(request.match_info.route.name or "")
            if fault is not None and not fault.after:
                return await self._fail(request, fault)
            found = await respond(request)
        except RefusalError as error:
            self.refusals.append(error)
            return error.response()
        except web.HTTPMethodNotAllowed:
            return RefusalError(405, 20004, "Method not allowed").response()
        except web.HTTPNotFound:
            return RefusalError(404, 20404, f"{request.path} was not found").response()
        if fault is None:
            return found
        failed = await self._fail(request, fault)
        return found if fault.how == "late" else failed

    def _authenticate(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != self.account.credentials:
            raise RefusalError(401, 20003, "Authenticate")
        account = request.match_info.get("account", self.account.sid)
        if account != self.account.sid:
            raise RefusalError(404, 20404, f"{request.path} was not found")

    async def _fail(self, request: web.Request, fault: Fault) -> web.Response:
        if fault.how in ("hang", "late"):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), fault.hang_s)
        if fault.how in ("hang", "cut") and request.transport is not None:
            request.transport.abort()
        return RefusalError(fault.status, fault.code, "on demand").response()
