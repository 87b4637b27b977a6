"""Who may log in: an operator manages all accounts, an owner the staff of a business.

What a viewer may do, the database decides by the viewer's session. A login link is
shown on the page that answers its making, and never again.
"""

import secrets
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from uuid import UUID

from aiohttp import web

from bridge.console.console import (
    BUSINESS,
    FORM,
    OPERATOR,
    OWNER,
    ROOT,
    STAFF,
    TOKEN,
    VIEWER,
    Console,
    MenuItem,
    Viewer,
    business_path,
    require,
)
from bridge.console.language import N_, gettext as _
from bridge.console.rate_limit import RateLimit
from bridge.console.rendering import render
from bridge.notices.login_letter import LoginLetter, message_of
from bridge.notices.mail import deliver
from bridge.notices.targets import TargetError, check_target
from bridge.telemetry.log import server_logger
from bridge.telemetry.masking import one_line
from crm import audit, user_care
from crm.accounts import LOGIN_CHARS_MAX, AccountError
from crm.notices import EMAIL
from crm.user_care import Account, LoginInUse, NotAllowed, TooManyUsers

PAGE_ROWS = 50
NAME_CHARS_MAX = 100
# An invitation is read on the next working day.
LINK_HOURS = 72
# Accounts made and links sent by one viewer: e-mails leave in the operator's name.
ACTS_MAX = 60
ACTS_S = 3_600.0
MENU = (
    MenuItem(N_("Users"), f"{ROOT}/users", (OPERATOR,)),
    MenuItem(N_("Users"), "/console/b/{business}/users", (OPERATOR, OWNER)),
)
ROLE_NAMES = {OPERATOR: N_("operator"), OWNER: N_("owner"), STAFF: N_("staff")}
_VERBS = ("disable", "enable", "role", "remove", "link")


class UsersPage:
    """The accounts of one business, or of all."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._database = console.database
        self._acts = RateLimit(ACTS_MAX, ACTS_S)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show a page of the accounts."""
        return await self._page(request)

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Make an account, and show its login link."""
        viewer, form = _manager(request), request[FORM]
        self._count_act(request)
        login = form.get("login", "").strip().lower()
        name = one_line(form.get("name", "").strip()) or login
        role = form.get("role", "")
        if role not in _roles_to_give(request):
            raise web.HTTPBadRequest
        faults = {}
        if not 1 <= len(login) <= LOGIN_CHARS_MAX or not login.isprintable():
            faults["login"] = _("Expected an e-mail address or a name without spaces.")
        if len(name) > NAME_CHARS_MAX:
            faults["name"] = _("Expected 1 to %(most)d characters.") % {
                "most": NAME_CHARS_MAX
            }
        if faults:
            return await self._page(request, faults)
        business = request.get(BUSINESS)
        business_id = business.id if business is not None else None
        session = request[TOKEN]
        try:
            user_id = await user_care.add(
                self._database, session, login, name, role, business_id
            )
        except TooManyUsers:
            faults["login"] = _("The business has as many of them as it may have.")
        except LoginInUse:
            faults["login"] = _("This login name is in use.")
        except AccountError:
            faults["login"] = _("Expected an e-mail address or a name without spaces.")
        except NotAllowed:
            raise web.HTTPForbidden from None
        if faults:
            return await self._page(request, faults)
        account = await user_care.get(self._database, session, user_id)
        if account is None:
            raise web.HTTPNotFound
        await self._audit(request, "users.added", account, role=role)
        server_logger().info("console: %s made an account", viewer.user_id)
        return await self._invite(request, account)

    async def change(self, verb: str, request: web.Request) -> web.StreamResponse:
        """Disable, enable or remove an account, change its role, or make a link."""
        _manager(request)
        account = await self._account(request)
        if verb == "link":
            self._count_act(request)
            return await self._invite(request, account)
        database, session, role = self._database, request[TOKEN], ""
        if verb == "role":
            role = request[FORM].get("role", "")
            if role not in (OWNER, STAFF):
                raise web.HTTPBadRequest
            is_done = await user_care.set_role(database, session, account.id, role)
        elif verb == "remove":
            is_done = await user_care.remove(database, session, account.id)
        else:
            is_off = verb == "disable"
            is_done = await user_care.disable(
                database, session, account.id, is_off=is_off
            )
        if not is_done:
            raise web.HTTPForbidden
        details = {"role": role} if role else {}
        await self._audit(request, f"users.{_PAST[verb]}", account, **details)
        return web.Response(status=303, headers={"Location": _here(request)})

    async def _account(self, request: web.Request) -> Account:
        """Return the account of the path, if it is one of this page's."""
        try:
            user_id = UUID(request.match_info["id"])
        except ValueError:
            raise web.HTTPNotFound from None
        account = await user_care.get(self._database, request[TOKEN], user_id)
        business = request.get(BUSINESS)
        if account is None or (business and account.business_id != business.id):
            raise web.HTTPNotFound
        if not account.may_change:
            raise web.HTTPForbidden
        return account

    async def _invite(
        self, request: web.Request, account: Account
    ) -> web.StreamResponse:
        """Make a link for an account, send it if that can be done, and show it."""
        token, database = secrets.token_urlsafe(32), self._database
        is_done = await user_care.invite(
            database, request[TOKEN], account.id, token, LINK_HOURS * 60
        )
        if not is_done:
            raise web.HTTPForbidden
        await self._audit(request, "users.link_made", account)
        link = f"{self._console.public_url.rstrip('/')}{ROOT}/login/{token}"
        until = datetime.now(UTC) + timedelta(hours=LINK_HOURS)
        is_sent = await self._send(request, account, link, until)
        return await render(
            request,
            "users/link.html",
            account=account,
            link=link,
            until=until,
            # None: it was not tried.
            is_sent=is_sent,
            here=_here(request),
        )

    async def _send(
        self, request: web.Request, account: Account, link: str, until: datetime
    ) -> bool | None:
        """Send a link by e-mail, if there is a server and the login is an address."""
        settings, business = self._console.settings, request.get(BUSINESS)
        try:
            check_target(EMAIL, account.login, frozenset())
        except TargetError:
            return None
        if settings.smtp_host is None:
            return None
        letter = LoginLetter(
            login=account.login,
            name=account.name,
            invited_by=request[VIEWER].name,
            where=account.business or "Kolbridge",
            link=link,
            until=until,
            time_zone=business.time_zone if business is not None else "UTC",
            language=business.language if business is not None else "en",
        )
        outcome = await deliver(settings, message_of(letter, settings.smtp_from or ""))
        if not outcome.is_delivered:
            server_logger().warning(
                "console: a login link was not sent: %s", outcome.answer
            )
        return outcome.is_delivered

    async def _audit(
        self, request: web.Request, action: str, account: Account, **details: str
    ) -> None:
        """Write an act into the log of the account's business.

        The log of the accounts themselves is written by the database.
        """
        viewer = request[VIEWER]
        if account.business_id is not None:
            await audit.write(
                self._database,
                account.business_id,
                viewer.user_id,
                viewer.name,
                action,
                str(account.id),
                details,
            )

    def _count_act(self, request: web.Request) -> None:
        key = str(request[VIEWER].user_id)
        if self._acts.is_over(key, monotonic()):
            raise web.HTTPTooManyRequests
        self._acts.fail(key, monotonic())

    async def _page(
        self, request: web.Request, faults: dict[str, str] | None = None
    ) -> web.StreamResponse:
        _manager(request)
        business, after = request.get(BUSINESS), request.query.get("after", "")
        found = await user_care.listed(
            self._database,
            request[TOKEN],
            business.id if business is not None else None,
            after=after[:LOGIN_CHARS_MAX],
            most=PAGE_ROWS + 1,
        )
        given = request.get(FORM)
        return await render(
            request,
            "users/list.html",
            status=422 if faults else 200,
            rows=found[:PAGE_ROWS],
            last=found[PAGE_ROWS - 1] if len(found) > PAGE_ROWS else None,
            is_first=not after,
            here=_here(request),
            roles={name: _(ROLE_NAMES[name]) for name in _roles_to_give(request)},
            role_names={name: _(title) for name, title in ROLE_NAMES.items()},
            has_mail=self._console.settings.smtp_host is not None,
            faults=faults or {},
            given=given if given is not None else {},
        )


_PAST = {
    "disable": "disabled",
    "enable": "enabled",
    "role": "role_changed",
    "remove": "removed",
}


def _manager(request: web.Request) -> Viewer:
    """Return the viewer, who manages accounts; raise an HTTPException for others."""
    if BUSINESS in request:
        return require(request, OPERATOR, OWNER)
    if not request[VIEWER].is_operator:
        raise web.HTTPNotFound
    return request[VIEWER]


def _roles_to_give(request: web.Request) -> tuple[str, ...]:
    if BUSINESS not in request:
        return (OPERATOR,)
    return (OWNER, STAFF) if request[VIEWER].is_operator else (STAFF,)


def _here(request: web.Request) -> str:
    business = request.get(BUSINESS)
    return f"{ROOT}/users" if business is None else business_path(business.id, "users")


def add_routes(app: web.Application, console: Console) -> None:
    """Add the accounts of all, and those of a business."""
    page = UsersPage(console)
    for base in ("/users", "/b/{business}/users"):
        app.router.add_get(base, page.show)
        app.router.add_post(base, page.add)
        for verb in _VERBS:
            app.router.add_post(f"{base}/{{id}}/{verb}", partial(page.change, verb))
