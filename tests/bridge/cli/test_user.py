"""`kolbridge user` and `kolbridge console`: accounts, and the first login."""

import asyncio
import io
from uuid import uuid4

import orjson

from crm import accounts
from crm.database import Database

PASSWORD = "a long password\n"


def test_an_owner_is_added_listed_disabled_enabled_and_removed(
    shell, salon, monkeypatch
):
    login = f"{uuid4().hex}@example.com"
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD))
    assert shell("user", "add", login, "--business", salon, "--name", "Dana")[0] == 0
    assert f"{login}  owner  {salon}  active  Dana" in shell("user", "list")[1]
    assert shell("user", "disable", login)[0] == 0
    rows = map(orjson.loads, shell("user", "list", "--json")[1].splitlines())
    row = next(one for one in rows if one["login"] == login)
    assert row["disabled_at"]
    assert row["has_password"]
    assert "hash" not in row
    assert shell("user", "link", login)[0] == 2
    assert shell("user", "enable", login)[0] == 0
    assert "/console/login/" in shell("user", "link", login)[1]
    assert shell("user", "remove", login)[0] == 0
    assert login not in shell("user", "list")[1]
    assert shell("user", "remove", login)[0] == 2


def test_a_second_factor_that_is_lost_is_turned_off(shell, salon, embedded_url):
    login = f"{uuid4().hex}@example.com"
    assert shell("user", "add", login, "--business", salon, "--no-login")[0] == 0
    code, _, error = shell("user", "code-off", login)
    assert (code, "has no second factor" in error) == (2, True)

    async def turn_on():
        async with asyncio.timeout(10):
            db = await Database.open(embedded_url)
            user = await accounts.find(db, login)
            await accounts.set_totp(db, user.id, "A" * 32)
            await db.close()

    def has_one():
        rows = map(orjson.loads, shell("user", "list", "--json")[1].splitlines())
        return next(one for one in rows if one["login"] == login)["has_second_factor"]

    asyncio.run(turn_on())
    assert has_one()
    assert shell("user", "code-off", login)[0] == 0
    assert not has_one()


def test_a_wrong_account_is_refused_with_its_reason(shell, salon, monkeypatch):
    for words, why in (
        (("add", "x"), "--business: expected the business of the owner"),
        (("add", "x", "--role", "operator", "--business", salon), "belongs to no"),
        (("link", "nobody-at-all"), "no account has this name"),
        (("link", "x", "--minutes", "0"), "--minutes: expected 1 to"),
    ):
        code, _, error = shell("user", *words)
        assert code == 2
        assert why in error
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    code, _, error = shell("user", "add", "x", "--role", "operator")
    assert (code, "password: expected 10 to 256" in error) == (2, True)


def test_the_console_s_link_opens_the_browser_or_is_printed(shell, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda url: not opened.append(url))
    code, link, _ = shell("console")
    assert (code, opened) == (0, [])
    assert link.startswith("http://127.0.0.1:8080/console/login/")
    assert shell("console", "--open")[1] == ""
    assert opened[0].startswith("http://127.0.0.1:8080/console/login/")
    monkeypatch.setenv("CONSOLE", "0")
    assert shell("console")[0] == 2
