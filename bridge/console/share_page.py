"""A call by a link: made by the owner, read by somebody without an account.

The shared page has what was said, without whole numbers. It has no sound, no arguments
of tools and no prompt.
"""

from time import monotonic
from uuid import UUID

from aiohttp import web

from bridge.console.auditing import audit
from bridge.console.call_page import in_order, page, role_words, row_of
from bridge.console.call_words import outcome_words
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    FORM,
    OPERATOR,
    OWNER,
    ROOT,
    VIEWER,
    Console,
    business_path,
    require,
)
from bridge.console.language import gettext as _
from bridge.console.rate_limit import RateLimit
from bridge.console.rendering import render
from bridge.telemetry.masking import clean
from crm import audit as audit_log, businesses, call_shares, calls

SHARED = f"{ROOT}/shared/"
# Tokens that open nothing, by anybody: each costs a query.
_STRANGE_MAX = 60
_STRANGE_S = 60.0
_STRANGE = web.AppKey("strange_shares", RateLimit)


async def make(request: web.Request) -> web.StreamResponse:
    """Make a link, and show it once."""
    viewer = require(request, OPERATOR, OWNER)
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    sid = (await row_of(request))["call_sid"]
    days = request[FORM].get("days", "")
    is_day = days.isascii() and days.isdecimal() and len(days) <= 2
    if not is_day or not 1 <= int(days) <= call_shares.DAYS_MAX:
        return await page(request, faults={"days": _("Choose 1 to 30 days.")})
    token = await call_shares.make(database, business.id, sid, viewer.name, int(days))
    if token is None:
        fault = _("The call has too many links. Revoke one first.")
        return await page(request, faults={"days": fault})
    await audit(request, "call.shared", sid, days=int(days))
    public = request.config_dict[CONSOLE].public_url
    return await page(request, shared_url=f"{public}{SHARED}{token}")


async def revoke(request: web.Request) -> web.StreamResponse:
    """End a link now."""
    require(request, OPERATOR, OWNER)
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    sid = request.match_info["call_sid"]
    try:
        share_id = UUID(request.match_info["share"])
    except ValueError:
        raise web.HTTPNotFound from None
    if not await call_shares.revoke(database, business.id, sid, share_id):
        raise web.HTTPNotFound
    await audit(request, "call.share_revoked", sid)
    raise web.HTTPSeeOther(f"{business_path(business.id, 'calls', sid)}#share-title")


async def show(request: web.Request) -> web.StreamResponse:
    """Show a shared call to whoever has the link."""
    database = request.config_dict[CONSOLE].database
    strange = request.config_dict[_STRANGE]
    if strange.is_over("", monotonic()):
        raise web.HTTPTooManyRequests
    share = await call_shares.find(database, request.match_info["token"])
    if share is None:
        strange.fail("", monotonic())
        raise web.HTTPNotFound
    row = await calls.find(database, share.business_id, share.call_sid)
    business = await businesses.get(database, share.business_id)
    if business is None or row is None:
        raise web.HTTPNotFound
    viewer = request.get(VIEWER)
    name = viewer.name if viewer else "link"
    user_id = viewer.user_id if viewer else None
    sid = share.call_sid
    await audit_log.write(database, business.id, user_id, name, "call.shared_seen", sid)
    turns = await calls.turns(database, business.id, sid)
    tools = await calls.tools(database, business.id, sid)
    return await render(
        request,
        "call/shared.html",
        business=business,
        call=row,
        share=share,
        role_words=role_words,
        said=in_order(turns, tools),
        hide=clean,
        outcome=outcome_words(row["outcome"]),
        seconds=(row["ended_at"] - row["started_at"]).total_seconds(),
    )


def add_routes(app: web.Application, console: Console) -> None:
    """Add what makes a link and ends it, and the shared page."""
    app[_STRANGE] = RateLimit(_STRANGE_MAX, _STRANGE_S)
    call = "/b/{business}/calls/{call_sid:[A-Za-z0-9]+}"
    app.router.add_post(f"{call}/share", make)
    app.router.add_post(call + "/share/{share}/revoke", revoke)
    app.router.add_get("/shared/{token}", show)
