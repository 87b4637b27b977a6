"""Answers the HTTP requests of Twilio and of a load balancer.

A webhook is always answered with TwiML and 200, whatever fails behind it, because with
any other answer the caller hears an error tone. Only a request that Twilio has not
signed gets a 403. Requests may come twice and in any order.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Middleware

from bridge.line.driver import CallDriver
from bridge.messaging.receiving import MessageReceiver
from bridge.nodes.hand_over import PATH as HAND_OVER_PATH
from bridge.nodes.peers import NOBODY, OwnersAnswer, Webhook
from bridge.ports.authentication import (
    ANY_OTHER,
    BODY,
    BODY_BYTES_MAX,
    FORM,
    MESSAGE_PATH,
    MESSAGE_STATUS_PATH,
    Authentication,
    Handler,
    answer,
    refuse_expectation,
)
from bridge.ports.port_demux import MEDIA_PATH
from bridge.ports.workers import (
    IDEMPOTENCY_HEADER,
    PASSED_INSIDE,
    PASSED_ON,
    Workers,
    forwarded_headers,
)
from bridge.service.admin import alive
from bridge.service.after_stream import OVER, AfterStream, AskReader
from bridge.service.own_node import OwnNode
from bridge.service.readiness import Readiness
from bridge.service.webhook_guard import WebhookGuard
from bridge.settings.process import Settings
from bridge.switchboard.admission import Shut
from bridge.switchboard.call_setup import Ringing
from bridge.switchboard.dispatch import Switchboard
from bridge.switchboard.ended import Ended
from bridge.switchboard.softphone import stream_parameters
from bridge.switchboard.unserved import (
    DRAINING,
    Refused,
    Repeated,
    UnknownNumber,
    Unserved,
)
from bridge.telemetry.masking import mask_phone
from bridge.telephony import twiml
from bridge.telephony.twiml import Sentence, StreamUrls

# Twilio's tokens have some 40 characters; the service remembers them.
IDEMPOTENCY_CHARS_MAX = 128
# Why a call is not served here, and may be on another node.
FOR_ROOM = (DRAINING, "full", *(shut.value for shut in Shut))


class Webhooks:
    """The HTTP side of one process."""

    def __init__(
        self,
        settings: Settings,
        public_url: str,
        switchboard: Switchboard,
        readiness: Readiness,
        find_recorded: Callable[[str, str], Awaitable[Ended | None]],
        fallback_for: Callable[[str], Awaitable[Sentence]],
        messages: MessageReceiver,
        has_left_port: Callable[[], bool],
        node: OwnNode | None = None,
    ) -> None:
        """With a `node`, also answer for calls of other processes.

        `has_left_port` says that another service accepts on this one's port.
        """
        self._node = node
        self._has_left_port = has_left_port
        self._messages = messages
        # Another process may go on with a call whose stream cannot be opened here.
        self._is_resuming = node is not None and settings.resume
        self._fallback_for = fallback_for
        self._public_url = public_url
        self._switchboard = switchboard
        self._readiness = readiness
        resume = node.calls.resume if node is not None and settings.resume else None
        self._after_stream = AfterStream(
            switchboard, self.connect, find_recorded, fallback_for, resume
        )
        self._metrics = switchboard.metrics
        self._guard = WebhookGuard(self._metrics, fallback_for)
        self._authentication = Authentication(settings, public_url, self._metrics)

    def application(self, workers: Workers | None = None) -> web.Application:
        """Return the routes; with `workers`, also for the calls of other workers."""
        app = web.Application(
            client_max_size=BODY_BYTES_MAX,
            middlewares=[
                _of_webhooks(self._authentication.authenticate),
                _of_webhooks(self._guard.answer),
                *([_of_webhooks(workers.to_owner)] if workers else []),
            ],
        )
        endpoints = (
            web.post("/twilio/voice", self.voice),
            web.post("/twilio/stream-status", self.stream_status),
            web.post("/twilio/call-status", self.call_status),
            web.post("/twilio/after-stream", self.after_stream),
            web.post(MESSAGE_PATH, self.message),
            web.post(MESSAGE_STATUS_PATH, self.message_status),
            web.post(HAND_OVER_PATH, self.hand_over),
            web.get(MEDIA_PATH, self.media),
            web.get("/healthz", alive),
            web.get("/readyz", self._readiness.answer),
        )
        methods = {route.path: route.method for route in endpoints}
        self._guard.expect(methods)
        nowhere = partial(self.any_other, methods)
        routes = [*endpoints, web.route("*", f"/{{{ANY_OTHER}:.*}}", nowhere)]
        for route in routes:
            app.router.add_route(
                route.method,
                route.path,
                route.handler,
                expect_handler=refuse_expectation,
            )
        return app

    # --- Twilio ---

    async def voice(self, request: web.Request) -> web.Response:
        """Answer a ringing call with the stream that Twilio must open."""
        form = request[FORM]
        ringing = Ringing(
            call_sid=form["CallSid"],
            account_sid=form.get("AccountSid", ""),
            from_number=form.get("From", ""),
            to_number=form.get("To", ""),
            stir_verstat=form.get("StirVerstat", ""),
        )
        log = self._switchboard.log_of(ringing.call_sid, ringing.to_number)
        try:
            line = await self._switchboard.open_call(ringing)
        except UnknownNumber:
            self._metrics.count("unknown_numbers")
            log.warning("no business has %s", mask_phone(ringing.to_number))
            return _twiml(twiml.not_in_service())
        except Repeated:
            self._metrics.count("repeated_webhooks")
            log.warning("the webhook of a call that is over, or another's, came again")
            ended = self._switchboard.find_ended(ringing.call_sid)
            if ended is not None and ended.failed:
                return self._fallback(ended.reason, ended.fallback, ended.business_id)
            return _twiml(twiml.hang_up())
        except Refused as refused:
            log.warning("call is refused: %s", refused.limit.value)
            return self._fallback(
                refused.limit.value, refused.fallback, refused.business_id
            )
        except Unserved as unserved:
            if unserved.reason == DRAINING and self._has_left_port():
                log.info("call is passed on: another service has the port")
                return _twiml(twiml.ask_again(f"{self._public_url}{request.path}"))
            document = await self._freest_answer(request, unserved)
            if document is not None:
                log.info("[NODE] call is passed on: %s", unserved.reason)
                return _twiml(document)
            log.warning("call is not served: %s", unserved.reason)
            sorry = await self._fallback_for(ringing.to_number)
            business_id = self._switchboard.business_of("", ringing.to_number)
            return self._fallback(unserved.reason, sorry, business_id)
        return _twiml(self.connect(line))

    async def stream_status(self, request: web.Request) -> web.Response:
        """Note the status of a stream at Twilio."""
        form = request[FORM]
        event, error = form.get("StreamEvent", ""), form.get("StreamError", "")
        log = self._switchboard.log_of(form["CallSid"], form.get("To", ""))
        if event == "stream-error":
            log.error("Twilio could not stream: %s", error[:200])
            self._after_stream.end_unless_streamed(form["CallSid"], "stream_error")
        else:
            log.info("Twilio says %s", event[:64])
        return web.Response(status=204)

    async def call_status(self, request: web.Request) -> web.Response:
        """Note the status of a call at Twilio; a call that is over needs no driver."""
        form = request[FORM]
        line = self._switchboard.find_driver(form["CallSid"])
        reason = OVER.get(form.get("CallStatus", ""))
        if line is not None and reason is not None:
            line.receive(line.call.receive_hangup, reason)
        return web.Response(status=204)

    async def after_stream(self, request: web.Request) -> web.Response:
        """Say what comes after the stream."""
        form = request[FORM]
        found = await self._owners_answer(request)
        if found.document is not None:
            return _twiml(found.document)
        document = await self._after_stream.answer(
            form["CallSid"],
            form.get("To", ""),
            form.get("CallStatus", ""),
            request.headers.get(IDEMPOTENCY_HEADER, "")[:IDEMPOTENCY_CHARS_MAX],
            is_owner_dead=found.is_dead,
            ask_reader=self._ask_reader(request),
        )
        return _twiml(document)

    async def message(self, request: web.Request) -> web.Response:
        """Keep a WhatsApp message; its reply goes out by itself."""
        await self._messages.receive(request[FORM])
        return _twiml(twiml.no_message())

    async def message_status(self, request: web.Request) -> web.Response:
        """Note the status of a message of ours at Twilio."""
        await self._messages.note_status(request[FORM], request.query)
        return web.Response(status=204)

    async def media(self, request: web.Request) -> web.Response:
        """Tell a client without a WebSocket that the stream requires a WebSocket."""
        return web.Response(
            status=426, text="this is a WebSocket", headers={"Upgrade": "websocket"}
        )

    async def any_other(
        self, methods: dict[str, str], request: web.Request
    ) -> web.Response:
        """Refuse a request that matches no endpoint; read no more of its connection."""
        self._metrics.count("requests_refused", reason="unknown_path")
        allowed = methods.get(request.path)
        if allowed is None:
            return answer(request, HTTPStatus.NOT_FOUND)
        return answer(request, HTTPStatus.METHOD_NOT_ALLOWED, allowed)

    # --- other nodes ---

    async def hand_over(self, request: web.Request) -> web.Response:
        """Hand a call over to the process that has claimed it."""
        state = None
        if self._node is not None:
            form = request[FORM]
            state = await self._node.hand_over.answer(
                form,
                _webhook_of(request),
                is_passed_inside=PASSED_INSIDE in request.headers,
            )
        if state is None:
            return answer(request, HTTPStatus.NOT_FOUND)
        return web.Response(body=state, content_type="application/octet-stream")

    async def _freest_answer(
        self, request: web.Request, unserved: Unserved
    ) -> bytes | None:
        """Return the document of a node that has room; None if no node has."""
        is_for_room = unserved.reason in FOR_ROOM
        if self._node is None or PASSED_ON in request.headers or not is_for_room:
            return None
        return await self._node.peers.ask_freest(_webhook_of(request))

    def _ask_reader(self, request: web.Request) -> AskReader | None:
        """Return what asks a node of another version; None if this one was asked by
        another node."""
        if self._node is None or PASSED_ON in request.headers:
            return None
        return partial(self._node.peers.ask_reader, webhook=_webhook_of(request))

    async def _owners_answer(self, request: web.Request) -> OwnersAnswer:
        """Return what the process answers that has the call, if it is another one."""
        call_sid = request[FORM]["CallSid"]
        board = self._switchboard
        is_known = board.find_driver(call_sid) or board.find_ended(call_sid)
        headers = request.headers
        node, webhook = self._node, _webhook_of(request)
        if node is None or PASSED_INSIDE in headers:
            return NOBODY
        is_passed_on = PASSED_ON in headers
        moved_to = node.hand_over.moved_to(call_sid)
        if moved_to is not None and not is_passed_on:
            # This node may not reach the database.
            return await node.peers.ask_node(*moved_to, webhook)
        if is_known:
            return NOBODY
        return await node.peers.ask_owner(call_sid, webhook, is_passed_on=is_passed_on)

    # --- internal ---

    def connect(self, line: CallDriver) -> bytes:
        """Return the document that opens a call's stream."""
        after = f"{self._public_url}/twilio/after-stream"
        urls = StreamUrls(
            media=self._switchboard.handshakes.media_url,
            after=after,
            status=f"{self._public_url}/twilio/stream-status",
            again=after if self._is_resuming else "",
        )
        return twiml.connect_stream(urls, stream_parameters(line), line.fallback)

    def _fallback(self, reason: str, sorry: Sentence, business_id: str) -> web.Response:
        self._metrics.count_fallback(reason, business_id)
        return _twiml(twiml.say_and_hang_up(sorry))


def _of_webhooks(
    middleware: Callable[[web.Request, Handler], Awaitable[web.StreamResponse]],
) -> Middleware:
    """Return a middleware that leaves the requests of the console alone.

    The router decides which they are: the console is an application below this one.
    """

    @web.middleware
    async def run(request: web.Request, handler: Handler) -> web.StreamResponse:
        if len(request.match_info.apps) > 1:
            return await handler(request)
        return await middleware(request, handler)

    return run


def _webhook_of(request: web.Request) -> Webhook:
    headers = {**forwarded_headers(request), PASSED_ON: "1"}
    return Webhook(request.raw_path, request[BODY], headers)


def _twiml(document: bytes) -> web.Response:
    return web.Response(body=document, content_type=twiml.CONTENT_TYPE, charset="utf-8")
