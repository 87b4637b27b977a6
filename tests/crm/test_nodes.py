"""Nodes and their heartbeats: in a real database, whose clock alone counts."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from crm import nodes
from crm.database import Database
from crm.nodes import STALE_S, Beat, NameTaken

ONE = uuid4()


def told(story):
    """Make a test of a story: a database without nodes."""

    def test(database_url):
        async def main():
            db = await Database.open(database_url)
            try:
                async with db.owner() as connection:
                    await connection.execute("delete from nodes")
                await story(db)
            finally:
                async with db.owner() as connection:
                    await connection.execute("delete from nodes")
                await db.close()

        asyncio.run(main())

    test.__name__ = story.__name__
    return test


def node(name="a", incarnation=ONE, **changes):
    fields = {
        "url": f"https://{name}.example",
        "version": "1.0",
        "capacity": 10,
        "active": 0,
        "is_draining": False,
    }
    return Beat(name=name, incarnation=incarnation, **{**fields, **changes})


async def age(db, name, by_s):
    """Let a node's last heartbeat be so long ago."""
    async with db.owner() as connection:
        await connection.execute(
            "update nodes set beat_at = now() - $2 * interval '1 s' where name = $1",
            name,
            by_s,
        )


@told
async def test_node_is_what_its_last_heartbeat_said(db):
    assert await nodes.beat(db, node("b", active=1)) is False
    await nodes.beat(db, node("a"))
    await nodes.beat(db, node("b", active=2, capacity=20, version="1.1"))
    first, second = await nodes.every(db)

    assert (first.name, second.name) == ("a", "b")
    assert (second.active, second.capacity, second.version) == (2, 20, "1.1")
    assert second.url == "https://b.example"
    assert not second.is_stale and not second.is_draining
    assert 0 <= second.age_s < STALE_S


@told
async def test_node_that_no_longer_beats_is_stale(db):
    await nodes.beat(db, node("a"))
    await age(db, "a", STALE_S + 1)
    (seen,) = await nodes.every(db)
    assert seen.is_stale
    assert seen.age_s >= STALE_S + 1

    await nodes.beat(db, node("a"))
    (seen,) = await nodes.every(db)
    assert not seen.is_stale


@told
async def test_name_is_taken_while_its_node_beats(db):
    await nodes.beat(db, node("a", ONE, active=3))
    other = node("a", uuid4())
    with pytest.raises(NameTaken, match="'a': another node runs under this name"):
        await nodes.beat(db, other)
    (seen,) = await nodes.every(db)
    assert seen.active == 3

    await age(db, "a", STALE_S + 1)
    await nodes.beat(db, other)
    with pytest.raises(NameTaken):
        await nodes.beat(db, node("a", ONE))


@told
async def test_of_two_nodes_that_start_at_once_one_gets_the_name(db):
    found = await asyncio.gather(
        *(nodes.beat(db, node("a", uuid4())) for _ in range(8)), return_exceptions=True
    )

    assert found.count(False) == 1
    assert sum(isinstance(one, NameTaken) for one in found) == 7


@told
async def test_node_that_leaves_frees_its_name_and_no_other_ones(db):
    await nodes.beat(db, node("a", ONE))
    await nodes.leave(db, "a", uuid4())
    assert len(await nodes.every(db)) == 1

    await nodes.leave(db, "a", ONE)
    assert await nodes.every(db) == []
    assert await nodes.beat(db, node("a", uuid4())) is False


@told
async def test_drain_is_told_with_each_heartbeat(db):
    assert await nodes.ask_to_drain(db, "a") is False
    await nodes.beat(db, node("a"))
    assert await nodes.ask_to_drain(db, "a") is True
    (seen,) = await nodes.every(db)
    assert (seen.drain_asked, seen.is_draining) == (True, False)

    assert await nodes.beat(db, node("a")) is True
    assert await nodes.beat(db, node("a", is_draining=True)) is True
    (seen,) = await nodes.every(db)
    assert (seen.drain_asked, seen.is_draining) == (True, True)


@told
async def test_node_that_starts_again_was_not_asked_to_drain(db):
    await nodes.beat(db, node("a"))
    await nodes.ask_to_drain(db, "a")
    await age(db, "a", STALE_S + 1)

    assert await nodes.beat(db, node("a", uuid4())) is False
    (seen,) = await nodes.every(db)
    assert not seen.drain_asked


@told
async def test_freest_has_the_largest_share_free(db):
    assert await nodes.freest(db, "a") is None
    await nodes.beat(db, node("a", capacity=100))
    await nodes.beat(db, node("b", capacity=10, active=3))
    await nodes.beat(db, node("c", capacity=100, active=31))

    assert (await nodes.freest(db, "a")).name == "b"
    assert (await nodes.freest(db, "")).name == "a"


@told
async def test_freest_takes_calls_and_can_be_reached(db):
    await nodes.beat(db, node("drains", is_draining=True))
    await nodes.beat(db, node("asked"))
    await nodes.ask_to_drain(db, "asked")
    await nodes.beat(db, node("full", capacity=2, active=2))
    await nodes.beat(db, node("closed", capacity=0))
    await nodes.beat(db, node("hidden", url=""))
    await nodes.beat(db, node("gone"))
    await age(db, "gone", STALE_S + 1)

    assert await nodes.freest(db, "a") is None


@told
async def test_name_is_a_dns_label(db):
    for name in ("", "Ä", "a.b", "-a", "a-", "A", "a" * 64):
        with pytest.raises(asyncpg.CheckViolationError):
            await nodes.beat(db, node(name))
    await nodes.beat(db, node("a" * 63))
