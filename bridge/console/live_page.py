"""Live: the calls that run now, and what an operator may do in them.

Rows come by server-sent events. Listening and speaking go over a WebSocket: both sides'
frames out, the operator's orders and frames in. Everything that is done is written into
the audit log before it is done.
"""

import asyncio
from http import HTTPStatus
from time import monotonic, time

import aiohttp
import msgspec
from aiohttp import web

from bridge.call.operator_orders import TEXT_CHARS_MAX
from bridge.call.plan import (
    HandBack,
    LineOrder,
    Phase,
    SayGoodbye,
    TakeOver,
    Whisper,
)
from bridge.console.auditing import audit
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    OPERATOR,
    VIEWER,
    Console,
    MenuItem,
    require,
)
from bridge.console.event_stream import (
    COMMENT,
    COMMENT_S,
    SESSION_LOOK_S,
    begin,
    event,
    is_still,
    watching,
)
from bridge.console.forms import is_from_here
from bridge.console.language import N_, gettext as _
from bridge.console.live_hub import LiveHub, Page
from bridge.console.live_port import LivePort, OperatorLine
from bridge.console.rendering import render
from bridge.console.session_watch import Unknown
from bridge.telemetry.live_call import LiveCall
from crm.transient import DATABASE_ERRORS

MENU = (
    MenuItem(N_("Live"), "/console/live", roles=(OPERATOR,)),
    MenuItem(N_("Live"), "/console/b/{business}/live"),
)
HUB = web.AppKey("live_hub", LiveHub)
LIVE = web.AppKey("live_port", LivePort)
# A second of audio, or a note.
MESSAGE_BYTES_MAX = 16_384
# What tells the pages of operators of one name apart: four numbers of 32 bits.
PAGE_CHARS_MAX = 64
# What an order is called in the audit log.
_ACTS: dict[type, str] = {
    Whisper: "call.hint_given",
    TakeOver: "call.taken_over",
    HandBack: "call.handed_back",
    SayGoodbye: "call.ended_politely",
}
_orders = msgspec.json.Decoder(LineOrder)


async def show(request: web.Request) -> web.StreamResponse:
    """Show the page; its rows come by events."""
    if BUSINESS not in request:
        require(request, OPERATOR)
    return await render(request, "live/live.html")


# --- rows ---


async def events(request: web.Request) -> web.StreamResponse:
    """Send what changes, until the page is closed or its user is logged out."""
    business_id = None
    if BUSINESS in request:
        business_id = str(request[BUSINESS].id)
    else:
        require(request, OPERATOR)
    hub = request.config_dict[HUB]
    if hub.is_full:
        raise web.HTTPServiceUnavailable
    page = Page(hub, business_id)
    response = await begin(request)
    try:
        with hub.watched() as after_s, watching(request):
            await _send_rows(request, response, page, hub, after_s)
    except (ConnectionError, asyncio.CancelledError, Unknown):
        pass  # the page is closed, or comes back
    return response


async def _send_rows(
    request: web.Request,
    response: web.StreamResponse,
    page: Page,
    hub: LiveHub,
    after_s: float,
) -> None:
    await hub.next_look()
    await response.write(event("now", msgspec.json.encode(time())))
    await response.write(event("start", page.names()))
    sent_at = monotonic()
    while True:
        news, now = page.news(), monotonic()
        if not news and now - sent_at >= COMMENT_S:
            news = COMMENT
        if news:
            await response.write(news)
            sent_at = now
        if not is_still(request):
            await response.write(event("over", b"0"))
            return
        await hub.next_look()
        await asyncio.sleep(after_s)


# --- what is done in a call ---


async def show_phone(request: web.Request) -> web.StreamResponse:
    """Return the caller's whole number; who looks is written down."""
    call = await _shown(request)
    await audit(request, "call.phone_seen", call.call_sid)
    return web.json_response({"phone": call.from_number})


async def _shown(request: web.Request) -> LiveCall:
    """Return the running call of the path; raise HTTPNotFound if there is none."""
    call_sid, business = request.match_info["call_sid"], request[BUSINESS]
    snapshot = await request.config_dict[LIVE].snapshot()
    for call in snapshot.calls:
        if call.call_sid == call_sid and call.business_id == str(business.id):
            return call
    raise web.HTTPNotFound


async def hint(request: web.Request) -> web.StreamResponse:
    """Give the model a hint."""
    form = request[FORM]
    text = form.get("text", "").strip()
    fault = ""
    if not text:
        fault = _("Write what the assistant should know.")
    elif len(text) > TEXT_CHARS_MAX:
        fault = _("Write at most %(max)d characters.") % {"max": TEXT_CHARS_MAX}
    if fault:
        return web.json_response(
            {"faults": {"text": fault}}, status=HTTPStatus.UNPROCESSABLE_ENTITY
        )
    return await _order(request, Whisper(text=text, speaks=bool(form.get("speaks"))))


async def say_goodbye(request: web.Request) -> web.StreamResponse:
    """Have the AI say goodbye, and end the call."""
    return await _order(request, SayGoodbye())


async def _order(request: web.Request, order: LineOrder) -> web.StreamResponse:
    """Obey, where the conversation runs: before and after it an order is lost."""
    call = await _shown(request)
    if call.phase != Phase.TALKING.value:
        raise web.HTTPConflict
    line = await _open_line(request, hears=False)
    try:
        await _obey(request, line, order)
    finally:
        await line.close()
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def _obey(request: web.Request, line: OperatorLine, order: LineOrder) -> None:
    await audit(request, _ACTS[type(order)], request.match_info["call_sid"])
    await line.obey(order)


async def _open_line(request: web.Request, *, hears: bool) -> OperatorLine:
    line = await request.config_dict[LIVE].open_line(
        request.match_info["call_sid"],
        str(request[BUSINESS].id),
        request[VIEWER].name,
        request.query.get("page", "")[:PAGE_CHARS_MAX],
        hears=hears,
    )
    if line is None:
        raise web.HTTPNotFound
    return line


# --- hearing and speaking ---


async def join(request: web.Request) -> web.StreamResponse:
    """Connect a browser with a call, until either leaves."""
    if not is_from_here(request, request.config_dict[CONSOLE].public_url):
        raise web.HTTPForbidden
    socket = web.WebSocketResponse(
        max_msg_size=MESSAGE_BYTES_MAX, compress=False, heartbeat=COMMENT_S
    )
    if not socket.can_prepare(request):
        raise web.HTTPBadRequest
    line = await _open_line(request, hears=True)
    try:
        await audit(request, "call.listened", request.match_info["call_sid"])
        await socket.prepare(request)
        await _carry(request, socket, line)
    finally:
        await line.close()
    return socket


async def _carry(
    request: web.Request, socket: web.WebSocketResponse, line: OperatorLine
) -> None:
    beside = (
        asyncio.ensure_future(_send_audio(socket, line)),
        asyncio.ensure_future(_watch_session(request, socket)),
    )
    try:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                await line.speak(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await _obey(request, line, _orders.decode(message.data))
    except msgspec.DecodeError:
        await socket.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION)
    except DATABASE_ERRORS:
        # Nothing is done that cannot be written down.
        await socket.close(code=aiohttp.WSCloseCode.TRY_AGAIN_LATER)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)


async def _send_audio(socket: web.WebSocketResponse, line: OperatorLine) -> None:
    while pairs := await line.take():
        await socket.send_bytes(pairs)
    await socket.close()


async def _watch_session(request: web.Request, socket: web.WebSocketResponse) -> None:
    is_in = True
    with watching(request):
        while is_in:
            await asyncio.sleep(SESSION_LOOK_S)
            try:
                is_in = is_still(request)
            except Unknown:
                is_in = False
    await socket.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION)


def add_routes(app: web.Application, console: Console) -> None:
    """Add the page, where the service has calls to show."""
    if console.live is None:
        return
    app[LIVE], app[HUB] = console.live, LiveHub(console.live, console.metrics)
    get, post = app.router.add_get, app.router.add_post
    for place in ("", "/b/{business}"):
        get(f"{place}/live", show)
        get(f"{place}/live/events", events)
    call = "/b/{business}/live/{call_sid}"
    get(f"{call}/line", join)
    post(f"{call}/phone", show_phone)
    post(f"{call}/hint", hint)
    post(f"{call}/goodbye", say_goodbye)
