"""`kolbridge leads`: leads, and what callers said who proved nothing."""

import asyncio
from uuid import uuid4

import orjson

from bridge.cli import main
from crm import businesses, claims, leads
from crm.claims import Claimant
from crm.database import Database

PHONE = "+12025550123"


def test_claims_are_listed_after_the_leads_as_unverified(
    embedded_url, monkeypatch, tmp_path, capsys
):
    name = f"Salon {uuid4().hex[:8]}"

    async def fill():
        db = await Database.open(embedded_url, pool_max=1)
        salon = await businesses.create(db, name)
        await leads.upsert(db, salon, PHONE, {"name": "Dana"})
        said = {"name": "Eve", "city": "Acre"}
        await claims.write(db, salon, Claimant("CA1"), PHONE, said)
        await db.close()

    asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)

    assert main.main(["leads", "--business", name]) == 0
    lead, claim = capsys.readouterr().out.splitlines()
    assert f"{name}  {PHONE}  Dana  new  calls=0  next=-  {{}}" in lead
    assert claim.endswith(
        f'{name}  {PHONE}  Eve  unverified  call=CA1  next=-  {{"city":"Acre"}}'
    )

    assert main.main(["leads", "--business", name, "--json"]) == 0
    rows = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["name"], row["verified"]) for row in rows] == [
        ("Dana", True),
        ("Eve", False),
    ]

    assert main.main(["leads", "--business", name, "--accept", "CA1"]) == 0
    assert f"{name}  {PHONE}  Dana  new" in capsys.readouterr().out
    assert main.main(["leads", "--business", name]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith('{"city":"Acre"}')
    assert main.main(["leads", "--business", name, "--accept", "CA2"]) == 2
    assert "no claim of this call" in capsys.readouterr().err


def test_a_person_is_erased_once_it_is_confirmed(
    embedded_url, monkeypatch, tmp_path, capsys
):
    name = f"Salon {uuid4().hex[:8]}"

    async def fill():
        db = await Database.open(embedded_url, pool_max=1)
        salon = await businesses.create(db, name)
        await leads.upsert(db, salon, PHONE, {"name": "Dana"})
        await db.close()

    def erase(*words):
        code = main.main(["leads", *words])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)
    for words, why in (
        (("--erase", PHONE), "expected --business"),
        (("--business", name, "--erase", "+12025550199"), "no lead has this number"),
        (("--business", name, "--erase", PHONE), "expected --yes"),
    ):
        code, shown = erase(*words)
        assert (code, why in shown) == (2, True), shown
    code, shown = erase("--business", name, "--erase", PHONE, "--yes")
    assert (code, "deleted: 1 leads, 0 files" in shown) == (0, True)
    assert "Other nodes delete their recordings within a minute" in shown
    assert PHONE not in erase("--business", name)[1]
