"""A running service with its console: two businesses, their users, browsers."""

import re
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from aiohttp import ClientSession, CookieJar
from argon2 import PasswordHasher

from crm import accounts, businesses
from tests.bridge.running_service import served

PASSWORD = "a long password"
# As cheap as can be: each desk logs four people in.
HASHED = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


class Browser:
    """A client that keeps its cookies, and posts forms as the pages do."""

    def __init__(self, http, base):
        self.http = http
        self.base = base
        self.csrf = ""

    async def get(self, path, **more):
        """Return status and text of a page; redirects are not followed."""
        async with self.http.get(
            self.base + path, allow_redirects=False, **more
        ) as answer:
            text = await answer.text()
            self.headers = answer.headers
            found = re.search(r'<meta name="csrf" content="(\w+)">', text)
            self.csrf = found[1] if found else self.csrf
            return answer.status, text

    async def post(self, path, csrf=None, headers=None, **fields):
        fields = {"csrf": self.csrf if csrf is None else csrf, **fields}
        async with self.http.post(
            self.base + path, data=fields, allow_redirects=False, headers=headers
        ) as answer:
            self.headers = answer.headers
            return answer.status, await answer.text()

    async def log_in(self, login, password=PASSWORD, code=""):
        """Log in, and read the token of the session's forms."""
        status, text = await self.post(
            "/console/login", csrf="", login=login, password=password, code=code
        )
        if status == 303:
            await self.get("/console/account")
        return status, text


class Desk(NamedTuple):
    """A service with its console, two businesses `ours` and `theirs`, and browsers.

    Each browser is logged in: the operator; owner and staff of ours; theirs' owner.
    `nobody` is not.
    """

    service: object
    ours: UUID
    theirs: UUID
    operator: Browser
    owner: Browser
    staff: Browser
    other: Browser
    nobody: Browser
    new_browser: object

    @property
    def database(self):
        return self.service.database

    @property
    def server(self):
        return self.service.server

    def path(self, *parts, business=None):
        """Return the path of a page of `ours`, or of another business."""
        return "/".join((f"/console/b/{business or self.ours}", *map(str, parts)))


async def add_user(database, role, business_id=None, **more):
    """Make an account whose password is PASSWORD; return its login name."""
    login = f"{role}-{uuid4().hex[:8]}@example.com"
    await accounts.add(
        database,
        login,
        role.title(),
        role,
        business_id=business_id,
        password_hash=HASHED,
        **more,
    )
    return login


@asynccontextmanager
async def at_desk(url, home, **settings):
    """Run a service and log in its users."""
    async with served(url, home, **settings) as service:
        database, ours = service.database, service.business_id
        theirs = await businesses.create(database, f"Theirs {uuid4().hex[:6]}")
        base = f"http://127.0.0.1:{service.server.port}"
        opened = []

        def new_browser(**headers):
            jar = CookieJar(unsafe=True)
            headers = {"Accept": "text/html", "Accept-Language": "en", **headers}
            http = ClientSession(cookie_jar=jar, headers=headers)
            opened.append(http)
            return Browser(http, base)

        browsers = []
        try:
            for role, business_id in (
                ("operator", None),
                ("owner", ours),
                ("staff", ours),
                ("owner", theirs),
            ):
                browser = new_browser()
                login = await add_user(database, role, business_id)
                status, _ = await browser.log_in(login)
                assert status == 303
                browsers.append(browser)
            yield Desk(service, ours, theirs, *browsers, new_browser(), new_browser)
        finally:
            for http in opened:
                await http.close()


@pytest.fixture
def desk(embedded_url, tmp_path):
    """Return what runs a service with its console: `async with desk() as at:`."""

    def run(**settings):
        return at_desk(embedded_url, tmp_path, **settings)

    return run
