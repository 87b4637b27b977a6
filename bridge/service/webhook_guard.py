"""Answers every Twilio webhook with 200 and in time, whatever fails behind it.

With any other answer the caller hears an error tone. Intended refusals, such as the
refusal of a signature, pass unchanged. The webhooks of messages are the exception: with
an error Twilio tries the fallback URL, and nobody hears it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bridge.ports.authentication import FORM, MESSAGE_PATHS, Handler
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twiml
from bridge.telephony.twiml import Sentence

# Twilio gives up on a webhook after 15 s.
ANSWER_WAIT_S = 12.0
_WEBHOOKS = "/twilio/"
# Twilio acts on the answers of these webhooks; the others only report.
_ASKING = frozenset(("/twilio/voice", "/twilio/after-stream"))


class WebhookGuard:
    """Wraps the HTTP handlers of one process."""

    def __init__(
        self, metrics: Metrics, fallback_for: Callable[[str], Awaitable[Sentence]]
    ) -> None:
        self._metrics = metrics
        self._fallback_for = fallback_for

    def expect(self, methods: Mapping[str, str]) -> None:
        """Count no failure of each webhook: Prometheus sees only what comes after."""
        for path, method in methods.items():
            if method == "POST" and path.startswith(_WEBHOOKS):
                self._metrics.count("webhook_failures", 0, endpoint=path)

    @web.middleware
    async def answer(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Return the handler's answer, or the fallback in place of that answer."""
        if request.method != "POST" or not request.path.startswith(_WEBHOOKS):
            return await handler(request)
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            self._metrics.count("webhook_failures", endpoint=request.path)
            server_logger().error("%s failed", request.path, exc_info=error)
        if request.path in MESSAGE_PATHS:
            return web.Response(status=503)
        if request.path not in _ASKING:
            return web.Response(status=204)
        sorry = await self._fallback_for(request[FORM].get("To", ""))
        self._metrics.count_fallback("webhook_failed", "")
        return web.Response(
            body=twiml.say_and_hang_up(sorry),
            content_type=twiml.CONTENT_TYPE,
            charset="utf-8",
        )
