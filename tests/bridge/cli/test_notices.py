"""`kolbridge notices`: endpoints, a test, the log and a replay."""

import asyncio
from uuid import uuid4

import orjson
import pytest

from bridge.cli import main
from crm import businesses, leads, notices
from crm.database import Database


@pytest.fixture
def salon(embedded_url, monkeypatch, tmp_path, capsys):
    """Run `kolbridge notices STEP --business NAME ...`."""
    name = f"Salon {uuid4().hex[:8]}"

    async def fill():
        db = await Database.open(embedded_url, pool_max=1)
        run.id = await businesses.create(db, name)
        await db.close()

    def run(step, *more):
        code = main.main(["notices", step, "--business", name, *more])
        said = capsys.readouterr()
        return code, said.out, said.err

    asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)
    return run


def test_endpoint_is_added_tested_replayed_and_removed(
    salon, embedded_url, monkeypatch
):
    monkeypatch.setenv("NOTICE_ALLOW_HOSTS", "127.0.0.1")
    url = "http://127.0.0.1:9/hook"
    code, out, _ = salon("add", "--url", url, "--types", "lead.created, call.ended")
    endpoint_id, secret = out.splitlines()
    assert code == 0
    assert secret.startswith("secret, shown this once: whsec_")
    code, out, _ = salon("add", "--url", url)
    assert (code, out) == (0, f"{endpoint_id}\n")
    code, out, _ = salon("list", "--json")
    assert orjson.loads(out)["types"] == list(notices.TYPES)
    assert secret[-20:] not in out

    code, out, _ = salon("test", endpoint_id[:8])
    assert code == 0
    assert out.startswith("no answer  ")

    async def call():
        db = await Database.open(embedded_url, pool_max=1)
        await leads.touch(db, salon.id, "+15550000001")
        await db.close()

    asyncio.run(call())
    code, out, _ = salon("log")
    assert [("lead.created" in one, "test" in one) for one in out.splitlines()] == [
        (True, False),
        (False, True),
    ]
    notice_id = out.split("  ")[1]
    assert "1 endpoints" in salon("replay", notice_id)[1]
    assert salon("enable", endpoint_id)[0] == 0
    assert salon("remove", endpoint_id)[1] == f"removed {url}\n"
    assert salon("list") == (0, "", "")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("add", "--url", "http://example.com/"), "--url: expected a URL that begins"),
        (("add", "--url", "https://10.0.0.1/"), "--url: expected a public address"),
        (("add", "--email", "dana"), "--email: expected one e-mail address"),
        (("add", "--email", "a@b.com", "--types", "call"), "--types: 'call': expected"),
        (("add", "--email", "a@b.com", "--types", ","), "--types: expected at least"),
        (("remove", "0"), "0: no endpoint has an id like this"),
        (("replay", "0"), "0: no notice has an id like this"),
        (("log", "--limit", "0"), "--limit 0: expected 1 to 1000"),
    ],
)
def test_mistakes_are_named(salon, words, error):
    code, out, said = salon(*words)

    assert (code, out) == (2, "")
    assert said.startswith(f"kolbridge notices: {error}")
