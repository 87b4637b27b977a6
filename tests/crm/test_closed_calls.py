"""The record of a call that nodes own: written by its owner alone, which it ends."""

import asyncio

from crm import calls, deleting, live_calls
from crm.nodes import STALE_S
from tests.crm.test_live_calls import told, until_it_waits
from tests.crm.test_nodes import age


@told
async def test_record_ends_ownership(salon):
    owner = await salon.open()
    await salon.save(owner, b"state")

    assert await salon.record(owner, 1)
    assert await salon.find(owner) is None
    assert await salon.load(owner) is None
    assert await salon.claim(owner) is None
    assert await salon.recorded() == {owner.call_sid}
    assert not await salon.record(owner, 1)


@told
async def test_older_generation_writes_no_record(salon):
    """A node that was frozen wakes: the call is another node's."""
    owner = await salon.open()
    await salon.lose(owner)
    await salon.save(owner, b"state", generation=2)
    before = await rows_of(salon)

    assert not await salon.record(owner, 1)
    assert not await salon.record(owner, 0)
    assert await rows_of(salon) == before
    assert await salon.load(owner) == (1, b"state")

    assert await salon.record(owner, 2)
    assert not await salon.record(owner, 1)
    assert await salon.recorded() == {owner.call_sid}


@told
async def test_record_names_the_nodes_that_had_the_call(salon):
    """Also one that let go of the call, and none where not all of them are known."""
    kept, lost, unknown = [await salon.open(f"CA{n}") for n in range(3)]
    await salon.lose(lost)
    await live_calls.release(salon.db, lost.call_sid, 2)
    await salon.claim(lost, 2)
    await salon.lose(unknown)
    async with salon.db.owner() as connection:
        await connection.execute(
            "update call_owners set nodes = '{b}' where call_sid = $1", unknown.call_sid
        )
    for owner, generation in ((kept, 1), (lost, 3), (unknown, 2)):
        assert await salon.record(owner, generation)

    found = [
        (await calls.find(salon.db, salon.business_id, one.call_sid))["nodes"]
        for one in (kept, lost, unknown)
    ]
    assert found == [["a"], ["a", "b", "b"], []]


async def rows_of(salon):
    return await deleting.count(salon.db, salon.business_id)


@told
async def test_record_that_waits_for_a_claim_is_not_written(salon):
    owner = await salon.open()
    async with salon.db.routing() as connection:
        await connection.execute(
            "update call_owners set generation = 2 where call_sid = $1", owner.call_sid
        )
        late = asyncio.create_task(salon.record(owner, 1))
        await until_it_waits(connection)
    assert not await late

    assert await salon.recorded() == set()


@told
async def test_claim_that_waits_for_a_record_is_not_won(salon):
    owner = await salon.open()
    await age(salon.db, "a", STALE_S + 1)
    async with salon.db.tenant(salon.business_id) as connection:
        assert await live_calls.close(connection, salon.business_id, owner.call_sid, 1)
        late = asyncio.create_task(salon.claim(owner))
        await until_it_waits(connection)

    assert await late is None


@told
async def test_record_without_an_owner_is_written(salon):
    """The database was away when the call came, or was restored from a backup."""
    owner = await salon.open()
    async with salon.db.owner() as connection:
        await connection.execute("delete from call_owners")

    assert await salon.record(owner, 3)
    owner = await salon.open("CA2")
    async with salon.db.owner() as connection:
        await connection.execute("delete from call_owners")
    assert await salon.record(owner, 0)
