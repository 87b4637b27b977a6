"""Logging in: by password, by code, by a link that opens once; and out again."""

import asyncio
from time import time
from uuid import uuid4

import pytest

from bridge.console import totp
from bridge.console.login_page import FAILURES_MAX, own_path
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
            for _ in range(FAILURES_MAX):
                assert (await at.nobody.log_in(login, "wrong password"))[0] == 401
            assert (await at.nobody.log_in(login))[0] == 429
            assert at.server.metrics.value("console_logins", outcome="too_many") == 1

    run(story)


def test_a_second_factor_is_asked_for_and_no_code_opens_twice(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            user = await accounts.find(at.database, login)
            secret = totp.new_secret()
            await accounts.set_totp(at.database, user.id, secret)
            assert (await at.nobody.log_in(login))[0] == 401
            code = totp.code_of(secret, int(time() // totp.PERIOD_S))
            assert (await at.nobody.log_in(login, code=code))[0] == 303
            assert (await at.new_browser().log_in(login, code=code))[0] == 401

    run(story)


def test_a_link_opens_once_and_not_by_being_looked_at(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "staff", at.ours)
            user = await accounts.find(at.database, login)
            await accounts.add_link(at.database, user.id, "a-token", 10)
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
