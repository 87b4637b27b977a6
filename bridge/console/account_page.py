"""A user's own account: the password, the second factor, and the open sessions."""

from time import monotonic, time
from uuid import UUID

import segno
from aiohttp import web
from markupsafe import Markup

from bridge.console import passwords, totp
from bridge.console.console import FORM, ROOT, TOKEN, VIEWER, Console
from bridge.console.language import gettext as _
from bridge.console.login_page import FAILURES_MAX, FAILURES_S
from bridge.console.passwords import PASSWORDS, Busy
from bridge.console.rate_limit import RateLimit
from bridge.console.rendering import render
from bridge.wire.client import address_of
from crm import accounts
from crm.accounts import User

HERE = f"{ROOT}/account"


class AccountPage:
    """The page of whoever is logged in."""

    def __init__(self, console: Console) -> None:
        self._database = console.database
        self._failures = RateLimit(FAILURES_MAX, FAILURES_S)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show the account."""
        return await self._page(request)

    async def set_password(self, request: web.Request) -> web.StreamResponse:
        """Change the password, and end all other sessions."""
        form, user = request[FORM], await self._user(request)
        new = form.get("new", "")
        faults = {}
        try:
            if not await self._is_present(request, user):
                faults["present"] = _("This is not the present password.")
            fault = passwords.fault_of(new)
            if fault is not None:
                faults["new"] = _("Use %(least)d to %(most)d characters.") % {
                    "least": passwords.CHARS_MIN,
                    "most": passwords.CHARS_MAX,
                }
            if faults:
                return await self._page(request, faults)
            hashed = await request.config_dict[PASSWORDS].hash(new)
        except Busy:
            raise web.HTTPTooManyRequests from None
        keep = request[TOKEN]
        await accounts.set_password(self._database, user.id, hashed, keep=keep)
        return await self._done(request, "password changed")

    async def _is_present(self, request: web.Request, user: User) -> bool:
        """Tell whether the form has the present password, if there is one."""
        if user.password_hash is None:
            return True
        self._check_rate(user)
        given = request[FORM].get("present", "")
        check = request.config_dict[PASSWORDS].check
        is_right = await check(user.password_hash, given)
        if not is_right:
            self._failures.fail(str(user.id), monotonic())
        return is_right

    def _check_rate(self, user: User) -> None:
        """Raise HTTPTooManyRequests for who has tried out passwords or codes."""
        if self._failures.is_over(str(user.id), monotonic()):
            raise web.HTTPTooManyRequests

    async def set_totp(self, request: web.Request) -> web.StreamResponse:
        """Turn the second factor on with a code that proves it, or off with one."""
        form, user = request[FORM], await self._user(request)
        secret = user.totp_secret or form.get("secret") or ""
        code = form.get("code") or ""
        self._check_rate(user)
        if not _is_secret(secret) or totp.period_of(secret, code, time()) is None:
            self._failures.fail(str(user.id), monotonic())
            faults = {"code": _("This is not the present code.")}
            return await self._page(request, faults, secret=form.get("secret", ""))
        new = None if user.totp_secret else secret
        await accounts.set_totp(self._database, user.id, new)
        action = "second factor on" if new else "second factor off"
        return await self._done(request, action)

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """End one session."""
        try:
            session = UUID(request[FORM].get("session", ""))
        except ValueError:
            raise web.HTTPBadRequest from None
        viewer = request[VIEWER]
        if not await accounts.close_session(self._database, viewer.user_id, session):
            raise web.HTTPNotFound
        return await self._done(request, "session ended")

    async def _user(self, request: web.Request) -> User:
        user = await accounts.get(self._database, request[VIEWER].user_id)
        if user is None:
            raise web.HTTPForbidden
        return user

    async def _done(self, request: web.Request, action: str) -> web.StreamResponse:
        user_id = request[VIEWER].user_id
        await accounts.note(self._database, user_id, action, address_of(request))
        return web.Response(status=303, headers={"Location": HERE})

    async def _page(
        self,
        request: web.Request,
        faults: dict[str, str] | None = None,
        secret: str = "",
    ) -> web.StreamResponse:
        user = await self._user(request)
        secret = secret if _is_secret(secret) else totp.new_secret()
        own = await accounts.session_id(self._database, user.id, request[TOKEN])
        return await render(
            request,
            "account/account.html",
            status=422 if faults else 200,
            user=user,
            own=own,
            sessions=await accounts.sessions(self._database, user.id),
            faults=faults or {},
            secret=secret,
            uri=totp.uri(secret, user.login),
            qr_code=_qr_code(totp.uri(secret, user.login)),
        )


def _qr_code(text: str) -> Markup:
    """Return a text as an SVG: dark on light in every scheme, as cameras expect."""
    code = segno.make_qr(text, error="m")
    return Markup(code.svg_inline(dark="#000", light="#fff", omitsize=True))


def _is_secret(text: str) -> bool:
    try:
        totp.code_of(text, 0)
    except ValueError:
        return False
    return len(text) == len(totp.new_secret())


def add_routes(app: web.Application, console: Console) -> None:
    """Add the account and its changes."""
    page = AccountPage(console)
    app.router.add_get("/account", page.show)
    app.router.add_post("/account/password", page.set_password)
    app.router.add_post("/account/totp", page.set_totp)
    app.router.add_post("/account/revoke", page.revoke)
