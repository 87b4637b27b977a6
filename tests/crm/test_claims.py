"""Claims: kept by the call, apart from every lead."""

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from crm import businesses, claims, leads, proofs
from crm.claims import Claimant
from crm.database import Database
from crm.migrate import FOLDER, migrate
from crm.proofs import Fact

PHONE = "+12025550123"
OTHER = "+12025550124"


def run(story, url):
    async def main():
        db = await Database.open(url)
        try:
            return await story(db, await businesses.create(db, "Salon"))
        finally:
            await db.close()

    return asyncio.run(main())


def test_a_claim_keeps_the_last_that_its_call_said(database_url):
    async def story(db, salon):
        withheld = Claimant("CA1")
        claim = await claims.write(db, salon, withheld, None, {"name": "Don"})
        assert (claim.phone, claim.name) == (None, "Don")
        await claims.write(db, salon, withheld, OTHER, {"name": "Don", "city": "Acre"})
        await claims.write(db, salon, withheld, PHONE, {"name": "Dan", "city": ""})

        (claim,) = await claims.recent(db, salon)
        assert (claim.phone, claim.name, claim.fields) == (
            PHONE,
            "Dan",
            {"city": "Acre"},
        )
        assert claim.missing(("name", "phone", "city", "email")) == ("email",)
        assert await leads.recent(db, salon) == []

    run(story, database_url)


def test_a_claim_of_a_number_that_may_be_forged_is_to_be_reached_there(database_url):
    async def story(db, salon):
        claim = await claims.write(db, salon, Claimant("CA1", PHONE), None, {})

        assert (claim.from_number, claim.phone) == (PHONE, PHONE)
        # Nothing was said in it yet.
        assert await claims.recent(db, salon) == []

    run(story, database_url)


def test_what_a_call_says_after_its_claim_was_accepted_is_a_claim_again(database_url):
    async def story(db, salon):
        caller = Claimant("CA1", PHONE)
        await claims.write(db, salon, caller, None, {"name": "Dan"})
        await proofs.accept(db, salon, "CA1")
        # The model writes once more what it has written.
        await claims.write(db, salon, caller, None, {"name": "Dan"})
        assert await claims.recent(db, salon) == []
        await claims.write(db, salon, caller, None, {"city": "Acre"})

        (claim,) = await claims.recent(db, salon)
        assert claim.fields == {"city": "Acre"}
        lead = await proofs.accept(db, salon, "CA1")
        assert (lead.name, lead.fields) == ("Dan", {"city": "Acre"})
        assert await claims.recent(db, salon) == []

    run(story, database_url)


def test_a_proof_is_kept_whatever_its_call_says_later(database_url):
    async def story(db, salon):
        caller, fact = Claimant("CA1", PHONE), Fact(email="dan@example.org")
        await leads.upsert(db, salon, PHONE, {"email": fact.email})
        await proofs.prove(db, salon, caller, fact)
        await claims.write(db, salon, caller, None, {"city": "Acre"})

        assert await proofs.is_proven(db, salon, caller)

    run(story, database_url)


@asynccontextmanager
async def held(db, salon):
    """A transaction that may stand still for longer than a service's."""
    async with db.owner() as connection:
        await connection.execute(
            "select set_config('app.business_id', $1, true)", str(salon)
        )
        yield connection


async def until_waiting(db, count):
    """Wait until so many transactions wait for a lock."""
    waiting = None
    async with asyncio.timeout(20):
        while waiting != count:
            async with db.owner() as connection:
                waiting = await connection.fetchval(
                    "select count(*) from pg_stat_activity "
                    "where datname = current_database() and wait_event_type = 'Lock'"
                )


def test_a_claim_is_accepted_while_its_caller_proves_who_they_are(database_url):
    async def story(db, salon):
        caller, fact = Claimant("CA1", PHONE), Fact(email="dan@example.org")
        await leads.upsert(db, salon, PHONE, {"email": fact.email})
        await claims.write(db, salon, caller, None, {"name": "Dan"})
        async with held(db, salon) as connection:
            await connection.execute("select from claims for update")
            proving = asyncio.create_task(proofs.prove(db, salon, caller, fact))
            await until_waiting(db, 1)
            accepting = asyncio.create_task(proofs.accept(db, salon, "CA1"))
            await until_waiting(db, 2)

        assert (await proving).opened.name == (await accepting).name == "Dan"

    run(story, database_url)


@pytest.mark.parametrize(
    ("meanwhile", "name", "fields"),
    [
        ("update leads set name = 'Dana'", "Dana", {"city": "Jaffa"}),
        ("delete from leads", "Dan", {"age": "40"}),
    ],
)
def test_a_claim_is_accepted_while_its_lead_is_changed_or_erased(
    database_url, meanwhile, name, fields
):
    async def story(db, salon):
        await leads.upsert(db, salon, PHONE, {"name": "Eve", "city": "Jaffa"})
        claim = {"name": "Dan", "age": "40"}
        await claims.write(db, salon, Claimant("CA1", PHONE), None, claim)
        async with held(db, salon) as connection:
            await connection.execute(f"{meanwhile} where business_id = $1", salon)
            accepting = asyncio.create_task(proofs.accept(db, salon, "CA1"))
            await until_waiting(db, 1)
        lead = await accepting

        assert (lead.name, lead.fields) == (name, {"age": "40", **fields})

    run(story, database_url)


def test_two_calls_from_a_number_prove_the_same_fact_at_once(database_url):
    async def story(db, salon):
        first, second = Claimant("CA1", PHONE), Claimant("CA2", PHONE)
        fact = Fact(email="dan@example.org")
        await claims.write(db, salon, first, None, {"email": fact.email})
        async with held(db, salon) as connection:
            await claims.lock_number(connection, salon, first)
            calls = []
            for one in (second, first):
                calls.append(asyncio.create_task(proofs.prove(db, salon, one, fact)))
                await until_waiting(db, len(calls))
        opened = [(await one).opened.call_sid for one in calls]

        # The fact goes from call to call.
        assert opened == ["CA2", "CA1"]

    run(story, database_url)


def test_what_was_written_into_leads_by_a_claim_becomes_one(embedded_url, tmp_path):
    """A lead that a hidden caller made, whom nobody has called from since."""
    for path in FOLDER.glob("000[1-5]_*.sql"):
        shutil.copy(path, tmp_path)
    name = f"claims_{os.getpid()}"
    url = urlsplit(embedded_url)._replace(path=f"/{name}").geturl()

    async def story(connection):
        salon = uuid4()
        await connection.execute(
            "insert into businesses (id, name) values ($1, 'Salon')", salon
        )
        made = {}
        for phone, sid, calls in (
            (PHONE, "CA1", 0),
            (OTHER, "CA1", 0),
            ("+12025550125", "CA2", 1),
            ("+12025550126", None, 0),
        ):
            made[phone] = await connection.fetchval(
                "insert into leads (business_id, phone, name, fields, calls, "
                "made_in_call) values ($1, $2, 'Eve', '{\"notes\": \"x\"}', $3, $4) "
                "returning id",
                salon,
                phone,
                calls,
                sid,
            )
        await connection.execute(
            "insert into appointments (business_id, lead_id, starts_at, ends_at, "
            "busy_until) values ($1, $2, now(), now() + interval '1 h', "
            "now() + interval '1 h')",
            salon,
            made[PHONE],
        )

        assert await migrate(url)

        rows = await connection.fetch("select call_sid, phone, name from claims")
        found = {row["phone"]: row["call_sid"] for row in rows}
        assert set(found) == {PHONE, OTHER}
        assert set(found.values()) == {"CA1", "CA1-2"}
        kept = await connection.fetch("select phone from leads order by phone")
        assert [row["phone"] for row in kept] == ["+12025550125", "+12025550126"]
        booked = await connection.fetchrow("select * from appointments")
        assert (booked["lead_id"], booked["claimed_by"]) == (None, found[PHONE])
        forced = await connection.fetch(
            "select relname from pg_class where relforcerowsecurity"
        )
        assert {"leads", "appointments", "claims"} <= {row[0] for row in forced}

    async def main():
        admin = await asyncpg.connect(embedded_url)
        await admin.execute(f"create database {name}")
        try:
            assert len(await migrate(url, tmp_path)) == 5
            connection = await asyncpg.connect(url)
            try:
                await story(connection)
            finally:
                await connection.close()
        finally:
            await admin.execute(f"drop database {name} with (force)")
            await admin.close()

    asyncio.run(main())
