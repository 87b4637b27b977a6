"""The list of a business's conversations in writing: search, filters, live."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from bridge.console.console import (
    BUSINESS,
    CONSOLE,
    Console,
    MenuItem,
    business_path,
)
from bridge.console.language import N_, gettext
from bridge.console.message_events import add_hub, send_events
from bridge.console.message_hub import Watched
from bridge.console.message_words import STATES, author_words, is_lost, status_words
from bridge.console.paging import position_of
from bridge.console.rendering import render
from crm import conversation_pages
from crm.conversation_pages import Place, Wish

PAGE_ROWS = 50
MENU = (MenuItem(N_("Messages"), "/console/b/{business}/messages"),)
_TEXT_CHARS_MAX = 200
_FILTERS = ("words", "number", "state")


async def show(request: web.Request) -> web.StreamResponse:
    """Show a page of the list."""
    return await render(request, "messages/list.html", **await _shown(request))


async def rows(request: web.Request) -> web.StreamResponse:
    """Answer with the rows alone: something has changed."""
    return await render(request, "messages/rows.html", **await _shown(request))


async def events(request: web.Request) -> web.StreamResponse:
    """Tell when the list is no longer what the page shows."""
    return await send_events(request, Watched(request[BUSINESS].id, None))


async def lead_to(request: web.Request) -> web.StreamResponse:
    """Lead from the name of a message to its conversation."""
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    found = await conversation_pages.find_by_sid(
        database, business.id, request.match_info["sid"]
    )
    if found is None:
        raise web.HTTPNotFound
    raise web.HTTPFound(business_path(business.id, "messages", found))


async def _shown(request: web.Request) -> dict[str, Any]:
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    query = request.query
    filters = {name: _text(query, name) for name in _FILTERS}
    before = _place_of(query)
    # Before the rows: what is written in between is news.
    revision = await conversation_pages.revision_of_list(database, business.id)
    state = filters["state"] if filters["state"] in STATES else ""
    wish = Wish(words=filters["words"], number=filters["number"], state=state)
    found = await conversation_pages.listed(
        database, business.id, wish, PAGE_ROWS + 1, before
    )
    shown = found[:PAGE_ROWS]
    given = {name: value for name, value in filters.items() if value}
    return {
        "rows": shown,
        "revision": revision,
        "filters": filters,
        "query": urlencode(given),
        "older": _older(given, shown[-1].place) if len(found) > PAGE_ROWS else None,
        "is_first": before is None,
        "is_filtered": bool(given) or before is not None,
        "states": [(name, gettext(words)) for name, words in STATES.items()],
        "author_words": author_words,
        "status_words": status_words,
        "is_lost": is_lost,
    }


def _text(query: Mapping[str, str], name: str) -> str:
    return query.get(name, "").replace("\0", "")[:_TEXT_CHARS_MAX].strip()


def _place_of(query: Mapping[str, str]) -> Place | None:
    position = position_of(query.get("position", ""))
    if position is None:
        return None
    try:
        return Place(position, UUID(query.get("id", "")))
    except ValueError:
        return None


def _older(given: Mapping[str, str], place: Place) -> str:
    return "?" + urlencode({**given, "position": place.position, "id": place.id})


def add_routes(app: web.Application, console: Console) -> None:
    """Add the list."""
    add_hub(app, console)
    app.router.add_get("/b/{business}/messages", show)
    app.router.add_get("/b/{business}/messages/rows", rows)
    app.router.add_get("/b/{business}/messages/events", events)
    app.router.add_get("/b/{business}/messages/sid/{sid:[A-Za-z0-9-]{1,64}}", lead_to)
