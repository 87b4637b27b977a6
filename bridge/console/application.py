"""The console as an application of its own, below /console/ on the service's port.

Its middlewares are not those of Twilio's webhooks. A page is a module with
`add_routes(app, console)` and, if it stands in the navigation, a MENU.
"""

from aiohttp import web

from bridge.console import (
    account_page,
    assistant_page,
    audit_page,
    businesses_page,
    calendar_page,
    call_page,
    calls_page,
    conversation_page,
    health_page,
    lead_page,
    leads_page,
    live_page,
    login_page,
    messages_page,
    notices_page,
    overview_page,
    person_page,
    report_page,
    services_page,
    share_page,
    try_chat,
    try_page,
    users_page,
)
from bridge.console.console import CONSOLE, Console
from bridge.console.faults import add_headers, answer_faults
from bridge.console.gatekeeper import Gatekeeper
from bridge.console.passwords import PASSWORDS, PasswordCheck
from bridge.console.rendering import PAGES as RENDERED, Pages
from bridge.console.session_watch import WATCH, SessionWatch
from bridge.console.static_files import StaticFiles

# In the order of the navigation.
PAGES = (
    login_page,
    businesses_page,
    health_page,
    overview_page,
    live_page,
    calls_page,
    call_page,
    share_page,
    messages_page,
    conversation_page,
    leads_page,
    lead_page,
    calendar_page,
    services_page,
    person_page,
    assistant_page,
    notices_page,
    report_page,
    try_page,
    try_chat,
    users_page,
    audit_page,
    account_page,
)


def console_application(console: Console) -> web.Application:
    """Return the console, to be added at ROOT."""
    static, gatekeeper = StaticFiles(), Gatekeeper(console)
    app = web.Application(
        middlewares=[answer_faults, gatekeeper.recognise, gatekeeper.admit]
    )
    app[CONSOLE], app[WATCH] = console, SessionWatch(console.database, console.metrics)
    # All pages of this process check their passwords one after the other.
    app[PASSWORDS] = PasswordCheck()
    menu = tuple(item for page in PAGES for item in getattr(page, "MENU", ()))
    app[RENDERED] = Pages(static, menu)
    app.on_response_prepare.append(add_headers)
    app.router.add_get("/static/{hash}/{name:.+}", static.answer)
    for page in PAGES:
        page.add_routes(app, console)
    if console.settings.oidc_issuer is not None:
        from bridge.console import oidc_page

        oidc_page.add_routes(app, console)
    app.router.add_route("*", "/{rest:.*}", _nowhere)
    for route in app.router.routes():
        # "100 Continue" would make the body look like a request of its own.
        route._expect_handler = _refuse_expectation
    return app


async def _nowhere(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


async def _refuse_expectation(request: web.Request) -> web.StreamResponse:
    response = web.Response(status=417)
    response.force_close()
    return response
