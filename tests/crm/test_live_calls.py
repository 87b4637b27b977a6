"""Who owns a running call: one claim wins, and an older generation writes nothing."""

import asyncio
from uuid import UUID, uuid4

import asyncpg
import pytest

from crm import businesses, calls, deleting, live_calls, nodes
from crm.database import Database
from crm.live_calls import Checkpoint
from crm.nodes import STALE_S
from tests.crm.test_crm import call
from tests.crm.test_nodes import age, node

ONE, TWO = uuid4(), uuid4()
NUMBER = "+12025550123"


def checkpoint(owner, state, generation=1, version=1, plan=None):
    business_id = owner.business_id
    return Checkpoint(business_id, owner.call_sid, generation, version, plan, state)


class Running:
    """A business whose calls node `a` has, with node `b` beside it."""

    def __init__(self, db, business_id):
        self.db = db
        self.business_id = business_id

    async def open(self, call_sid="", name="a", incarnation=ONE, worker=0):
        return await live_calls.open(
            self.db,
            call_sid=call_sid or f"CA{uuid4().hex}",
            business_id=self.business_id,
            account_sid="AC1",
            to_number=NUMBER,
            node=name,
            incarnation=incarnation,
            worker=worker,
        )

    async def claim(self, owner, generation=None):
        return await live_calls.claim(
            self.db, owner.call_sid, generation or owner.generation, "b", TWO, 1
        )

    async def lose(self, owner):
        """Let `b` claim a call of a node that was silent, and then beats again."""
        await age(self.db, "a", STALE_S + 1)
        generation = await self.claim(owner)
        await nodes.beat(self.db, node("a", ONE))
        return generation

    async def save(self, owner, state, generation=None, version=1):
        found = checkpoint(owner, state, generation or owner.generation, version)
        await live_calls.save(self.db, [found])

    async def load(self, owner):
        found = await live_calls.load(self.db, self.business_id, owner.call_sid)
        return found and (found[0], found[2])

    async def find(self, owner):
        return await live_calls.find(self.db, owner.call_sid)

    async def record(self, owner, generation):
        return await calls.save(
            self.db, self.business_id, call(owner.call_sid, generation=generation)
        )

    async def recorded(self):
        return {
            row["call_sid"] for row in await calls.recent(self.db, self.business_id)
        }


def told(story):
    def test(database_url):
        async def main():
            db = await Database.open(database_url)
            try:
                async with db.owner() as connection:
                    await connection.execute("delete from call_owners")
                    await connection.execute("delete from nodes")
                await nodes.beat(db, node("a", ONE))
                await nodes.beat(db, node("b", TWO))
                await story(Running(db, await businesses.create(db, "Salon")))
            finally:
                async with db.owner() as connection:
                    await connection.execute("delete from call_owners")
                    await connection.execute("delete from nodes")
                await db.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


@told
async def test_first_to_open_a_call_owns_it(salon):
    first = await salon.open("CA1", "a", ONE, worker=3)
    second = await salon.open("CA1", "b", TWO)

    assert (first.node, first.incarnation, first.worker) == ("a", ONE, 3)
    assert (first.generation, first.claims, first.is_stale) == (1, 0, False)
    assert (first.account_sid, first.to_number) == ("AC1", NUMBER)
    assert first.business_id == salon.business_id
    assert second == first == await salon.find(first)
    assert await live_calls.find(salon.db, "CAnone") is None


@told
async def test_call_of_a_node_that_died_before_a_failover_is_claimed(salon):
    owner = await salon.open()
    await age(salon.db, "a", -300)  # The server's clock is behind its predecessor's.

    assert [one.call_sid for one in await live_calls.stale(salon.db, 9)] == [
        owner.call_sid
    ]
    assert await salon.claim(owner) == 2


@told
async def test_call_of_a_node_that_beats_is_not_claimed(salon):
    owner = await salon.open()

    assert await salon.claim(owner) is None
    assert await salon.find(owner) == owner


async def no_heartbeat(db):
    await age(db, "a", STALE_S + 1)


async def no_row(db):
    await nodes.leave(db, ONE)


async def another_incarnation(db):
    await no_heartbeat(db)
    await nodes.beat(db, node("a", uuid4()))


@pytest.mark.parametrize("how", [no_heartbeat, no_row, another_incarnation])
def test_call_of_a_node_that_is_gone_is_claimed(database_url, how):
    async def story(salon):
        owner = await salon.open()
        await how(salon.db)
        assert (await salon.find(owner)).is_stale
        assert await salon.claim(owner) == 2

        claimed = await salon.find(owner)
        assert (claimed.node, claimed.incarnation, claimed.worker) == ("b", TWO, 1)
        assert (claimed.generation, claimed.claims, claimed.is_stale) == (2, 1, False)
        assert claimed.opened_at == owner.opened_at

    told(story)(database_url)


@told
async def test_of_claims_at_once_one_wins(salon):
    owner = await salon.open()
    await age(salon.db, "a", STALE_S + 1)
    won = await asyncio.gather(*(salon.claim(owner) for _ in range(8)))

    assert sorted(won, key=str) == [2, *[None] * 7]
    assert (await salon.find(owner)).claims == 1


@told
async def test_claim_of_another_generation_is_not_won(salon):
    owner = await salon.open()
    await age(salon.db, "a", STALE_S + 1)

    assert await salon.claim(owner, generation=2) is None
    assert await salon.claim(owner) == 2
    await age(salon.db, "b", STALE_S + 1)
    assert await salon.claim(owner) is None
    assert await live_calls.claim(salon.db, "CAnone", 1, "b", TWO, 0) is None


@told
async def test_released_call_is_claimed_at_once(salon):
    owner = await salon.open()
    await live_calls.release(salon.db, owner.call_sid, 2)
    assert not (await salon.find(owner)).is_stale

    await live_calls.release(salon.db, owner.call_sid, 1)
    released = await salon.find(owner)
    assert (released.node, released.generation, released.is_stale) == ("", 1, True)
    assert await salon.claim(owner) == 2


@told
async def test_checkpoint_is_replaced(salon):
    owner = await salon.open()
    assert await salon.load(owner) is None
    await salon.save(owner, b"\0one")
    await salon.save(owner, b"two", version=2)

    assert await salon.load(owner) == (2, b"two")


@told
async def test_plan_is_written_once(salon):
    owner = await salon.open()
    first = checkpoint(owner, b"one", plan=b"plan")
    await live_calls.save(salon.db, [first])
    await salon.save(owner, b"two")

    found = await live_calls.load(salon.db, salon.business_id, owner.call_sid)
    assert found == (1, b"plan", b"two")


@told
async def test_checkpoints_of_all_businesses_are_one_statement(salon):
    owners = [await salon.open() for _ in range(3)]
    other = Running(salon.db, await businesses.create(salon.db, "Other"))
    foreign = await other.open()
    states = [checkpoint(one, b"state") for one in (*owners, foreign)]
    await live_calls.save(salon.db, states)
    await live_calls.save(salon.db, [])

    assert [await salon.load(one) for one in owners] == [(1, b"state")] * 3
    assert await other.load(foreign) == (1, b"state")
    assert await salon.load(foreign) is None


@told
async def test_checkpoint_under_another_business_is_not_written(salon):
    other = Running(salon.db, await businesses.create(salon.db, "Other"))
    owner, foreign = await salon.open(), await other.open()
    forged = checkpoint(foreign, b"forged")._replace(business_id=salon.business_id)
    await live_calls.save(salon.db, [checkpoint(owner, b"state"), forged])

    assert await salon.load(owner) == (1, b"state")
    assert await salon.load(foreign) is await other.load(foreign) is None


@told
async def test_older_generation_saves_nothing(salon):
    lost, kept = await salon.open(), await salon.open()
    await salon.save(lost, b"before")
    assert await salon.lose(lost) == 2
    states = [checkpoint(one, b"frozen") for one in (lost, kept)]
    await live_calls.save(salon.db, states)

    assert await salon.load(lost) == (1, b"before")
    assert await salon.load(kept) == (1, b"frozen")
    await salon.save(lost, b"after", generation=2)
    assert await salon.load(lost) == (1, b"after")


@told
async def test_save_waits_for_a_claim_and_then_writes_nothing(salon):
    owner = await salon.open()
    await salon.save(owner, b"before")
    async with salon.db.routing() as connection:
        await connection.execute(
            "update call_owners set generation = 2 where call_sid = $1", owner.call_sid
        )
        late = asyncio.create_task(salon.save(owner, b"frozen"))
        await until_it_waits(connection)
    await late

    assert await salon.load(owner) == (1, b"before")


async def until_it_waits(connection):
    """Wait until another session of this database waits for a lock of this one."""
    query = (
        "select exists (select from pg_locks where not granted "
        "and pg_backend_pid() = any (pg_blocking_pids(pid)))"
    )
    async with asyncio.timeout(10):
        while not await connection.fetchval(query):
            pass


@told
async def test_generations_tell_which_calls_another_owns(salon):
    kept, lost, ended = [await salon.open() for _ in range(3)]
    assert await salon.lose(lost) == 2
    await salon.record(ended, 1)
    sids = [owner.call_sid for owner in (kept, lost, ended)]

    found = await live_calls.generations(salon.db, sids)
    assert found == {kept.call_sid: 1, lost.call_sid: 2}
    assert await live_calls.generations(salon.db, []) == {}


@told
async def test_stale_owners_are_listed_oldest_call_first(salon):
    first = await salon.open()
    alive = await salon.open(name="b", incarnation=TWO)
    second, third = await salon.open(), await salon.open()
    assert await live_calls.stale(salon.db, 10) == []
    await age(salon.db, "a", STALE_S + 1)

    found = [one.call_sid for one in await live_calls.stale(salon.db, 2)]
    assert found == [first.call_sid, second.call_sid]
    every = [one.call_sid for one in await live_calls.live(salon.db)]
    assert every == [one.call_sid for one in (first, alive, second, third)]


@told
async def test_business_is_deleted_with_its_running_calls(salon):
    owner = await salon.open()
    await salon.save(owner, b"state")
    other = Running(salon.db, await businesses.create(salon.db, "Other"))
    theirs = await other.open()
    await other.save(theirs, b"state")

    counted = await deleting.delete(salon.db, salon.business_id)
    assert counted == {"businesses": 1, "call_owners": 1, "checkpoints": 1}
    assert await salon.find(owner) is None
    assert await other.load(theirs) == (1, b"state")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await salon.open()


@told
async def test_tenant_sees_no_other_tenants_checkpoint_or_owner(salon):
    owner = await salon.open()
    await salon.save(owner, b"state")
    other = await businesses.create(salon.db, "Other")

    async with salon.db.tenant(other) as connection:
        for table in ("checkpoints", "call_owners"):
            assert await connection.fetch(f"select * from {table}") == [], table
            tag = await connection.execute(f"delete from {table}")
            assert tag == "DELETE 0", table
    async with salon.db.routing() as connection:
        assert await connection.fetch("select * from checkpoints") == []
        assert await connection.fetchval("select count(*) from call_owners") == 1
    assert await salon.load(owner) == (1, b"state")


def test_no_statement_is_given_a_time(embedded_url):
    """So that the clock of a node, which may be off by 5 s, decides nothing."""
    given = []

    async def story(db):
        async with db.owner() as connection:
            connection.add_query_logger(lambda query: given.extend(query.args))
        salon = Running(db, await businesses.create(db, "Salon"))
        await nodes.beat(db, node("a", ONE))
        owner = await salon.open()
        await salon.save(owner, b"state")
        await nodes.leave(db, ONE)
        await salon.claim(owner)
        await nodes.freest(db, ["b"])
        await nodes.ask_to_drain(db, "b")
        await nodes.every(db)
        await live_calls.release(db, owner.call_sid, 2)
        await live_calls.stale(db, 10)
        await live_calls.generations(db, [owner.call_sid])
        await db.close()

    async def main():
        await story(await Database.open(embedded_url, pool_max=1))

    asyncio.run(main())
    flat = [*given, *(part for one in given if type(one) is list for part in one)]
    assert "b" in flat
    for one in flat:
        assert isinstance(one, str | int | bool | bytes | list | UUID | None), one
