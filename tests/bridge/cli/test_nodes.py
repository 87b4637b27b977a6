"""`kolbridge nodes`, `kolbridge drain` and `kolbridge calls --live`."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import orjson
import pytest
from msgspec.structs import replace

from bridge.cli import drain
from crm import businesses, live_calls, nodes
from crm.database import Database
from crm.nodes import STALE_S
from tests.crm.test_nodes import age, node

ONE = node("a").incarnation


@pytest.fixture
def on_nodes(embedded_url):
    """Run steps on the database, which has no nodes and no running calls before."""

    def run(steps):
        async def main():
            db = await Database.open(embedded_url, pool_max=1)
            try:
                return await steps(db)
            finally:
                await db.close()

        return asyncio.run(main())

    async def clear(db):
        async with db.owner() as connection:
            await connection.execute("delete from nodes")
            await connection.execute("delete from call_owners")

    run(clear)
    yield run
    run(clear)


def test_nodes_are_listed_with_calls_and_state(shell, on_nodes):
    assert shell("nodes") == (0, "", "")

    async def fill(db):
        await nodes.beat(db, node("a", version="1.2", active=3))
        await nodes.beat(db, node("b", url="", is_draining=True))
        await nodes.beat(db, node("c"))
        await nodes.ask_to_drain(db, "c")
        await nodes.beat(db, node("d"))
        await age(db, "d", STALE_S + 60)

    on_nodes(fill)
    code, out, _ = shell("nodes")
    assert code == 0
    shown = [line.rpartition("  ")[::2] for line in out.splitlines()]
    assert [text for text, _ in shown] == [
        "a  1.2  3/10  up  https://a.example",
        "b  1.0  0/10  draining  -",
        "c  1.0  0/10  draining  https://c.example",
        "d  1.0  0/10  stale  https://d.example",
    ]
    assert [float(age_s.removesuffix(" s")) < STALE_S for _, age_s in shown] == [
        *[True] * 3,
        False,
    ]
    rows = [orjson.loads(line) for line in shell("nodes", "--json")[1].splitlines()]
    assert [row["state"] for row in rows] == ["up", "draining", "draining", "stale"]
    assert (rows[0]["name"], rows[0]["active"], rows[0]["capacity"]) == ("a", 3, 10)


def test_node_is_asked_to_drain(shell, on_nodes):
    on_nodes(lambda db: nodes.beat(db, node("node-1")))

    assert shell("drain", "node-1") == (0, "node-1: asked to drain\n", "")
    assert on_nodes(lambda db: nodes.beat(db, node("node-1"))) is True


def test_node_that_is_none_is_named(shell, on_nodes):
    on_nodes(lambda db: nodes.beat(db, node("node-1")))
    code, out, error = shell("drain", "node-2", "--wait")

    assert (code, out) == (2, "")
    assert error.startswith("kolbridge drain: 'node-2': there is no such node")
    assert "node-1" in error


def test_drain_waits_no_longer_than_the_node_has_calls(shell, on_nodes):
    on_nodes(lambda db: nodes.beat(db, node("a", is_draining=True)))

    assert shell("drain", "a", "--wait") == (
        0,
        "a: asked to drain\na: 0 of 10 calls\na: drained\n",
        "",
    )


def waited(on_nodes, *steps):
    """Wait for node `a`, which was asked to drain; each pause is one of the steps."""
    left = list(steps)

    async def story(db):
        await nodes.beat(db, node("a", active=2))
        await nodes.ask_to_drain(db, "a")

        async def pause():
            await left.pop(0)(db)

        await drain.wait(db, "a", pause=pause)

    on_nodes(story)
    assert left == []


def beats(**changes):
    return lambda db: nodes.beat(db, node("a", **changes))


def test_each_change_is_shown_until_the_node_drains_without_calls(on_nodes, capsys):
    # Without calls it may still take one: it has not said yet that it drains.
    waited(
        on_nodes,
        beats(active=2),
        beats(active=0),
        beats(active=1, is_draining=True),
        beats(active=0, is_draining=True),
    )

    assert capsys.readouterr().out.splitlines() == [
        "a: 2 of 10 calls",
        "a: 0 of 10 calls",
        "a: 1 of 10 calls",
        "a: 0 of 10 calls",
        "a: drained",
    ]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_successor_under_the_name_is_waited_for_too(on_nodes, capsys, version):
    successor = node("a", uuid4(), version=version, active=1, is_draining=True)

    async def taken_over(db):
        await nodes.beat(db, node("a", is_draining=True))
        await nodes.beat(db, successor)

    waited(
        on_nodes, taken_over, lambda db: nodes.beat(db, replace(successor, active=0))
    )

    assert capsys.readouterr().out.splitlines() == [
        "a: 2 of 10 calls",
        "a: 1 of 20 calls",
        "a: 0 of 20 calls",
        "a: drained",
    ]


async def silent(db):
    await age(db, "a", STALE_S + 1)


async def left(db):
    await nodes.leave(db, ONE)


async def started_again(db):
    await silent(db)
    await nodes.beat(db, node("a", uuid4()))


@pytest.mark.parametrize("how", [silent, left, started_again])
def test_node_that_is_gone_is_not_waited_for(on_nodes, capsys, how):
    waited(on_nodes, how)

    assert capsys.readouterr().out.splitlines() == ["a: 2 of 10 calls", "a: gone"]


class AwayOnce(Database):
    """A database that is away for the first query."""

    is_away = True

    @asynccontextmanager
    async def routing(self):
        if self.is_away:
            self.is_away = False
            raise asyncpg.CannotConnectNowError("it starts up")
        async with super().routing() as connection:
            yield connection


def test_wait_goes_on_while_the_database_is_away(embedded_url, on_nodes, capsys):
    on_nodes(beats(is_draining=True))

    async def main():
        db = await AwayOnce.open(embedded_url, pool_max=1)
        pauses = []
        await drain.wait(db, "a", pause=lambda: asyncio.sleep(0, pauses.append(1)))
        await db.close()
        return len(pauses)

    assert asyncio.run(main()) == 1
    out, error = capsys.readouterr()
    assert error == "kolbridge drain: the database: it starts up\n"
    assert out.endswith("a: drained\n")


def test_running_calls_of_all_nodes_are_listed(shell, on_nodes):
    names = [f"{kind} {uuid4().hex[:8]}" for kind in ("Salon", "Bank")]

    async def open_call(db, business_id, call_sid, name, incarnation):
        return await live_calls.open(
            db,
            call_sid=call_sid,
            business_id=business_id,
            account_sid="AC1",
            to_number="+12025550123",
            node=name,
            incarnation=incarnation,
            worker=1,
        )

    async def fill(db):
        salon = await businesses.create(db, names[0], time_zone="Asia/Jerusalem")
        bank = await businesses.create(db, names[1])
        two = uuid4()
        await nodes.beat(db, node("a"))
        await open_call(db, salon, "CA1", "a", ONE)
        await open_call(db, salon, "CA2", "gone", two)
        await live_calls.claim(db, "CA2", 1, "a", ONE, 0)
        await open_call(db, bank, "CA3", "gone", two)
        await open_call(db, bank, "CA4", "a", ONE)
        await live_calls.release(db, "CA4", 1)

    on_nodes(fill)
    code, out, _ = shell("calls", "--live", "--limit", "1")
    assert code == 0
    salon, bank = (f"{name}  +120…23" for name in names)
    lines = out.splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        f"CA1  {salon}  node=a  worker=1  generation=1  claims=0",
        f"CA2  {salon}  node=a  worker=0  generation=2  claims=1",
        f"CA3  {bank}  node=gone  worker=1  generation=1  claims=0  stale",
        f"CA4  {bank}  node=-  worker=1  generation=1  claims=0  released",
    ]
    # In the business's own time.
    assert lines[0].partition("  ")[0][-6:] in ("+02:00", "+03:00")
    assert lines[2].partition("  ")[0].endswith("+00:00")

    _, out, _ = shell("calls", "--live", "--business", names[1], "--json")
    rows = [orjson.loads(line) for line in out.splitlines()]
    assert [(row["call_sid"], row["is_stale"]) for row in rows] == [
        ("CA3", True),
        ("CA4", True),
    ]
    assert {row["to_number"] for row in rows} == {"+120…23"}
