"""Who else learns of a business: endpoints of notices, tokens of the API, calendars.

A secret is shown on the page that answers its making, and never again.
"""

from functools import partial
from typing import Any
from uuid import UUID

from aiohttp import web

from bridge.console.auditing import audit
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    OPERATOR,
    OWNER,
    Console,
    MenuItem,
    business_path,
    require,
)
from bridge.console.language import N_, gettext as _
from bridge.console.paging import time_and_id_of
from bridge.console.rendering import render
from bridge.notices.targets import TargetError, allowed_hosts, check_target
from bridge.telemetry.masking import one_line
from crm import access_tokens, notices
from crm.access_tokens import API, FEED, READ, SCOPES, TooManyTokens
from crm.database import Database
from crm.notices import EMAIL, WEBHOOK, TooManyEndpoints

PAGE_ROWS = 50
NAME_CHARS_MAX = 100
MENU = (
    MenuItem(N_("Notices and API"), "/console/b/{business}/notices", (OPERATOR, OWNER)),
)
# What a type is called on the page.
TYPES = {
    "call.ended": N_("A call ended"),
    "call.failed": N_("A call failed"),
    "lead.created": N_("A new lead"),
    "appointment.booked": N_("An appointment was booked"),
    "appointment.moved": N_("An appointment was moved"),
    "appointment.cancelled": N_("An appointment was cancelled"),
    "limit.reached": N_("A limit was reached"),
    "person.wanted": N_("A writer asks for a person"),
    "test": N_("A test"),
}
STATES = {
    "waiting": N_("waiting"),
    "delivered": N_("delivered"),
    "given_up": N_("given up"),
}


def _database(request: web.Request) -> Database:
    require(request, OPERATOR, OWNER)
    return request.config_dict[CONSOLE].database


async def show(request: web.Request) -> web.StreamResponse:
    """Show endpoints, tokens and calendars."""
    return await _page(request)


async def _page(
    request: web.Request, faults: dict[str, str] | None = None
) -> web.StreamResponse:
    database, business = _database(request), request[BUSINESS]
    tokens = await access_tokens.listed(database, business.id)
    given = request.get(FORM)
    return await render(
        request,
        "notices/notices.html",
        status=422 if faults else 200,
        endpoints=await notices.endpoints(database, business.id),
        tokens=[one for one in tokens if one.kind == API],
        feeds=[one for one in tokens if one.kind == FEED],
        people={one.number: one.name for one in business.staff},
        types={name: _(TYPES[name]) for name in notices.TYPES},
        has_mail=request.config_dict[CONSOLE].settings.smtp_host is not None,
        faults=faults or {},
        given=given if given is not None else {},
        wanted=given.getall("type", []) if given is not None else notices.TYPES,
    )


# --- endpoints ---


async def add_endpoint(request: web.Request) -> web.StreamResponse:
    """Add a webhook, whose secret is shown, or an e-mail address."""
    database, business, form = _database(request), request[BUSINESS], request[FORM]
    kind = form.get("kind", "")
    if kind not in (WEBHOOK, EMAIL):
        raise web.HTTPBadRequest
    types = [name for name in form.getall("type", []) if name in notices.TYPES]
    setting = request.config_dict[CONSOLE].settings.notice_allow_hosts
    faults = {} if types else {"type": _("Choose at least one.")}
    try:
        target = check_target(kind, form.get("target", ""), allowed_hosts(setting))
    except TargetError:
        faults["target"] = _(_EXPECTED[kind])
    if faults:
        return await _page(request, faults)
    try:
        made = await notices.add(database, business.id, kind, target, types)
    except TooManyEndpoints:
        faults["target"] = _("The business has as many of them as it may have.")
        return await _page(request, faults)
    await audit(request, "notices.endpoint_added", made.endpoint.id)
    if not made.secret:
        return _back(request)
    return await _made(request, _("The webhook's secret"), made.secret)


_EXPECTED = {
    WEBHOOK: N_("Expected a public address that begins with https://."),
    EMAIL: N_("Expected one e-mail address, such as dana@example.com."),
}


async def change_endpoint(verb: str, request: web.Request) -> web.StreamResponse:
    """Remove, enable or test an endpoint."""
    database, business, one = _database(request), request[BUSINESS], _id(request)
    if verb == "remove":
        is_done = await notices.remove(database, business.id, one)
    elif verb == "enable":
        is_done = await notices.enable(database, business.id, one)
    else:
        is_done = await notices.add_test(database, business.id, one) is not None
    if not is_done:
        raise web.HTTPNotFound
    await audit(request, f"notices.endpoint_{verb}", one)
    return _back(request, "log") if verb == "test" else _back(request)


# --- the log ---


async def show_log(request: web.Request) -> web.StreamResponse:
    """Show a page of deliveries, the newest notice first."""
    database, business = _database(request), request[BUSINESS]
    before = time_and_id_of(request.query)
    found = await notices.log(database, business.id, PAGE_ROWS + 1, before=before)
    ids = list(dict.fromkeys(one.notice_id for one in found))
    rows = [one for one in found if one.notice_id in ids[:PAGE_ROWS]]
    return await render(
        request,
        "notices/log.html",
        rows=rows,
        last=rows[-1] if len(ids) > PAGE_ROWS else None,
        is_first=before is None,
        types={name: _(title) for name, title in TYPES.items()},
        states={name: _(title) for name, title in STATES.items()},
    )


async def replay(request: web.Request) -> web.StreamResponse:
    """Deliver a notice to an endpoint again."""
    database, business, one = _database(request), request[BUSINESS], _id(request)
    try:
        endpoint = UUID(request[FORM].get("endpoint", ""))
    except ValueError:
        raise web.HTTPBadRequest from None
    if not await notices.replay(database, business.id, one, endpoint):
        raise web.HTTPNotFound
    await audit(request, "notices.replayed", one)
    return _back(request, "log")


# --- tokens and calendars ---


async def add_token(kind: str, request: web.Request) -> web.StreamResponse:
    """Make a token of the API or a calendar, and show it."""
    database, business, form = _database(request), request[BUSINESS], request[FORM]
    field, name = f"{kind}-name", one_line(form.get(f"{kind}-name", "").strip())
    if not 1 <= len(name) <= NAME_CHARS_MAX:
        fault = _("Expected 1 to %(most)d characters.") % {"most": NAME_CHARS_MAX}
        return await _page(request, {field: fault})
    scopes: tuple[str, ...] = ()
    if kind == API:
        scopes = SCOPES if form.get("scope") == "write" else (READ,)
    number = _person(form.get("person", ""), {one.number for one in business.staff})
    try:
        made = await access_tokens.make(
            database, business.id, kind, name, scopes, number
        )
    except TooManyTokens:
        fault = _("The business has as many of them as it may have.")
        return await _page(request, {field: fault})
    await audit(request, f"{kind}.token_made", made.token.id)
    if kind == API:
        return await _made(request, _("The token"), made.secret)
    base = request.config_dict[CONSOLE].public_url
    url = f"{base}/feeds/{made.secret}.ics"
    return await _made(request, _("The calendar's address"), url)


def _person(text: str, known: set[int | None]) -> int | None:
    """Return the number of the person a calendar is for; None for all of them."""
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() else None
    if number not in known or number is None:
        raise web.HTTPBadRequest
    return number


async def revoke(request: web.Request) -> web.StreamResponse:
    """Revoke a token or a calendar."""
    database, business, one = _database(request), request[BUSINESS], _id(request)
    if not await access_tokens.revoke(database, business.id, one):
        raise web.HTTPNotFound
    await audit(request, "token.revoked", one)
    return _back(request)


# --- internal ---


async def _made(request: web.Request, title: str, secret: str) -> web.StreamResponse:
    return await render(request, "notices/made.html", title=title, secret=secret)


def _back(request: web.Request, *parts: Any) -> web.Response:
    path = business_path(request[BUSINESS].id, "notices", *parts)
    return web.Response(status=303, headers={"Location": path})


def _id(request: web.Request) -> UUID:
    try:
        return UUID(request.match_info["id"])
    except ValueError:
        raise web.HTTPNotFound from None


def add_routes(app: web.Application, console: Console) -> None:
    """Add the pages and their changes."""
    base = "/b/{business}/notices"
    app.router.add_get(base, show)
    app.router.add_get(f"{base}/log", show_log)
    app.router.add_post(f"{base}/log/{{id}}/replay", replay)
    app.router.add_post(f"{base}/endpoints", add_endpoint)
    for verb in ("remove", "enable", "test"):
        app.router.add_post(
            f"{base}/endpoints/{{id}}/{verb}", partial(change_endpoint, verb)
        )
    for kind in (API, FEED):
        app.router.add_post(f"{base}/{kind}", partial(add_token, kind))
    app.router.add_post(f"{base}/tokens/{{id}}/revoke", revoke)
