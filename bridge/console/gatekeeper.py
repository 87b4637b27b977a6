"""Gatekeeper: who is logged in, and what a request may reach, before any page sees it.

Without a session's cookie a request costs no query and no template but the login's.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from urllib.parse import quote
from uuid import UUID

from aiohttp import web
from multidict import MultiDict

from bridge.console import language
from bridge.console.console import (
    BUSINESS,
    CSRF,
    FORM,
    ROOT,
    TOKEN,
    VIEWER,
    Console,
    Viewer,
)
from bridge.console.forms import (
    BYTES_MAX,
    BYTES_MAX_UNKNOWN,
    csrf_of,
    has_token,
    is_from_here,
    read_form,
)
from bridge.console.rate_limit import RateLimit
from bridge.wire.client import address_of, counted_as
from crm import accounts, businesses
from crm.businesses import Business

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SESSION_COOKIE = "kolbridge_session"
LANGUAGE_COOKIE = "kolbridge_language"
# What is served to whoever asks.
_OPEN = (
    *(f"{ROOT}/login", f"{ROOT}/oidc", f"{ROOT}/language", f"{ROOT}/static/"),
    # A call that its owner shares: the link itself opens it.
    f"{ROOT}/shared/",
)
_SAFE_METHODS = ("GET", "HEAD")
# Cookies that open nothing, from one address: each costs a query.
_STRANGE_COOKIES_MAX = 30
_STRANGE_COOKIES_S = 60.0
TOKEN_CHARS_MAX = 128
_KNOWN_MAX = 1_000


class Gatekeeper:
    """The middlewares that stand before the pages."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._strange = RateLimit(_STRANGE_COOKIES_MAX, _STRANGE_COOKIES_S)
        # The tokens that opened a session last. Behind a proxy that does not name its
        # clients, strangers have the address of everybody else.
        self._known: OrderedDict[str, None] = OrderedDict()

    @web.middleware
    async def recognise(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Put the viewer into the request, and choose the language."""
        language.use(_language_of(request, None))
        if not request.path.startswith(f"{ROOT}/static/"):
            viewer = await self.viewer_of(request)
            if viewer is not None:
                request[VIEWER] = viewer
                request[CSRF] = csrf_of(request[TOKEN])
                language.use(_language_of(request, viewer))
        return await handler(request)

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a request pass to its page, or turn it away."""
        is_open = request.path.startswith(_OPEN)
        viewer = request.get(VIEWER)
        if viewer is None and not is_open:
            return _to_login(request)
        if request.method not in _SAFE_METHODS:
            await self._check_form(request)
        if "business" in request.match_info:
            request[BUSINESS] = await self._business_of(request)
        return await handler(request)

    async def viewer_of(self, request: web.Request) -> Viewer | None:
        """Return who is logged in."""
        token = request.cookies.get(SESSION_COOKIE, "")
        if not token or len(token) > TOKEN_CHARS_MAX:
            return None
        client = counted_as(address_of(request))
        if token not in self._known and self._strange.is_over(client, monotonic()):
            return None
        user = await accounts.user_of_session(self._console.database, token)
        if user is None:
            self._strange.fail(client, monotonic())
            self._known.pop(token, None)
            return None
        self._known[token] = None
        self._known.move_to_end(token)
        if len(self._known) > _KNOWN_MAX:
            self._known.popitem(last=False)
        request[TOKEN] = token
        return Viewer(
            user.id, user.login, user.name, user.role, user.business_id, user.language
        )

    async def _check_form(self, request: web.Request) -> None:
        """Read the form; raise HTTPForbidden if no page of the console sent it."""
        is_known = VIEWER in request
        if not is_from_here(request, self._console.public_url):
            self._refuse("other_site")
        form: MultiDict[str] = await read_form(
            request, BYTES_MAX if is_known else BYTES_MAX_UNKNOWN
        )
        if is_known and not has_token(request, form, request[CSRF]):
            self._refuse("csrf")
        request[FORM] = form

    def _refuse(self, reason: str) -> None:
        self._console.metrics.count("console_refused", reason=reason)
        raise web.HTTPForbidden

    async def _business_of(self, request: web.Request) -> Business:
        """Return the business of the path; a foreign one is as one that is not."""
        try:
            business_id = UUID(request.match_info["business"])
        except ValueError:
            raise web.HTTPNotFound from None
        if not request[VIEWER].may_see(business_id):
            self._console.metrics.count("console_refused", reason="other_business")
            raise web.HTTPNotFound
        business = await businesses.get(self._console.database, business_id)
        if business is None:
            raise web.HTTPNotFound
        return business


def _language_of(request: web.Request, viewer: Viewer | None) -> str:
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if viewer is not None and viewer.language in language.LANGUAGES:
        return str(viewer.language)
    if chosen in language.LANGUAGES:
        return chosen
    return language.accepted(request.headers.get("Accept-Language", ""))


def _to_login(request: web.Request) -> web.StreamResponse:
    """Send a browser to the login; tell a script that it is logged out."""
    where = f"{ROOT}/login"
    accepted = request.headers.get("Accept", "text/html")
    is_page = "text/html" in accepted and "HX-Request" not in request.headers
    if request.method not in _SAFE_METHODS or not is_page:
        return web.Response(status=401, text="401: not logged in")
    if request.path != f"{ROOT}/":
        where += f"?next={quote(request.path_qs, safe='')}"
    return web.Response(status=303, headers={"Location": where})
