"""The login by an OpenID Connect provider, where the settings name one.

The provider's verified e-mail address is the login name of an account that exists
already. A second factor is the provider's own.
"""

import hmac
from http import HTTPStatus
from time import monotonic, time

from aiohttp import web

from bridge.console.console import ROOT, Console
from bridge.console.login_page import (
    ADDRESS_FAILURES_MAX,
    FAILURES_S,
    open_session,
    own_path,
    set_cookie,
)
from bridge.console.oidc import Attempt, OidcError, Provider, new_attempt
from bridge.console.rate_limit import RateLimit
from bridge.console.rendering import render
from bridge.telemetry.log import server_logger
from bridge.wire.client import address_of, counted_as
from crm import accounts

BACK = f"{ROOT}/oidc/back"
# The three secrets of an attempt and the page that was asked for, with bars between.
ATTEMPT_COOKIE = "kolbridge_oidc"
ATTEMPT_S = 600


class OidcPage:
    """The way to the provider, and back."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._provider = Provider(console.settings, console.public_url + BACK)
        self._by_address = RateLimit(ADDRESS_FAILURES_MAX, FAILURES_S)

    async def start(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the provider."""
        self._check_rate(request)
        attempt = new_attempt()
        try:
            where = await self._provider.url_of(attempt)
        except OidcError as error:
            return await self._refuse(request, error)
        response = web.Response(status=303, headers={"Location": where})
        kept = "|".join((*attempt, own_path(request.query.get("next", ""))))
        set_cookie(self._console, response, ATTEMPT_COOKIE, kept, ATTEMPT_S)
        return response

    async def back(self, request: web.Request) -> web.StreamResponse:
        """Open a session for whom the provider names."""
        self._check_rate(request)
        cookie = request.cookies.get(ATTEMPT_COOKIE, "")
        kept = cookie.split("|")
        # A header may have any bytes; what was set here is ASCII.
        if len(kept) != len(Attempt._fields) + 1 or not cookie.isascii():
            return await self._refuse(request, OidcError("no login was begun here"))
        attempt, where = Attempt(*kept[:-1]), own_path(kept[-1])
        try:
            given = request.query.get("state", "").encode()
            if not hmac.compare_digest(given, attempt.state.encode()):
                raise OidcError("state is another")
            code = request.query.get("code", "")
            if not code:
                raise OidcError(request.query.get("error", "no code")[:100])
            email = await self._provider.email_of(code, attempt, time())
        except OidcError as error:
            return await self._refuse(request, error)
        user = await accounts.find(self._console.database, email)
        if user is None or user.disabled_at is not None:
            return await self._refuse(request, OidcError("no such account"))
        response = await open_session(self._console, request, user, where)
        response.del_cookie(ATTEMPT_COOKIE, path=ROOT)
        return response

    def _check_rate(self, request: web.Request) -> None:
        if self._by_address.is_over(counted_as(address_of(request)), monotonic()):
            raise web.HTTPTooManyRequests

    async def _refuse(
        self, request: web.Request, error: OidcError
    ) -> web.StreamResponse:
        self._by_address.fail(counted_as(address_of(request)), monotonic())
        self._console.metrics.count("console_logins", outcome="refused")
        server_logger().warning("console: the provider's login failed: %s", error)
        return await render(
            request, "login/provider.html", status=HTTPStatus.UNAUTHORIZED
        )


def add_routes(app: web.Application, console: Console) -> None:
    """Add the two pages: the settings name a provider."""
    page = OidcPage(console)
    app.router.add_get("/oidc", page.start)
    app.router.add_get("/oidc/back", page.back)
