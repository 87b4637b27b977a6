"""A business's first page: today's calls, messages and appointments, and what waits."""

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from aiohttp import web

from bridge.console.call_words import outcome_words
from bridge.console.console import BUSINESS, CONSOLE, Console, MenuItem, business_path
from bridge.console.language import N_
from bridge.console.rendering import render
from crm import calls, conversation_pages, overview

MENU = (MenuItem(N_("Overview"), "/console/b/{business}/"),)

HELD_SHOWN = 5


async def show(request: web.Request) -> web.StreamResponse:
    """Show the day as it is in the business's zone."""
    business, database = request[BUSINESS], request.config_dict[CONSOLE].database
    today = datetime.now(UTC).astimezone(ZoneInfo(business.time_zone)).date()
    zone = business.time_zone
    rung, booked, waiting, totals, written, held = await asyncio.gather(
        overview.calls(database, business.id, today, zone),
        overview.appointments(database, business.id, today, zone),
        overview.waiting(database, business.id, business.required_fields),
        calls.summary(database, business.id, today, today),
        conversation_pages.written_on(database, business.id, today, zone),
        conversation_pages.waiting(database, business.id, HELD_SHOWN + 1),
    )
    return await render(
        request,
        "overview/day.html",
        today=today,
        calls=rung,
        appointments=booked,
        waiting=waiting,
        totals=totals,
        written=written,
        held=held[:HELD_SHOWN],
        has_more_held=len(held) > HELD_SHOWN,
        outcome_words=outcome_words,
    )


async def lead_to_page(request: web.Request) -> web.StreamResponse:
    """Lead an address without its last slash to the page."""
    raise web.HTTPFound(business_path(request[BUSINESS].id, ""))


def add_routes(app: web.Application, console: Console) -> None:
    """Add the page."""
    app.router.add_get("/b/{business}/", show)
    app.router.add_get("/b/{business}", lead_to_page)
