"""The operator's list of businesses."""

from aiohttp import web

from bridge.console.console import CONSOLE, OPERATOR, ROOT, VIEWER, Console, MenuItem
from bridge.console.language import N_
from bridge.console.rendering import render
from crm import accounts

PAGE_ROWS = 50
MENU = (MenuItem(N_("Businesses"), f"{ROOT}/businesses", (OPERATOR,)),)


async def show(request: web.Request) -> web.StreamResponse:
    """Show a page of the list; to others than operators there is no such page."""
    viewer = request[VIEWER]
    if not viewer.is_operator:
        raise web.HTTPNotFound
    after = (request.query.get("after", ""), request.query.get("id", ""))
    found = await accounts.businesses_of(
        request.config_dict[CONSOLE].database, viewer.user_id, after, PAGE_ROWS + 1
    )
    rows = found[:PAGE_ROWS]
    last = rows[-1] if len(found) > PAGE_ROWS else None
    return await render(
        request, "businesses/list.html", rows=rows, last=last, is_first=not after[0]
    )


def add_routes(app: web.Application, console: Console) -> None:
    """Add the list."""
    app.router.add_get("/businesses", show)
