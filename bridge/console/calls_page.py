"""The list of a business's calls: search in words, filters, and export."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from bridge.console import csv_export
from bridge.console.auditing import audit
from bridge.console.call_words import OUTCOMES, outcome_words
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    OPERATOR,
    OWNER,
    Console,
    MenuItem,
    require,
)
from bridge.console.language import N_, gettext as _
from bridge.console.paging import read_day, time_of
from bridge.console.rendering import render
from crm import call_search
from crm.call_search import Place, Wish

PAGE_ROWS = 50
# More than a spreadsheet is looked through by hand; days narrow it down.
EXPORT_ROWS_MAX = 50_000
MENU = (MenuItem(N_("Calls"), "/console/b/{business}/calls"),)
_TEXT_CHARS_MAX = 200


async def show(request: web.Request) -> web.StreamResponse:
    """Show a page of the list; a wrong day names its field."""
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    query, faults = request.query, dict[str, str]()
    wish = wish_of(query, faults)
    before = _place_of(query)
    rows = []
    if not faults:
        rows = await call_search.search(
            database, business.id, wish, PAGE_ROWS + 1, before
        )
    shown = rows[:PAGE_ROWS]
    filters = {name: query.get(name, "") for name in _FILTERS}
    return await render(
        request,
        "calls/list.html",
        status=422 if faults else 200,
        rows=shown,
        older=_older(filters, shown[-1].place) if len(rows) > PAGE_ROWS else None,
        filters=filters,
        faults=faults,
        is_filtered=any(filters.values()) or before is not None,
        outcomes=[(name, outcome_words(name)) for name in OUTCOMES],
        outcome_words=outcome_words,
        export=f"calls.csv?{urlencode(filters)}",
    )


async def export(request: web.Request) -> web.StreamResponse:
    """Send the calls that fit the filters as CSV; the export is written down."""
    require(request, OPERATOR, OWNER)
    faults: dict[str, str] = {}
    wish = wish_of(request.query, faults)
    if faults:
        raise web.HTTPBadRequest
    await audit(request, "calls.exported")
    head = [
        *(_("Call"), _("Time"), _("Number"), _("Name"), _("Outcome")),
        *(_("End"), _("Seconds"), _("Cost")),
    ]
    zone = ZoneInfo(request[BUSINESS].time_zone)
    day = datetime.now(zone).date().isoformat()
    return await csv_export.answer(
        request, f"calls-{day}.csv", head, _csv_rows(request, wish)
    )


async def _csv_rows(
    request: web.Request, wish: Wish
) -> AsyncIterator[Sequence[object]]:
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    zone = ZoneInfo(business.time_zone)
    async for row in call_search.every(database, business.id, wish, EXPORT_ROWS_MAX):
        yield (
            row.call_sid,
            row.started_at.astimezone(zone).isoformat(timespec="seconds"),
            row.from_number,
            row.name,
            outcome_words(row.outcome),
            row.end_reason,
            round(row.seconds),
            row.cost,
        )


_FILTERS = ("words", "outcome", "number", "first", "last")


def wish_of(query: Mapping[str, str], faults: dict[str, str]) -> Wish:
    """Read the filters of a list of calls; a wrong one is put into `faults`."""
    return Wish(
        words=_text(query, "words"),
        outcome=_text(query, "outcome"),
        number=_text(query, "number"),
        first_day=_day(query, "first", faults),
        last_day=_day(query, "last", faults),
    )


def _text(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "").replace("\0", "")[:_TEXT_CHARS_MAX].strip()


def _day(query: Mapping[str, str], name: str, faults: dict[str, str]) -> date | None:
    text = query.get(name, "").strip()
    if not text:
        return None
    day = read_day(text)
    if day is None:
        faults[name] = _("This is not a day.")
    return day


def _place_of(query: Mapping[str, str]) -> Place | None:
    at = time_of(query.get("before", ""))
    return None if at is None else Place(at, _text(query, "call"))


def _older(filters: dict[str, str], place: Place) -> str:
    given = {name: value for name, value in filters.items() if value}
    return "?" + urlencode(
        {**given, "before": place.started_at.isoformat(), "call": place.call_sid}
    )


def add_routes(app: web.Application, console: Console) -> None:
    """Add the list and its export."""
    app.router.add_get("/b/{business}/calls", show)
    app.router.add_get("/b/{business}/calls.csv", export)
