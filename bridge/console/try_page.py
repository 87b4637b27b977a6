"""Try it: a telephone in the browser, for a real test call through the bridge, and a
chat in writing beside it."""

import re
from time import monotonic
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from bridge.console.auditing import audit
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    VIEWER,
    Console,
    MenuItem,
    business_path,
)
from bridge.console.faults import POLICY, policy
from bridge.console.language import N_, gettext as _
from bridge.console.rate_limit import RateLimit
from bridge.console.rendering import render
from bridge.console.softphone_port import NotPlaced, SoftphonePort
from bridge.messaging.extra import PACKAGE, is_installed
from bridge.settings.addresses import is_loopback
from crm import nodes

MENU = (MenuItem(N_("Try it"), "/console/b/{business}/try"),)
PHONE = web.AppKey("softphone", SoftphonePort)
# A call costs money; nobody tries more of them by hand.
CALLS_MAX = 20
CALLS_S = 600.0
LIMIT = web.AppKey("try_limit", RateLimit)
# Nodes with a host of their own.
ORIGINS_MAX = 50
_PLACE = re.compile(r"[A-Za-z0-9.\-\[\]:]+")
KEYS = "123456789*0#"
_REASONS = {
    "limit_concurrent_calls": N_("The business has as many calls as its limit allows."),
    "limit_withheld_calls_per_hour": N_(
        "The limit of calls without a number is reached for this hour. Test calls "
        "count as such calls."
    ),
    "limit_minutes_per_day": N_("The business's minutes of today are used up."),
    "limit_cost_per_day": N_("The business's money of today is used up."),
    "draining": N_("The service is stopping. Try again in a minute."),
    "full": N_("The service has no room for another call now."),
    "too_many": N_("That were many test calls. Wait some minutes."),
}


async def show(request: web.Request) -> web.StreamResponse:
    """Show the telephone and the chat."""
    model = request.config_dict[CONSOLE].settings.openai_realtime_url
    is_real = not is_loopback(urlsplit(model).hostname or "")
    answer = await render(
        request,
        "try/try.html",
        keys=KEYS,
        is_real=is_real,
        has_phone=request.config_dict[CONSOLE].softphone is not None,
        is_answered=is_installed(PACKAGE),
    )
    answer.headers[POLICY] = policy(*await _stream_origins(request))
    return answer


async def _stream_origins(request: web.Request) -> list[str]:
    """Return where the streams of test calls may be, but for the page's own host: any
    node may open the call."""
    console = request.config_dict[CONSOLE]
    own = urlsplit(console.public_url).netloc
    places = {
        urlsplit(one.url)[:2]
        for one in await nodes.every(console.database)
        if one.url and not one.is_stale
    }
    return [
        f"{scheme.replace('http', 'ws', 1)}://{place}"
        for scheme, place in sorted(places)[:ORIGINS_MAX]
        if place != own and _PLACE.fullmatch(place)
    ]


async def place(request: web.Request) -> web.StreamResponse:
    """Open a test call; answer with what the browser needs for its stream."""
    business, viewer = request[BUSINESS], request[VIEWER]
    if not business.numbers:
        raise web.HTTPNotFound
    limit, now = request.config_dict[LIMIT], monotonic()
    if limit.is_over(viewer.login, now):
        return _refused("too_many")
    limit.fail(viewer.login, now)
    try:
        placed = await request.config_dict[PHONE].place(
            business.numbers[0], viewer.name
        )
    except NotPlaced as refused:
        return _refused(str(refused))
    await audit(request, "call.tried", placed.call_sid)
    answer = {
        "url": placed.url,
        "callSid": placed.call_sid,
        "accountSid": placed.account_sid,
        "streamSid": placed.stream_sid,
        "parameters": placed.parameters,
        "record": business_path(business.id, "calls", placed.call_sid),
    }
    return _json(answer, 201)


def _refused(reason: str) -> web.Response:
    text = _(_REASONS.get(reason, N_("The call could not be opened: see the log.")))
    return _json({"reason": reason, "text": text}, 409)


def _json(body: object, status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def add_routes(app: web.Application, console: Console) -> None:
    """Add the page, and its telephone where the service has one."""
    app.router.add_get("/b/{business}/try", show)
    if console.softphone is None:
        return
    app[PHONE] = console.softphone
    app[LIMIT] = RateLimit(CALLS_MAX, CALLS_S)
    app.router.add_post("/b/{business}/try/call", place)
