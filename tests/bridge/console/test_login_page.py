"""Logging in: by password, by code, by a link that opens once; and out again."""

import asyncio
import gzip
import re
from time import time
from uuid import uuid4

import pytest
from aiohttp import ClientSession

from bridge.console import known_browser, totp
from bridge.console.login_page import FAILURES_MAX, own_path
from bridge.console.passwords import hash_password
from crm import accounts
from tests.bridge.console.conftest import PASSWORD, add_user


def run(story):
    asyncio.run(story())


def test_a_wrong_password_is_told_as_an_unknown_name_is(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            wrong = await at.nobody.log_in(login, "wrong password")
            unknown = await at.nobody.log_in(f"{uuid4()}@example.com")
            assert wrong[0] == unknown[0] == 401
            assert "The name, the password or the code is wrong." in wrong[1]
            user = await accounts.find(at.database, login)
            assert user.login == login
            assert at.server.metrics.value("console_logins", outcome="refused") == 2

    run(story)


def test_many_wrong_tries_lock_the_account_and_the_address_for_a_while(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            await wrong_tries(at.nobody, login)
            assert (await at.nobody.log_in(login))[0] == 429
            assert at.server.metrics.value("console_logins", outcome="too_many") == 1

    run(story)


async def wrong_tries(browser, login):
    for _ in range(FAILURES_MAX):
        assert (await browser.log_in(login, "wrong password"))[0] == 401


async def in_and_out(browser, login):
    assert (await browser.log_in(login))[0] == 303
    assert (await browser.post("/console/logout"))[0] == 303


def test_stranger_keeps_no_browser_out_in_which_the_user_has_logged_in(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            own, other = at.new_browser(), at.new_browser()
            for browser in (own, other):
                await in_and_out(browser, login)
            await wrong_tries(at.nobody, login)

            assert (await at.nobody.log_in(login))[0] == 429
            await in_and_out(own, login)
            # It is no way around the limit, either.
            await wrong_tries(other, login)
            assert (await other.log_in(login))[0] == 429
            await in_and_out(own, login)

    run(story)


@pytest.mark.parametrize("forged", ["", "x", "x.y", "é.é", "x" * 200])
def test_only_a_cookie_of_the_name_and_its_password_counts_for_itself(desk, forged):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            user = await accounts.find(at.database, login)
            other = await accounts.find(
                at.database, await add_user(at.database, "owner", at.ours)
            )
            await wrong_tries(at.nobody, login)
            own = known_browser.new_value(user)
            changed = hash_password("another password")
            await accounts.set_password(at.database, user.id, changed)
            for value in (forged, own, known_browser.new_value(other)):
                cookie = f"{known_browser.cookie_of(login)}={value}"
                found, _ = await at.nobody.post(
                    "/console/login",
                    csrf="",
                    headers={"Cookie": cookie},
                    login=login,
                    password="another password",
                )
                assert found == 429

    run(story)


async def with_link(at, role, token):
    """Return a new user of ours who has a link."""
    login = await add_user(at.database, role, at.ours)
    user = await accounts.find(at.database, login)
    await accounts.add_link(at.database, user.id, token, 10)
    return user


def test_link_opens_though_a_stranger_tries_the_name(desk):
    async def story():
        async with desk() as at:
            login = (await with_link(at, "owner", "the-way-in")).login
            await wrong_tries(at.nobody, login)
            assert (await at.nobody.log_in(login))[0] == 429
            assert (await at.nobody.post("/console/login/the-way-in"))[0] == 303

    run(story)


async def with_factor(at):
    """A user who has a second factor: login, account and secret."""
    login = await add_user(at.database, "owner", at.ours)
    user = await accounts.find(at.database, login)
    secret = totp.new_secret()
    await accounts.set_totp(at.database, user.id, secret)
    return login, user, secret


def test_a_second_factor_is_asked_for_and_no_code_opens_twice(desk):
    async def story():
        async with desk() as at:
            login, _, secret = await with_factor(at)
            assert (await at.nobody.log_in(login))[0] == 401
            code = totp.code_of(secret, int(time() // totp.PERIOD_S))
            assert (await at.nobody.log_in(login, code=code))[0] == 303
            assert (await at.new_browser().log_in(login, code=code))[0] == 401

    run(story)


def test_a_link_opens_once_and_not_by_being_looked_at(desk):
    async def story():
        async with desk() as at:
            user = await with_link(at, "staff", "a-token")
            for _ in range(2):
                status, text = await at.nobody.get("/console/login/a-token")
                assert status == 200
                assert "Staff" in text
            assert (await at.nobody.post("/console/login/a-token"))[0] == 303
            assert (await at.nobody.get(at.path("")))[0] == 200
            browser = at.new_browser()
            assert (await browser.post("/console/login/a-token"))[0] == 410
            assert (await browser.get("/console/login/a-token"))[0] == 200
            await accounts.add_link(at.database, user.id, "old", 0)
            assert (await browser.post("/console/login/old"))[0] == 410

    run(story)


def code_for(secret, later=0):
    return totp.code_of(secret, int(time() // totp.PERIOD_S) + later)


def test_a_link_asks_for_the_second_factor_and_no_code_opens_twice(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            user = await accounts.find(at.database, login)
            await accounts.add_link(at.database, user.id, f"{login}-plain", 10)
            _, text = await at.nobody.get(f"/console/login/{login}-plain")
            assert 'name="code"' not in text

            secret = totp.new_secret()
            await accounts.set_totp(at.database, user.id, secret)
            link = f"/console/login/{login}-plain"
            _, text = await at.nobody.get(link)
            assert 'name="code"' in text
            for wrong in ("", "000000", "x"):
                status, text = await at.nobody.post(link, code=wrong)
                assert status == 401
                assert "The code is wrong, or was used before." in text
                assert 'aria-invalid="true"' in text
            assert (await at.nobody.get(at.path("")))[0] == 303

            # The link itself is not used up by a wrong code.
            code = code_for(secret)
            assert (await at.nobody.post(link, code=code))[0] == 303
            assert (await at.nobody.get(at.path("")))[0] == 200
            browser = at.new_browser()
            assert (await browser.post(link, code=code_for(secret, 1)))[0] == 410
            await accounts.add_link(at.database, user.id, f"{login}-next", 10)
            again = await browser.post(f"/console/login/{login}-next", code=code)
            assert again[0] == 401
            assert at.server.metrics.value("console_logins", outcome="refused") == 4

    run(story)


def test_codes_at_a_link_have_the_limits_of_passwords(desk):
    async def story():
        async with desk() as at:
            login, user, secret = await with_factor(at)
            await accounts.add_link(at.database, user.id, login, 10)
            for _ in range(FAILURES_MAX - 1):
                assert (await at.nobody.post(f"/console/login/{login}"))[0] == 401
            assert (await at.nobody.log_in(login, "wrong password"))[0] == 401

            # What was tried with the password and at the link counts together.
            code = code_for(secret)
            late = await at.nobody.post(f"/console/login/{login}", code=code)
            assert late[0] == 429
            assert (await at.nobody.log_in(login, code=code))[0] == 429

    run(story)


def test_logging_out_ends_the_session_for_good(desk):
    async def story():
        async with desk() as at:
            cookies = {one.key: one.value for one in at.owner.http.cookie_jar}
            assert (await at.owner.post("/console/logout"))[0] == 303
            at.nobody.http.cookie_jar.update_cookies(cookies)
            assert (await at.nobody.get("/console/account"))[0] == 303

    run(story)


def test_the_language_is_kept_with_the_account(desk):
    async def story():
        async with desk() as at:
            await at.owner.post("/console/language", language="he", next=at.path(""))
            _, text = await at.owner.get(at.path(""))
            assert '<html lang="he" dir="rtl">' in text
            assert "דורש טיפול" in text
            _, text = await at.staff.get(at.path(""))
            assert 'dir="ltr"' in text
            browser = at.new_browser(**{"Accept-Language": "fr, ar;q=0.8"})
            _, text = await browser.get("/console/login")
            assert '<html lang="ar" dir="rtl">' in text

    run(story)


def test_after_the_login_the_page_that_was_asked_for_is_shown(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            await at.nobody.get(at.path("audit"))
            where = at.nobody.headers["Location"]
            _, text = await at.nobody.get(where)
            assert f'name="next" value="{at.path("audit")}"' in text
            await at.nobody.post(
                "/console/login", login=login, password=PASSWORD, next=at.path("audit")
            )
            assert at.nobody.headers["Location"] == at.path("audit")

    run(story)


@pytest.mark.parametrize(
    "text",
    ["https://evil.example", "//evil.example", "/console//evil", "/console/\\x", "/x"],
)
def test_the_login_leads_to_no_other_place(text):
    assert own_path(text) == "/console/"


def test_the_first_page_is_small_and_its_files_come_compressed(desk):
    async def story():
        async with desk() as at:
            _, text = await at.nobody.get("/console/login")
            files = re.findall(r'(?:href|src)="(/console/static/[^"]+)"', text)
            plain = packed = 0
            for path in files:
                url = f"{at.nobody.base}{path}"
                raw = ClientSession(auto_decompress=False)
                async with raw, raw.get(url) as whole:
                    own = await whole.read()
                    assert whole.headers["Content-Encoding"] == "gzip"
                    assert whole.headers["Vary"] == "Accept-Encoding"
                    assert "immutable" in whole.headers["Cache-Control"]
                    packed += len(own)
                for refused in ("identity", "gzip;q=0", "br"):
                    given = {"Accept-Encoding": refused}
                    http = ClientSession(headers=given)
                    async with http, http.get(url) as answer:
                        assert "Content-Encoding" not in answer.headers
                        data = await answer.read()
                assert gzip.decompress(own) == data
                plain += len(data)
            # No page before the login needs htmx, which is 37 kB.
            assert not any("htmx" in path for path in files)
            assert packed < 20_000 < plain

    run(story)
