"""A process's heartbeat, and the files by which dead processes are known."""

import asyncio
import os
import subprocess
import sys
from uuid import UUID, uuid4

import pytest

from bridge.call import checkpoint
from bridge.nodes import membership
from bridge.nodes.membership import Identity, Lives, Load, Membership, identity_of
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import nodes
from crm.database import Database
from crm.nodes import NameTaken
from tests.bridge import ws_peer
from tests.bridge.nodes.test_resumed_calls import clear


def member(database, home, name="a", asked=lambda: None, worker=0):
    who = Identity(name, worker, "", "1.0", uuid4())
    load = Load(2, 10, is_draining=False)
    return Membership(database, home, Metrics(), who, lambda: load, asked)


def told(story_of):
    def test(database_url, tmp_path):
        async def main():
            database = await Database.open(database_url)
            await clear(database)
            try:
                await story_of(database, tmp_path)
            finally:
                await clear(database)
                await database.close()

        ws_peer.run(main)

    test.__name__ = story_of.__name__
    return test


@told
async def test_process_is_a_node_until_it_leaves(database, home):
    one = member(database, home)
    await one.join()
    (seen,) = await nodes.every(database)
    assert (seen.name, seen.active, seen.capacity) == ("a", 2, 10)
    assert seen.format == checkpoint.FORMAT

    await one.leave()
    assert await nodes.every(database) == []
    assert list((home / "nodes").iterdir()) == []


@told
async def test_second_process_of_a_name_does_not_join(database, home):
    membership_wait = membership.JOIN_WAIT_S
    membership.JOIN_WAIT_S = 0.1
    try:
        await member(database, home / "one").join()
        with pytest.raises(NameTaken, match="'a': another node"):
            await member(database, home / "two").join()
        await member(database, home / "two", worker=1).join()
        await member(database, home / "two").join(takes_over=True)
    finally:
        membership.JOIN_WAIT_S = membership_wait


@told
async def test_process_that_died_on_this_machine_is_not_waited_for(database, home):
    died = uuid4()
    code = (
        "import os, sys; from pathlib import Path; from uuid import UUID; "
        "from bridge.nodes.membership import Lives; "
        "Lives(Path(sys.argv[1])).begin(UUID(sys.argv[2])); os._exit(9)"
    )
    arguments = [sys.executable, "-c", code, str(home / "nodes"), str(died)]
    await asyncio.to_thread(subprocess.run, arguments, check=False)
    beat = member(database, home)._made()
    await nodes.join(database, nodes.Beat(**{**fields(beat), "incarnation": died}))

    await member(database, home).join()
    (seen,) = await nodes.every(database)
    assert seen.capacity == 10


def fields(beat):
    return {name: getattr(beat, name) for name in beat.__struct_fields__}


@told
async def test_node_is_told_once_to_drain(database, home):
    asked = []
    one = member(database, home, asked=lambda: asked.append(1))
    await one.join()
    await one._beat()
    assert asked == []

    await nodes.ask_to_drain(database, "a")
    await one._beat()
    await one._beat()
    assert asked == [1]


def test_file_of_a_living_process_stays(tmp_path):
    first, second = Lives(tmp_path), Lives(tmp_path)
    mine = uuid4()
    assert first.begin(mine) == []
    (tmp_path / "no-uuid.alive").touch()
    assert second.begin(uuid4()) == []
    assert (tmp_path / f"{mine}.alive").exists()

    first.end()
    second.end()


def test_process_is_gone_when_its_lock_is(tmp_path):
    one, other, mine = Lives(tmp_path), Lives(tmp_path), uuid4()
    one.begin(mine)
    assert not one.is_gone(mine)
    assert not other.is_gone(mine)
    assert not other.is_gone(uuid4())

    os.close(one._fd)  # as a kill does
    assert other.is_gone(mine)
    assert other.begin(uuid4()) == [mine]
    other.end()


def test_node_is_named_after_machine_and_port(monkeypatch):
    monkeypatch.setattr(membership, "gethostname", lambda: "My.Laptop_" + "x" * 80)
    who = identity_of(Settings(port=9_000), 3)
    assert who.name.startswith("my-laptop-xxx")
    assert who.name.endswith("-9000")
    assert len(who.name) <= 63
    assert (who.worker, who.url) == (3, "")
    assert isinstance(who.incarnation, UUID)

    given = Settings(node_name="n1", node_url="https://n1.example")
    assert identity_of(given, 0)[:3] == ("n1", 0, "https://n1.example")


@told
async def test_stale_heartbeats_mean_nothing_while_the_database_is_away(database, home):
    one = member(database, home)
    await one.join()
    assert one.is_settled()

    one._note_away(OSError("no database"))
    assert not one.is_settled()
    await one._beat()
    assert not one.is_settled(), "the others have not beaten again yet"
    one._back_at -= membership.SETTLE_S
    assert one.is_settled()
    await one.leave()
