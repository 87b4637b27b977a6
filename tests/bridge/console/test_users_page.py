"""Users in the console: who adds, closes and removes whom, and the link they get."""

import asyncio
import re
from email import message_from_bytes, policy
from uuid import uuid4

import pytest

from bridge.console import users_page
from crm import accounts, audit, businesses
from tests.bridge.console.conftest import add_user
from tests.bridge.notices.test_mail import mail_server

ALL = "/console/users"


def run(story):
    asyncio.run(story())


def new_login():
    return f"new-{uuid4().hex[:10]}@example.com"


async def id_of(at, login):
    return (await accounts.find(at.database, login)).id


def link_in(text):
    return re.search(r'value="http[^"]*(/console/login/[\w-]+)"', text)[1]


def test_owner_adds_staff_whose_link_is_shown_once_and_opens_once(desk):
    async def story():
        async with desk() as at:
            here, login = at.path("users"), new_login()
            status, text = await at.owner.get(here)
            assert status == 200 and "Add a user" in text
            status, text = await at.owner.post(
                here, login=login.upper(), name="Noa", role="staff"
            )
            assert status == 200
            link = link_in(text)
            status, text = await at.owner.get(here)
            assert login in text and link not in text and "invited" in text
            guest = at.new_browser()
            status, text = await guest.get(link)
            assert status == 200 and "Noa" in text
            assert (await guest.post(link))[0] == 303
            assert (await guest.get(at.path("calendar")))[0] == 200
            assert (await at.nobody.post(link))[0] == 410
            user = await accounts.find(at.database, login)
            assert (user.role, user.business_id) == ("staff", at.ours)
            acts = [one.action for one in await audit.recent(at.database, at.ours)]
            assert acts[:2] == ["users.link_made", "users.added"]

    run(story)


def test_owner_disables_enables_and_removes_staff(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "staff", at.ours)
            browser = at.new_browser()
            await browser.log_in(login)
            one = at.path("users", await id_of(at, login))
            await at.owner.get(at.path("users"))
            assert (await at.owner.post(f"{one}/disable"))[0] == 303
            assert (await browser.get(at.path("calendar")))[0] == 303
            assert (await browser.log_in(login))[0] == 401
            assert (await at.owner.post(f"{one}/link"))[0] == 403
            assert (await at.owner.post(f"{one}/enable"))[0] == 303
            assert (await browser.log_in(login))[0] == 303
            assert (await at.owner.post(f"{one}/remove"))[0] == 303
            assert (await browser.get(at.path("calendar")))[0] == 303
            assert await accounts.find(at.database, login) is None
            assert (await at.owner.post(f"{one}/enable"))[0] == 404

    run(story)


def test_owner_gives_no_role_and_changes_no_owner_and_nobody_elsewhere(desk):
    async def story():
        async with desk() as at:
            here, role = at.path("users"), {"role": "owner"}
            await at.owner.get(here)
            status, _ = await at.owner.post(here, login=new_login(), **role)
            assert status == 400
            staff = await add_user(at.database, "staff", at.ours)
            second = await add_user(at.database, "owner", at.ours)
            theirs = await add_user(at.database, "staff", at.theirs)
            operator = await add_user(at.database, "operator")
            for verb in ("disable", "enable", "role", "remove", "link"):
                for login, expected in ((second, 403), (theirs, 404), (operator, 404)):
                    path = f"{here}/{await id_of(at, login)}/{verb}"
                    assert (await at.owner.post(path, **role))[0] == expected, path
            path = f"{here}/{await id_of(at, staff)}/role"
            assert (await at.owner.post(path, **role))[0] == 403
            assert (await at.owner.get(at.path("users", business=at.theirs)))[0] == 404
            assert (await at.owner.get(ALL))[0] == 404
            assert (await at.owner.post(ALL, login=new_login()))[0] == 404

    run(story)


def test_staff_see_no_users(desk):
    async def story():
        async with desk() as at:
            assert (await at.staff.get(at.path("users")))[0] == 403
            await at.staff.get("/console/account")
            status, _ = await at.staff.post(
                at.path("users"), login=new_login(), role="staff"
            )
            assert status == 403
            _, text = await at.staff.get(at.path("calendar"))
            assert at.path("users") not in text

    run(story)


def test_operator_adds_an_operator_and_an_owner_and_changes_roles(desk):
    async def story():
        async with desk() as at:
            await at.operator.get(ALL)
            login = new_login()
            status, _ = await at.operator.post(ALL, login=login, role="operator")
            assert status == 200
            assert (await accounts.find(at.database, login)).role == "operator"
            owner = new_login()
            await at.operator.post(at.path("users"), login=owner, role="owner")
            path = at.path("users", await id_of(at, owner))
            assert (await at.operator.post(f"{path}/role", role="staff"))[0] == 303
            assert (await accounts.find(at.database, owner)).role == "staff"
            elsewhere = path.replace(str(at.ours), str(at.theirs))
            assert (await at.operator.post(f"{elsewhere}/remove"))[0] == 404
            found = f"{ALL}/{await id_of(at, login)}"
            assert (await at.operator.post(f"{found}/remove"))[0] == 303
            assert await accounts.find(at.database, login) is None

    run(story)


def test_nobody_closes_their_own_account(desk):
    async def story():
        async with desk() as at:
            login = await add_user(at.database, "operator")
            browser = at.new_browser()
            await browser.log_in(login)
            for verb in ("disable", "remove", "link"):
                path = f"{ALL}/{await id_of(at, login)}/{verb}"
                assert (await browser.post(path))[0] == 403
            assert (await browser.get(ALL))[0] == 200

    run(story)


def test_operator_s_list_goes_on_page_by_page(desk, monkeypatch):
    async def story():
        async with desk() as at:
            monkeypatch.setattr(users_page, "PAGE_ROWS", 2)
            logins = {await add_user(at.database, "staff", at.ours) for _ in range(5)}
            path, seen = at.path("users"), set()
            while path:
                _, text = await at.operator.get(path)
                seen |= {login for login in logins if f">{login}<" in text}
                found = re.search(r'href="(\?after=[^"]+)" rel="next"', text)
                path = at.path("users") + found[1] if found else ""
            assert seen == logins

    run(story)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"login": "two words"}, "login"),
        ({"login": ""}, "login"),
        ({"login": "x" * 255}, "login"),
        ({"login": "taken"}, "login"),
        ({"login": "fine", "name": "n" * 101}, "name"),
    ],
)
def test_a_wrong_field_is_named_and_what_was_typed_stays(desk, fields, field):
    async def story():
        async with desk() as at:
            if fields["login"] == "taken":
                fields["login"] = await add_user(at.database, "staff", at.theirs)
            await at.owner.get(at.path("users"))
            status, text = await at.owner.post(
                at.path("users"), **{"role": "staff", "name": "Noa", **fields}
            )
            assert status == 422
            assert f'id="{field}-fault"' in text
            assert f'value="{fields.get("name", "Noa")}"' in text

    run(story)


def test_a_link_is_sent_in_the_language_of_the_business(desk):
    async def story():
        async with (
            mail_server() as (mail, letters),
            desk(
                smtp_host=mail.smtp_host,
                smtp_port=mail.smtp_port,
                smtp_tls="none",
                smtp_from=mail.smtp_from,
            ) as at,
        ):
            async with at.database.owner() as connection:
                await connection.execute(
                    "update businesses set language = 'he' where id = $1", at.ours
                )
            login = new_login()
            await at.owner.get(at.path("users"))
            _, text = await at.owner.post(
                at.path("users"), login=login, name="Noa\r\nBcc: x@y.z", role="staff"
            )
            assert "The link was sent by e-mail." in text
            message = message_from_bytes(letters[0], policy=policy.default)
            assert (message["To"], message["Bcc"]) == (login, None)
            assert message["Content-Language"] == "he"
            assert "הכניסה שלך" in message["Subject"]
            body = message.get_content()
            assert link_in(text) in body and "שלום Noa" in body

    run(story)


def test_an_e_mail_that_fails_is_said_and_the_link_still_shown(desk):
    async def story():
        async with (
            mail_server("550 no") as (mail, letters),
            desk(
                smtp_host=mail.smtp_host,
                smtp_port=mail.smtp_port,
                smtp_tls="none",
                smtp_from=mail.smtp_from,
            ) as at,
        ):
            await at.owner.get(at.path("users"))
            _, text = await at.owner.post(
                at.path("users"), login=new_login(), role="staff"
            )
            assert letters == []
            assert "could not be sent" in text and link_in(text)

    run(story)


def test_accounts_and_links_made_by_one_viewer_are_bounded(desk, monkeypatch):
    async def story():
        monkeypatch.setattr(users_page, "ACTS_MAX", 2)
        async with desk() as at:
            await at.owner.get(at.path("users"))
            answers = [
                (await at.owner.post(at.path("users"), login=new_login(), role="staff"))
                for _ in range(3)
            ]
            assert [status for status, _ in answers] == [200, 200, 429]
            assert await businesses.get(at.database, at.ours)

    run(story)
