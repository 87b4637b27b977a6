"""What a deadlock undid is done again, once the other side has ended."""

import asyncio

import asyncpg
import pytest

from crm import claims, leads, proofs
from crm.claims import Claimant
from crm.deadlocks import DEADLOCKS_MAX, despite_deadlocks
from crm.erasing import erase
from tests.crm.test_claims import PHONE, held, run, until_waiting


@pytest.fixture(autouse=True)
def a_deadlock_fails():
    """Not here."""


async def erased(db, salon, lead):
    return (await erase(db, salon, lead.id)).rows["leads"]


async def accepted(db, salon, lead):
    return (await proofs.accept(db, salon, "CA1")).name


@pytest.mark.parametrize(("work", "expected"), [(erased, 1), (accepted, "Eve")])
def test_a_person_is_changed_by_who_needs_their_claim_next(
    database_url, work, expected
):
    async def story(db, salon):
        lead = await leads.touch(db, salon, PHONE)
        await claims.write(db, salon, Claimant("CA1", PHONE), None, {"name": "Dan"})
        async with held(db, salon) as connection:
            # The other side is what PostgreSQL lets fail.
            await connection.execute("set local deadlock_timeout = '20s'")
            await leads.learn(connection, salon, PHONE, {"name": "Eve"})
            working = asyncio.create_task(work(db, salon, lead))
            await until_waiting(db, 1)
            await claims.read(connection, salon, "CA1", locks=True)

        assert await working == expected

    run(story, database_url)


def test_deadlocks_without_end_are_told():
    tries = []

    @despite_deadlocks
    async def work(what):
        tries.append(what)
        raise asyncpg.DeadlockDetectedError

    with pytest.raises(asyncpg.DeadlockDetectedError):
        asyncio.run(work("it"))
    assert tries == ["it"] * (DEADLOCKS_MAX + 1)
