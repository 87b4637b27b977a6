"""Which HTTP requests are read, and which of them Twilio has signed.

Before its signature is checked, a request costs no more than its head. A body is read
only if a signature came with it, within BODY_BYTES_MAX and BODY_WAIT_S. The body is
never decompressed, and is parsed only within FIELDS_MAX. Every refused request is
answered with a status, counted, and logged in one line. Refusals are returned and not
raised, because an exception that leaves a coroutine stays in a cycle with its frames.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import signature
from bridge.telephony.sids import is_call_sid, is_message_sid
from bridge.telephony.signature import Claim
from bridge.wire.body import read_body

# A webhook is a few KB of form fields: some forty, and one for each header of a SIP
# call.
BODY_BYTES_MAX = 65_536
FIELDS_MAX = 256
# A body comes in one packet; a client that sends it slowly occupies a connection.
BODY_WAIT_S = 5.0
# The webhooks of messages. They name no call, and any worker answers them.
MESSAGE_PATH, MESSAGE_STATUS_PATH = "/twilio/whatsapp", "/twilio/message-status"
MESSAGE_PATHS = frozenset((MESSAGE_PATH, MESSAGE_STATUS_PATH))

# The route that matches any unknown path; aiohttp itself would raise an exception each.
ANY_OTHER = "any_other"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Form = dict[str, str]
# `authenticate` stores these in a webhook's request.
BODY = web.RequestKey("body", bytes)
FORM = web.RequestKey("form", Form)


class Authentication:
    """Checks the requests of one process before any other code sees them."""

    def __init__(self, settings: Settings, public_url: str, metrics: Metrics) -> None:
        self._is_checked = settings.twilio_validate_signatures
        self._secrets = settings.signing_secrets
        self._public_url = public_url
        self._metrics = metrics

    @web.middleware
    async def authenticate(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Put a webhook's BODY and FORM into its request, or refuse it."""
        is_routed = ANY_OTHER not in request.match_info
        if request.method != "POST" or not is_routed:
            if request.can_read_body and is_routed:
                return self._refuse(request, HTTPStatus.BAD_REQUEST, "body")
            return await handler(request)
        refusal = self._refuse_by_head(request) or await self._read(request)
        return refusal or await handler(request)

    def _refuse_by_head(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            return self._refuse(
                request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content_encoding"
            )
        if self._is_checked and not request.headers.get(signature.HEADER):
            return self._refuse_signature(request)
        if (request.content_length or 0) > BODY_BYTES_MAX:
            return self._refuse(
                request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"
            )
        return None

    async def _read(self, request: web.Request) -> web.Response | None:
        try:
            async with asyncio.timeout(BODY_WAIT_S):
                body = await read_body(request.content, BODY_BYTES_MAX)
        except TimeoutError:
            return self._refuse(request, HTTPStatus.REQUEST_TIMEOUT, "body_late")
        except (web.RequestPayloadError, OSError) as error:
            # The body keeps its error, which keeps the frames that lead to the body.
            error.__traceback__ = None
            return self._refuse(request, HTTPStatus.BAD_REQUEST, "body_broken")
        if body is None or body.count(b"&") >= FIELDS_MAX:
            return self._refuse(
                request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"
            )
        try:
            params = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            return self._refuse(request, HTTPStatus.BAD_REQUEST, "not_utf8")
        signed = self._signed(request, params)
        if signed is None:
            return self._refuse_signature(request)
        form = dict(signed)
        if request.path in MESSAGE_PATHS:
            if not is_message_sid(form.get("MessageSid", "")):
                return self._refuse(request, HTTPStatus.BAD_REQUEST, "message_sid")
        elif not is_call_sid(form.get("CallSid", "")):
            return self._refuse(request, HTTPStatus.BAD_REQUEST, "call_sid")
        request[BODY], request[FORM] = body, form
        self._note_unsigned(request, params, form)
        return None

    def _signed(
        self, request: web.Request, params: signature.Params
    ) -> signature.Params | None:
        if not self._is_checked:
            return params
        path = request.raw_path
        if not path.startswith("/"):
            return None
        return signature.signed_params(
            self._secrets, self._public_url + path, params, claim_of(request.headers)
        )

    def _note_unsigned(
        self, request: web.Request, params: signature.Params, form: Form
    ) -> None:
        unsigned = sorted({name for name, _ in params} - form.keys())
        for name in unsigned:
            self._metrics.count("unsigned_parameters", name=name)
        if unsigned:
            server_logger().warning(
                "%s unsigned_parameters=%s: they are not used",
                request.path,
                ",".join(unsigned),
            )

    def _refuse_signature(self, request: web.Request) -> web.Response:
        self._metrics.count("rejected_signatures", endpoint=request.path)
        server_logger().warning("%s refused: signature", request.path)
        return answer(request, HTTPStatus.FORBIDDEN)

    def _refuse(
        self, request: web.Request, status: HTTPStatus, reason: str
    ) -> web.Response:
        self._metrics.count("requests_refused", reason=reason)
        server_logger().warning("a request was refused: %d %s", status, reason)
        return answer(request, status)


async def refuse_expectation(request: web.Request) -> web.Response:
    """Refuse to send "100 Continue": the body would follow an answer, and look like a
    separate request."""
    return answer(request, HTTPStatus.EXPECTATION_FAILED)


def claim_of(headers: Any) -> Claim:
    """Return what a request's headers say about its signature."""
    return Claim(
        headers.get(signature.HEADER, ""), headers.get(signature.SETTINGS_HEADER, "")
    )


def answer(
    request: web.Request, status: HTTPStatus, allowed: str | None = None
) -> web.Response:
    """Return a refusal; close its connection if a body is still to come."""
    headers = {"Allow": allowed} if allowed else None
    text = f"{status.value} {status.phrase}"
    response = web.Response(status=status, text=text, headers=headers)
    if not request.content.is_eof():
        response.force_close()
    return response
