"""A call by a link: made by the owner, read by somebody without an account.

The shared page has what was said, without whole numbers, and the sound if whoever made
the link wanted that. It has no arguments of tools and no prompt.
"""

from time import monotonic
from uuid import UUID

from aiohttp import web

from bridge.console.auditing import audit
from bridge.console.call_page import (
    TIMELINES,
    id_of,
    is_beginning,
    page,
    row_of,
    sound_of,
)
from bridge.console.call_words import outcome_words, role_words
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
from bridge.wire.client import address_of, counted_as
from crm import audit as audit_log, businesses, call_shares, calls
from crm.call_shares import Share

SHARED = f"{ROOT}/shared/"
# Tokens that open nothing, by one client: each costs a query.
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
    with_sound = "sound" in request[FORM]
    token = await call_shares.make(
        database, business.id, sid, viewer.name, int(days), with_sound=with_sound
    )
    if token is None:
        fault = _("The call has too many links. Revoke one first.")
        return await page(request, faults={"days": fault})
    await audit(request, "call.shared", sid, days=int(days), with_sound=with_sound)
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
    database, share = request.config_dict[CONSOLE].database, await _share_of(request)
    row = await calls.find(database, share.business_id, share.call_sid)
    business = await businesses.get(database, share.business_id)
    if business is None or row is None:
        raise web.HTTPNotFound
    sid = share.call_sid
    await _audit(request, share, "call.shared_seen")
    # What the model was told of the call is for the business alone.
    turns = [
        turn
        for turn in await calls.turns(database, business.id, sid)
        if turn.role != "told"
    ]
    tools = await calls.tools(database, business.id, sid)
    files = await request.config_dict[TIMELINES].files(id_of(row))
    return await render(
        request,
        "call/shared.html",
        business=business,
        call=row,
        share=share,
        role_words=role_words,
        said=calls.in_order(turns, tools),
        hide=clean,
        has_sound=share.with_sound and bool(files.parts),
        outcome=outcome_words(row["outcome"]),
        seconds=(row["ended_at"] - row["started_at"]).total_seconds(),
    )


async def sound(request: web.Request) -> web.StreamResponse:
    """Send the sound of the shared call, if the link has it."""
    share = await _share_of(request)
    database = request.config_dict[CONSOLE].database
    row = await calls.find(database, share.business_id, share.call_sid)
    if not share.with_sound or row is None:
        raise web.HTTPNotFound
    answer = await sound_of(request, id_of(row))
    if is_beginning(request):
        await _audit(request, share, "call.shared_heard")
    return answer


async def _share_of(request: web.Request) -> Share:
    """Return the link of the path; raises HTTPNotFound for one that has ended."""
    strange = request.config_dict[_STRANGE]
    client = counted_as(address_of(request))
    if strange.is_over(client, monotonic()):
        raise web.HTTPTooManyRequests
    database = request.config_dict[CONSOLE].database
    share = await call_shares.find(database, request.match_info["token"])
    if share is None:
        strange.fail(client, monotonic())
        raise web.HTTPNotFound
    return share


async def _audit(request: web.Request, share: Share, action: str) -> None:
    viewer, database = request.get(VIEWER), request.config_dict[CONSOLE].database
    name = viewer.name if viewer else "link"
    user_id = viewer.user_id if viewer else None
    await audit_log.write(
        database, share.business_id, user_id, name, action, share.call_sid
    )


def add_routes(app: web.Application, console: Console) -> None:
    """Add what makes a link and ends it, and the shared page."""
    app[_STRANGE] = RateLimit(_STRANGE_MAX, _STRANGE_S)
    call = "/b/{business}/calls/{call_sid:[A-Za-z0-9]+}"
    app.router.add_post(f"{call}/share", make)
    app.router.add_post(call + "/share/{share}/revoke", revoke)
    app.router.add_get("/shared/{token}", show)
    app.router.add_get("/shared/{token}/call.wav", sound)
