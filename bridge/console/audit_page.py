"""Who saw or changed what in a business: for its owner and the operator."""

from aiohttp import web

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
from bridge.console.paging import time_and_id_of
from bridge.console.rendering import render
from crm import audit
from crm.audit import Place

PAGE_ROWS = 50
MENU = (MenuItem(N_("Audit log"), "/console/b/{business}/audit", (OPERATOR, OWNER)),)


async def show(request: web.Request) -> web.StreamResponse:
    """Show a page of the log, the newest first."""
    require(request, OPERATOR, OWNER)
    database, business = request.config_dict[CONSOLE].database, request[BUSINESS]
    place = time_and_id_of(request.query)
    before = Place(*place) if place else None
    found = await audit.recent(database, business.id, PAGE_ROWS + 1, before)
    rows = found[:PAGE_ROWS]
    last = rows[-1] if len(found) > PAGE_ROWS else None
    return await render(
        request, "audit/list.html", rows=rows, last=last, is_first=before is None
    )


def add_routes(app: web.Application, console: Console) -> None:
    """Add the log."""
    app.router.add_get("/b/{business}/audit", show)
