"""The list of a business's leads, and the claims of callers who proved nothing."""

from collections.abc import Mapping, Sequence
from datetime import datetime, time
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from bridge.console.auditing import audit
from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    Console,
    MenuItem,
    business_path,
)
from bridge.console.language import N_, gettext
from bridge.console.paging import read_day, time_and_id_of, time_of
from bridge.console.rendering import render
from crm import claims, lead_care, proofs
from crm.businesses import Business
from crm.claims import Claim
from crm.lead_care import STATUSES, Lacking, Place

PAGE_ROWS = 50
CLAIMS_MAX = 20
MENU = (MenuItem(N_("Leads"), "/console/b/{business}/leads"),)
_TEXT_CHARS_MAX = 200
_STATUS_WORDS = {
    "new": N_("new"),
    "contacted": N_("contacted"),
    "booked": N_("booked"),
    "cancelled": N_("cancelled"),
    "customer": N_("customer"),
    "closed": N_("closed"),
}


def status_words(status: str) -> str:
    """Return a status in words; one of the business's own as it is named."""
    return gettext(_STATUS_WORDS[status]) if status in _STATUS_WORDS else status


async def show(request: web.Request) -> web.StreamResponse:
    """Show a page of the list."""
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    query = request.query
    filters = {name: _text(query, name) for name in ("text", "status", "lacking")}
    lacking = _lacking(business, filters)
    place = time_and_id_of(query)
    before = Place(*place) if place else None
    rows = await lead_care.listed(
        database,
        business.id,
        filters["text"],
        filters["status"],
        limit=PAGE_ROWS + 1,
        before=before,
        lacking=lacking,
    )
    shown = rows[:PAGE_ROWS]
    is_start = before is None and not any(filters.values())
    claimed = []
    if is_start:
        after = _claim_of(query)
        claimed = await claims.recent(database, business.id, CLAIMS_MAX + 1, after)
    return await render(
        request,
        "leads/list.html",
        rows=shown,
        older=_older(filters, shown[-1].place) if len(rows) > PAGE_ROWS else None,
        claims=claimed[:CLAIMS_MAX],
        older_claims=_older_claims(claimed[:CLAIMS_MAX])
        if len(claimed) > CLAIMS_MAX
        else None,
        filters=filters,
        is_start=is_start,
        lacking_since=None if lacking is None else lacking.since,
        statuses=[(name, status_words(name)) for name in STATUSES],
        status_words=status_words,
    )


async def accept(request: web.Request) -> web.StreamResponse:
    """Give a claim to the lead whose number it names; show that lead."""
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    call_sid = request.match_info["call_sid"]
    lead = await proofs.accept(database, business.id, call_sid)
    if lead is None:
        raise web.HTTPNotFound
    await audit(request, "claim.accepted", lead.id, call_sid=call_sid)
    where = business_path(business.id, "leads", lead.id)
    return web.Response(status=303, headers={"Location": where})


def _text(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "").replace("\0", "")[:_TEXT_CHARS_MAX].strip()


def _lacking(business: Business, filters: dict[str, str]) -> Lacking | None:
    """Read the day since which callers have not said all; a wrong one is dropped."""
    since = read_day(filters["lacking"])
    if since is None:
        filters["lacking"] = ""
        return None
    at = datetime.combine(since, time(), ZoneInfo(business.time_zone))
    return Lacking(at, business.required_fields)


def _older(filters: dict[str, str], place: Place) -> str:
    given = {name: value for name, value in filters.items() if value}
    return "?" + urlencode({**given, "before": place.at.isoformat(), "id": place.id})


def _claim_of(query: Mapping[str, str]) -> tuple[datetime, str] | None:
    """Return the time and the call of the claim that ended the page before."""
    at = time_of(query.get("claimed", ""))
    return None if at is None else (at, _text(query, "call"))


def _older_claims(shown: Sequence[Claim]) -> str:
    at, call_sid = shown[-1].created_at.isoformat(), shown[-1].call_sid
    return f"?{urlencode({'claimed': at, 'call': call_sid})}#claims"


def add_routes(app: web.Application, console: Console) -> None:
    """Add the list, and what is done with a claim."""
    app.router.add_get("/b/{business}/leads", show)
    app.router.add_post("/b/{business}/claims/{call_sid}/accept", accept)
