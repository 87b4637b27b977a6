"""The login: with a password and perhaps a code, or with a link that opens once."""

import secrets
from http import HTTPStatus
from time import monotonic, time
from urllib.parse import urlsplit

from aiohttp import web

from bridge.console import known_browser, language, totp
from bridge.console.console import (
    FORM,
    ROOT,
    TOKEN,
    VIEWER,
    Console,
    business_path,
)
from bridge.console.gatekeeper import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    TOKEN_CHARS_MAX,
)
from bridge.console.language import gettext as _
from bridge.console.passwords import PASSWORDS, Busy, PasswordCheck
from bridge.console.rate_limit import RateLimit
from bridge.console.rendering import render
from bridge.telemetry.log import server_logger
from bridge.wire.client import address_of, counted_as
from crm import accounts
from crm.accounts import LOGIN_CHARS_MAX, User

# A person mistypes a password a few times; a program tries thousands. Many people may
# have one address: those of an office, or those behind a proxy that names nobody.
FAILURES_MAX = 10
ADDRESS_FAILURES_MAX = 50
FAILURES_S = 900.0
_LANGUAGE_S = 365 * 86_400


class LoginPage:
    """The pages that stand open, with the counts of failed tries."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._by_address = RateLimit(ADDRESS_FAILURES_MAX, FAILURES_S)
        self._by_account = RateLimit(FAILURES_MAX, FAILURES_S)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show the form, or go on if somebody is logged in."""
        if VIEWER in request:
            return web.Response(status=303, headers={"Location": f"{ROOT}/"})
        return await self._form(request)

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Check name, password and code, and open a session."""
        form, address = request[FORM], address_of(request)
        login = accounts.same_login(form.get("login", ""))[:LOGIN_CHARS_MAX]
        account, keys = await self._keys(request, login)
        if any(limit.is_over(key, monotonic()) for limit, key in keys):
            return self._refuse("too_many")
        try:
            passwords = request.config_dict[PASSWORDS]
            user = await self._user_of(passwords, login, form.get("password", ""))
        except Busy:
            return self._refuse("busy")
        is_right = user is not None and await self._has_code(user, form.get("code", ""))
        if user is None or not is_right:
            for limit, key in keys:
                limit.fail(key, monotonic())
            await self._note_refusal(user, login, address)
            return await self._form(request, HTTPStatus.UNAUTHORIZED, login)
        self._by_account.forgive(account)
        where = own_path(request[FORM].get("next", ""))
        return await open_session(self._console, request, user, where)

    async def show_link(self, request: web.Request) -> web.StreamResponse:
        """Show whose account a link opens; programs that look at mails open nothing."""
        user = await self._of_link(request)
        return await self._link_form(request, user)

    async def use_link(self, request: web.Request) -> web.StreamResponse:
        """Open a session with a link, which opens nothing afterwards.

        A second factor is asked for as after a password. A wrong code leaves the link
        as it is, and counts as a wrong password does.
        """
        user = await self._of_link(request)
        if user is None:
            return await self._link_form(request, None, HTTPStatus.GONE)
        login, address = accounts.same_login(user.login), address_of(request)
        account, keys = await self._keys(request, login)
        # Without a code there is nothing to guess: the link is the way in of a user
        # whose name a stranger tries.
        if user.totp_secret is not None and self._by_account.is_over(
            account, monotonic()
        ):
            return self._refuse("too_many")
        if not await self._has_code(user, request[FORM].get("code", "")):
            for limit, key in keys:
                limit.fail(key, monotonic())
            await self._note_refusal(user, login, address)
            return await self._link_form(request, user, HTTPStatus.UNAUTHORIZED)
        token = request.match_info["token"]
        user = await accounts.use_link(self._console.database, token)
        if user is None:
            return await self._link_form(request, None, HTTPStatus.GONE)
        self._by_account.forgive(account)
        where = own_path(request[FORM].get("next", ""))
        return await open_session(self._console, request, user, where)

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """End this session."""
        viewer, database = request[VIEWER], self._console.database
        token = request[TOKEN]
        session = await accounts.session_id(database, viewer.user_id, token)
        if session is not None:
            await accounts.close_session(database, viewer.user_id, session)
        await accounts.note(database, viewer.user_id, "logout", address_of(request))
        response = web.Response(status=303, headers={"Location": f"{ROOT}/login"})
        response.del_cookie(SESSION_COOKIE, path=ROOT)
        return response

    async def choose_language(self, request: web.Request) -> web.StreamResponse:
        """Keep the language of the pages, in the browser and with the account."""
        form = request[FORM]
        chosen = form.get("language", "")
        if chosen not in language.LANGUAGES:
            raise web.HTTPBadRequest
        if VIEWER in request:
            user_id = request[VIEWER].user_id
            await accounts.set_language(self._console.database, user_id, chosen)
        where = own_path(form.get("next", ""))
        response = web.Response(status=303, headers={"Location": where})
        set_cookie(self._console, response, LANGUAGE_COOKIE, chosen, _LANGUAGE_S)
        return response

    async def start(self, request: web.Request) -> web.StreamResponse:
        """Send an owner to the business, an operator to the list of businesses."""
        viewer = request[VIEWER]
        where = f"{ROOT}/businesses"
        if viewer.business_id is not None:
            where = business_path(viewer.business_id) + "/"
        return web.Response(status=303, headers={"Location": where})

    async def _keys(
        self, request: web.Request, login: str
    ) -> tuple[str, tuple[tuple[RateLimit, str], ...]]:
        """Return what tries of a login are counted by: the account's key, and all.

        Strangers at the same name or address count nothing for a browser in which the
        user has logged in before.
        """
        value = request.cookies.get(known_browser.cookie_of(login), "")
        user = await accounts.find(self._console.database, login) if value else None
        if user and (browser := known_browser.browser_of(user, value)):
            account = f"{login} {browser}"
            return account, ((self._by_account, account),)
        address = counted_as(address_of(request))
        return login, ((self._by_address, address), (self._by_account, login))

    async def _user_of(
        self, passwords: PasswordCheck, login: str, password: str
    ) -> User | None:
        """Return the user whose password this is. Raises Busy."""
        user = await accounts.find(self._console.database, login) if login else None
        stored = user.password_hash if user and user.disabled_at is None else None
        is_right = await passwords.check(stored, password)
        return user if is_right else None

    async def _has_code(self, user: User, code: str) -> bool:
        if user.totp_secret is None:
            return True
        period = totp.period_of(user.totp_secret, code, time())
        if period is None:
            return False
        return await accounts.use_totp(self._console.database, user.id, period)

    async def _of_link(self, request: web.Request) -> User | None:
        token = request.match_info["token"]
        client = counted_as(address_of(request))
        if self._by_address.is_over(client, monotonic()):
            raise web.HTTPTooManyRequests
        if len(token) > TOKEN_CHARS_MAX:
            return None
        user = await accounts.user_of_link(self._console.database, token)
        if user is None:
            self._by_address.fail(client, monotonic())
        return user

    async def _link_form(
        self,
        request: web.Request,
        user: User | None,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> web.StreamResponse:
        is_refused = status is HTTPStatus.UNAUTHORIZED
        fault = _("The code is wrong, or was used before.") if is_refused else ""
        return await render(
            request, "login/link.html", status=status, user=user, fault=fault
        )

    async def _note_refusal(self, user: User | None, login: str, address: str) -> None:
        self._console.metrics.count("console_logins", outcome="refused")
        server_logger().warning("console: a login was refused, from %s", address)
        known = user or await accounts.find(self._console.database, login)
        if known is not None:
            database = self._console.database
            await accounts.note(database, known.id, "login refused", address)

    def _refuse(self, outcome: str) -> web.StreamResponse:
        self._console.metrics.count("console_logins", outcome=outcome)
        raise web.HTTPTooManyRequests

    async def _form(
        self, request: web.Request, status: int = HTTPStatus.OK, login: str = ""
    ) -> web.StreamResponse:
        given = request.get(FORM) or request.query
        fault = ""
        if status != HTTPStatus.OK:
            fault = _("The name, the password or the code is wrong.")
        return await render(
            request,
            "login/login.html",
            status=status,
            login=login,
            fault=fault,
            next=own_path(given.get("next", "")),
            provider=urlsplit(self._console.settings.oidc_issuer or "").hostname,
        )


async def open_session(
    console: Console, request: web.Request, user: User, where: str
) -> web.StreamResponse:
    """Log a user in who has proven who they are, and send the browser on."""
    token, address = secrets.token_urlsafe(32), address_of(request)
    agent = request.headers.get("User-Agent", "")
    await accounts.open_session(console.database, user.id, token, agent, address)
    await accounts.note(console.database, user.id, "login", address)
    console.metrics.count("console_logins", outcome="ok")
    response = web.Response(status=303, headers={"Location": where})
    age_s = accounts.SESSION_DAYS_MAX * 86_400
    set_cookie(console, response, SESSION_COOKIE, token, age_s)
    if known := known_browser.new_value(user):
        name = known_browser.cookie_of(user.login)
        set_cookie(console, response, name, known, known_browser.AGE_S)
    return response


def set_cookie(
    console: Console, response: web.StreamResponse, name: str, value: str, age_s: int
) -> None:
    """Set a cookie that scripts do not see and other sites' forms do not send."""
    response.set_cookie(
        name,
        value,
        path=ROOT,
        max_age=age_s,
        httponly=True,
        samesite="Lax",
        secure=console.is_https,
    )


def own_path(text: str) -> str:
    """Return a path of the console; its start in place of any other address."""
    is_own = text.startswith(f"{ROOT}/") and "//" not in text and "\\" not in text
    return text if is_own and text.isprintable() else f"{ROOT}/"


def add_routes(app: web.Application, console: Console) -> None:
    """Add the login, the logout, the choice of a language, and the start."""
    page = LoginPage(console)
    app.router.add_get("", page.start)
    app.router.add_get("/", page.start)
    app.router.add_get("/login", page.show)
    app.router.add_post("/login", page.log_in)
    app.router.add_get("/login/{token}", page.show_link)
    app.router.add_post("/login/{token}", page.use_link)
    app.router.add_post("/logout", page.log_out)
    app.router.add_post("/language", page.choose_language)
