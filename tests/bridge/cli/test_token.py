"""`kolbridge token`: tokens of the API and calendars, each shown once."""

import asyncio
from uuid import uuid4

import orjson
import pytest

from bridge.cli import main
from crm import access_tokens, businesses
from crm.database import Database


@pytest.fixture
def salon(embedded_url, monkeypatch, tmp_path, capsys):
    """Run `kolbridge token VERB --business NAME ...`."""
    name = f"Salon {uuid4().hex[:8]}"

    async def fill():
        db = await Database.open(embedded_url, pool_max=1)
        await businesses.create(db, name)
        await db.close()

    def run(verb, *more):
        code = main.main(["token", verb, "--business", name, *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)
    monkeypatch.setenv("PUBLIC_URL", "https://voice.example.com")
    return run


def test_token_opens_its_business_until_it_is_revoked(salon, embedded_url):
    code, out, _ = salon("add", "--name", "Our website", "--read-only")
    token_id, line = out.splitlines()
    secret = line.removeprefix("token, shown this once: ")
    _, out, _ = salon("feed", "--name", "Salon")
    assert "https://voice.example.com/feeds/" in out
    assert out.endswith(".ics\n")

    async def find():
        db = await Database.open(embedded_url, pool_max=1)
        try:
            return await access_tokens.find(db, "api", secret)
        finally:
            await db.close()

    assert code == 0
    assert asyncio.run(find()).scopes == ("read",)
    _, out, _ = salon("list", "--json")
    rows = [orjson.loads(line) for line in out.splitlines()]
    assert [row["kind"] for row in rows] == ["api", "feed"]
    assert secret not in out
    _, out, _ = salon("list")
    assert "Our website  read  used=2" in out
    assert salon("revoke", token_id)[1] == "revoked Our website\n"
    assert asyncio.run(find()) is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("add", "--name", " "), "--name: expected 1 to 100 characters"),
        (("feed", "--person", "Dana"), "--person: 'Dana': expected one of no people"),
        (("revoke", "0"), "0: no token has an id like this"),
    ],
)
def test_mistakes_are_named(salon, words, error):
    assert salon(*words) == (2, "", f"kolbridge token: {error}\n")
