"""The pre-deployment report: one call with all that came of it, and every check.

It is one page, to be printed or kept as a PDF by the browser.
"""

from datetime import UTC, datetime

from aiohttp import web

from bridge.console.auditing import audit
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    OPERATOR,
    OWNER,
    Console,
    MenuItem,
    require,
)
from bridge.console.language import N_
from bridge.console.rendering import render
from bridge.console.report import Tried, lines_of
from crm import calls, health, pages
from crm.businesses import Business
from crm.calls import ToolCall, Turn
from crm.database import Database

CALL_SID_CHARS_MAX = 64
MENU = (MenuItem(N_("Report"), "/console/b/{business}/report", (OPERATOR, OWNER)),)


async def show(request: web.Request) -> web.StreamResponse:
    """Show the report on a call; without a choice, on the newest test call."""
    viewer = require(request, OPERATOR, OWNER)
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    call_sid = request.query.get("call")
    if call_sid is None:
        call_sid = await pages.newest_call(database, business.id)
    tried = None if call_sid is None else await _tried(database, business, call_sid)
    if tried is not None:
        await audit(request, "report.seen", call_sid)
    checks = await health.checks(database)
    return await render(
        request,
        "report/report.html",
        now=datetime.now(UTC),
        tried=tried,
        log=[] if tried is None else _log_of(tried),
        lines=lines_of(business, tried, checks, is_operator=viewer.is_operator),
    )


async def _tried(database: Database, business: Business, call_sid: str) -> Tried:
    is_id = call_sid.isalnum() and len(call_sid) <= CALL_SID_CHARS_MAX
    row = await calls.find(database, business.id, call_sid) if is_id else None
    if row is None:
        raise web.HTTPNotFound
    lead = None
    if row["lead_id"] is not None:
        lead = await pages.lead(database, business.id, row["lead_id"])
    return Tried(
        row,
        await calls.turns(database, business.id, call_sid),
        await calls.tools(database, business.id, call_sid),
        lead,
        await pages.appointments_of_call(database, business.id, call_sid),
    )


def _log_of(tried: Tried) -> list[tuple[float, Turn | None, ToolCall | None]]:
    """Return turns and tools in the order of the call."""
    log: list[tuple[float, Turn | None, ToolCall | None]] = [
        (one.at_s, one, None) for one in tried.turns
    ]
    log += [(one.at_s, None, one) for one in tried.tools]
    return sorted(log, key=lambda one: one[0])


def add_routes(app: web.Application, console: Console) -> None:
    """Add the report."""
    app.router.add_get("/b/{business}/report", show)
