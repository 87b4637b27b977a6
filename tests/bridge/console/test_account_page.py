"""A user's own account: password, second factor, sessions."""

import asyncio
import re
from time import time

import segno

from bridge.console import totp
from bridge.console.login_page import FAILURES_MAX
from crm import accounts
from tests.bridge.console.conftest import PASSWORD, add_user

HERE = "/console/account"


def run(story):
    asyncio.run(story())


def test_a_new_password_ends_all_other_sessions(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            one, two = at.new_browser(), at.new_browser()
            await one.log_in(login)
            await two.log_in(login)
            new = "another long password"
            await one.post(f"{HERE}/password", present=PASSWORD, new=new)
            assert (await one.get(HERE))[0] == 200
            assert (await two.get(HERE))[0] == 303
            assert (await two.log_in(login))[0] == 401
            assert (await two.log_in(login, new))[0] == 303

    run(story)


def test_a_wrong_password_form_names_its_fields(desk):
    async def story():
        async with desk() as at:
            status, text = await at.owner.post(
                f"{HERE}/password", present="wrong", new="short"
            )
            assert status == 422
            assert 'id="present-fault"' in text
            assert 'id="new-fault"' in text
            assert text.count('aria-invalid="true"') == 2

    run(story)


def test_the_present_password_cannot_be_tried_out(desk):
    async def story():
        async with desk() as at:
            for _ in range(FAILURES_MAX):
                await at.owner.post(f"{HERE}/password", present="wrong", new="x" * 12)
            status, _ = await at.owner.post(
                f"{HERE}/password", present=PASSWORD, new="x" * 12
            )
            assert status == 429

    run(story)


def test_the_code_that_turns_a_second_factor_off_cannot_be_tried_out(desk):
    async def story():
        async with desk() as at:
            login, browser = await add_user(at.database, "owner", at.ours), at.nobody
            await browser.log_in(login)
            user = await accounts.find(at.database, login)
            secret = totp.new_secret()
            await accounts.set_totp(at.database, user.id, secret)
            for _ in range(FAILURES_MAX):
                status, _ = await browser.post(f"{HERE}/totp", code="x")
                assert status == 422
            code = totp.code_of(secret, int(time() // totp.PERIOD_S))
            status, _ = await browser.post(f"{HERE}/totp", code=code)
            assert status == 429

    run(story)


def test_a_second_factor_is_turned_on_and_off_with_its_codes(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            browser = at.new_browser()
            await browser.log_in(login)
            _, text = await browser.get(HERE)
            secret = re.search(r'name="secret" value="(\w+)"', text)[1]
            status, text = await browser.post(
                f"{HERE}/totp", secret=secret, code="000000"
            )
            assert status == 422
            assert secret in text
            code = totp.code_of(secret, int(time() // totp.PERIOD_S))
            await browser.post(f"{HERE}/totp", secret=secret, code=code)
            user = await accounts.find(at.database, login)
            assert user.totp_secret == secret
            await browser.post(f"{HERE}/totp", code=code)
            user = await accounts.find(at.database, login)
            assert user.totp_secret is None

    run(story)


def test_a_session_is_ended_by_its_own_user_alone(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            one, two = at.new_browser(), at.new_browser()
            await one.log_in(login)
            await two.log_in(login)
            _, text = await one.get(HERE)
            session = re.search(r'name="session" value="([\w-]+)"', text)[1]
            assert (await at.other.post(f"{HERE}/revoke", session=session))[0] == 404
            assert (await two.get(HERE))[0] == 200
            assert (await one.post(f"{HERE}/revoke", session=session))[0] == 303
            assert (await two.get(HERE))[0] == 303

    run(story)


def test_the_key_is_shown_as_a_qr_code_of_its_address(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "owner", at.ours)
            browser = at.new_browser()
            await browser.log_in(login)
            _, text = await browser.get(HERE)
            secret = re.search(r'name="secret" value="(\w+)"', text)[1]
            (picture,) = re.findall(r"<svg.+?</svg>", text)
            assert picture == segno.make_qr(
                totp.uri(secret, login), error="m"
            ).svg_inline(dark="#000", light="#fff", omitsize=True)
            assert "style=" not in picture and "<script" not in picture

    run(story)
