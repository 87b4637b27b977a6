"""Nodes and their heartbeats: in a real database, whose clock alone counts."""

import asyncio
from uuid import NAMESPACE_DNS, uuid4, uuid5

import asyncpg
import pytest

from crm import nodes
from crm.database import Database
from crm.nodes import STALE_S, Beat, NameTaken


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


def node(name="a", incarnation=None, **changes):
    fields = {
        "worker": 0,
        "url": f"https://{name}.example",
        "version": "1.0",
        "format": 1,
        "capacity": 10,
        "active": 0,
        "is_draining": False,
    }
    incarnation = incarnation or uuid5(NAMESPACE_DNS, name)
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
async def test_heartbeat_of_a_server_whose_clock_was_ahead_is_stale(db):
    await nodes.join(db, node("a"))
    await nodes.beat(db, node("b"))
    await age(db, "a", -300)
    await age(db, "b", -300)
    assert await nodes.freest(db, []) is None
    # The living beat by the new clock; the dead one's name is free.
    await nodes.beat(db, node("b"))
    assert [one.is_stale for one in await nodes.every(db)] == [True, False]

    await nodes.join(db, node("a", uuid4()))
    assert [one.is_stale for one in await nodes.every(db)] == [False, False]


@told
async def test_workers_of_a_node_are_added_up(db):
    await nodes.beat(db, node("a", uuid4(), worker=0, active=1, url=""))
    await nodes.beat(db, node("a", uuid4(), worker=1, active=2))
    dead = node("a", uuid4(), worker=1, active=7)
    await nodes.beat(db, dead)
    async with db.owner() as connection:
        await connection.execute(
            "update nodes set beat_at = now() - interval '9 s' where incarnation = $1",
            dead.incarnation,
        )
    (seen,) = await nodes.every(db)

    assert (seen.active, seen.capacity, seen.is_stale) == (3, 20, False)
    assert seen.url == "https://a.example"


@told
async def test_versions_of_one_name_are_apart(db):
    await nodes.beat(db, node("a", uuid4(), is_draining=True))
    await nodes.beat(db, node("a", uuid4(), version="1.1"))

    seen = [(one.version, one.is_draining) for one in await nodes.every(db)]
    assert seen == [("1.0", True), ("1.1", False)]


@told
async def test_process_that_drains_beside_its_successor_has_no_places_of_it(db):
    await nodes.beat(db, node("a", uuid4(), is_draining=True, active=10))
    await nodes.beat(db, node("a", uuid4(), active=4))
    await nodes.beat(db, node("b", active=5))

    every = await nodes.every(db)
    seen = [(one.active, one.capacity, one.is_draining) for one in every]
    assert seen == [(10, 10, True), (4, 10, False), (5, 10, False)]
    assert (await nodes.freest(db, [])).name == "a"


@told
async def test_name_is_taken_while_its_node_beats(db):
    await nodes.join(db, node("a", active=3))
    other = node("a", uuid4())
    with pytest.raises(NameTaken, match="'a': another node runs under this name"):
        await nodes.join(db, other)
    (seen,) = await nodes.every(db)
    assert seen.active == 3
    # Its other workers are no other node.
    await nodes.join(db, node("a", uuid4(), worker=1))

    await age(db, "a", STALE_S + 1)
    await nodes.join(db, other)


@told
async def test_name_of_a_node_that_drains_is_free_and_of_one_that_is_replaced(db):
    await nodes.join(db, node("a", is_draining=True))
    await nodes.join(db, node("a", uuid4()))
    await nodes.join(db, node("a", uuid4()), takes_over=True)


@told
async def test_of_two_nodes_that_start_at_once_one_gets_the_name(db):
    found = await asyncio.gather(
        *(nodes.join(db, node("a", uuid4())) for _ in range(8)), return_exceptions=True
    )

    assert found.count(None) == 1
    assert sum(isinstance(one, NameTaken) for one in found) == 7


@told
async def test_node_that_leaves_frees_its_name_and_no_other_ones(db):
    await nodes.join(db, node("a"))
    await nodes.leave(db, uuid4())
    assert len(await nodes.every(db)) == 1

    await nodes.leave(db, node("a").incarnation)
    assert await nodes.every(db) == []
    await nodes.join(db, node("a", uuid4()))


@told
async def test_nodes_that_are_long_dead_are_forgotten(db):
    await nodes.join(db, node("a"))
    await age(db, "a", 61)
    await nodes.join(db, node("b"))

    assert [one.name for one in await nodes.every(db)] == ["b"]


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
    assert await nodes.freest(db, ["a"]) is None
    await nodes.beat(db, node("a", capacity=100))
    await nodes.beat(db, node("b", capacity=10, active=3))
    await nodes.beat(db, node("c", capacity=100, active=31))

    assert (await nodes.freest(db, ["a"])).name == "b"
    assert (await nodes.freest(db, [])).name == "a"


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

    assert await nodes.freest(db, ["a"]) is None


@told
async def test_name_is_a_dns_label(db):
    for name in ("", "Ä", "a.b", "-a", "a-", "A", "a" * 64):
        with pytest.raises(asyncpg.CheckViolationError):
            await nodes.beat(db, node(name))
    await nodes.beat(db, node("a" * 63))


@told
async def test_reader_of_a_format_is_the_one_with_most_room_that_takes_calls(db):
    await nodes.beat(db, node("a", format=2, active=5))
    await nodes.beat(db, node("b", format=2, active=10))
    await nodes.beat(db, node("c", format=1))
    await nodes.beat(db, node("d", format=2, is_draining=True))
    await nodes.beat(db, node("e", format=2, url=""))
    await nodes.beat(db, node("f", format=2))
    await age(db, "f", 4)

    assert (await nodes.reader(db, 2, [])).name == "a"
    # A full node goes on with a call that is under way.
    assert (await nodes.reader(db, 2, ["a"])).name == "b"
    assert await nodes.reader(db, 2, ["a", "b"]) is None
    assert await nodes.reader(db, 3, []) is None


@told
async def test_process_of_an_older_version_reads_the_first_format(db):
    async with db.owner() as connection:
        await connection.execute(
            "insert into nodes (incarnation, name, worker, url, version, capacity, "
            "active) values ($1, 'a', 0, 'https://a.example', '0.9', 1, 0)",
            uuid4(),
        )

    assert (await nodes.reader(db, 1, [])).name == "a"
