"""The pre-deployment report: one call with all that came of it, and every check.

It is a page in the browser, and a PDF that the service makes.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from aiohttp import web

from bridge.console.auditing import audit
from bridge.console.call_words import role_words
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
from bridge.console.leads_page import status_words
from bridge.console.printing import PrintError, Printing, TooBusy
from bridge.console.rendering import render
from bridge.console.report import Line, Tried, lines_of
from bridge.console.report_paper import Log, paper_of
from crm import calls, health, pages
from crm.businesses import Business
from crm.database import Database

CALL_SID_CHARS_MAX = 64
MENU = (MenuItem(N_("Report"), "/console/b/{business}/report", (OPERATOR, OWNER)),)


PRINTING = web.AppKey("printing", Printing)


class Report(NamedTuple):
    """What the report says; `tried` is None where there is no call yet."""

    now: datetime
    tried: Tried | None
    log: Log
    lines: list[Line]


async def show(request: web.Request) -> web.StreamResponse:
    """Show the report on a call; without a choice, on the newest test call."""
    report = await _report(request, "report.seen")
    return await render(
        request,
        "report/report.html",
        role_words=role_words,
        status_words=status_words,
        **report._asdict(),
    )


async def download(request: web.Request) -> web.StreamResponse:
    """Send the report as a PDF."""
    report, business = await _report(request, "report.downloaded"), request[BUSINESS]
    currency = request.config_dict[CONSOLE].settings.openai_prices_currency
    paper = paper_of(business, *report, currency)
    try:
        made = await request.config_dict[PRINTING].pdf_of(paper)
    except TooBusy:
        raise web.HTTPTooManyRequests from None
    except PrintError:
        raise web.HTTPInternalServerError from None
    name = report.tried.row["call_sid"] if report.tried is not None else "business"
    return web.Response(
        body=made,
        content_type="application/pdf",
        headers={
            "Cache-Control": "private, no-store",
            "Content-Disposition": f'attachment; filename="report-{name}.pdf"',
        },
    )


async def _report(request: web.Request, action: str) -> Report:
    viewer = require(request, OPERATOR, OWNER)
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    call_sid = request.query.get("call")
    if call_sid is None:
        call_sid = await pages.newest_call(database, business.id)
    tried = None if call_sid is None else await _tried(database, business, call_sid)
    if tried is not None:
        await audit(request, action, call_sid)
    checks = await health.checks(database)
    return Report(
        datetime.now(UTC),
        tried,
        [] if tried is None else calls.in_order(tried.turns, tried.tools),
        lines_of(business, tried, checks, is_operator=viewer.is_operator),
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


def add_routes(app: web.Application, console: Console) -> None:
    """Add the report."""
    app[PRINTING] = Printing()
    app.router.add_get("/b/{business}/report.pdf", download)
    app.router.add_get("/b/{business}/report", show)
