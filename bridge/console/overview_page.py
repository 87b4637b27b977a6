"""A business's first page: today's calls, messages and appointments, and what waits."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from bridge.console.call_words import outcome_words
from bridge.console.console import BUSINESS, CONSOLE, Console, MenuItem, business_path
from bridge.console.language import N_
from bridge.console.rendering import render
from crm import calls, conversation_pages, overview

MENU = (MenuItem(N_("Overview"), "/console/b/{business}/"),)

HELD_SHOWN = 5
# What waits is of today and of the days before it.
_WAITING = timedelta(days=7)


async def show(request: web.Request) -> web.StreamResponse:
    """Show the day as it is in the business's zone."""
    business, database = request[BUSINESS], request.config_dict[CONSOLE].database
    today = datetime.now(UTC).astimezone(ZoneInfo(business.time_zone)).date()
    zone, since = business.time_zone, today - _WAITING + timedelta(days=1)
    asked = business.required_fields
    rung, booked, figures, waiting, totals, written, held = await asyncio.gather(
        overview.calls(database, business.id, today, zone),
        overview.appointments(database, business.id, today, zone),
        overview.figures(database, business.id, today, zone),
        overview.waiting(database, business.id, asked, since, zone),
        calls.summary(database, business.id, today, today),
        conversation_pages.written_on(database, business.id, today, zone),
        conversation_pages.waiting(database, business.id, HELD_SHOWN + 1),
    )
    cost = totals["cost"] + figures.written_cost
    return await render(
        request,
        "overview/day.html",
        today=today,
        since=since,
        figures=figures,
        # Calls of models without a price do not cost nothing.
        cost=cost or (None if totals["uncosted"] else cost),
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
