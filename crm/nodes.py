"""Nodes: the running services that share this database, by their heartbeats.

A node has one process or more, its workers, and each of them beats. The database's
clock alone decides which process is stale: no time comes from a process, so that its
own clock cannot matter.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from crm.database import Database

# A process beats each second. Three missed heartbeats make it stale. A heartbeat from
# the future does, too: a failover to a server whose clock is behind leaves those of
# dead processes there, and the living beat again within a second.
STALE_S = 3.0
_STALE = f"interval '{STALE_S} seconds'"
FRESH = f"beat_at between now() - {_STALE} and now() + {_STALE}"
# Rows of dead processes are of no use for longer than this.
_FORGET = "delete from nodes where beat_at < now() - interval '1 minute'"
# The workers of a node that beat say what the node is; of a stale node, all of them.
# Those that drain, after a take-over, take no calls: their places are not the node's.
_NODE = f"""
with parts as (
  select *, {FRESH} as is_fresh,
    bool_or({FRESH}) over (partition by name, version) as is_up
  from nodes
)
select name, max(url) as url, version, min(format) as format,
  sum(capacity)::int as capacity, sum(active)::int as active,
  is_draining, bool_or(drain_asked) as drain_asked,
  abs(extract(epoch from now() - max(beat_at)))::float8 as age_s,
  not bool_or(is_fresh) as is_stale
from parts where is_fresh or not is_up
group by name, version, is_draining"""
# The lock decides between two processes that start under one name.
_LOCK = "select pg_advisory_xact_lock(hashtextextended('nodes:' || $1, 0))"
_IS_TAKEN = f"""
select exists (select from nodes where name = $1 and worker = $2 and incarnation <> $3
  and {FRESH} and not is_draining)"""
_BEAT = """
insert into nodes (incarnation, name, worker, url, version, format, capacity, active,
  is_draining, beat_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now())
on conflict (incarnation) do update set
  url = excluded.url, version = excluded.version, capacity = excluded.capacity,
  active = excluded.active, is_draining = excluded.is_draining,
  beat_at = excluded.beat_at
returning drain_asked"""
_FREEST = f"""
select * from ({_NODE}) n where url <> '' and name <> all($1) and not is_stale
  and not is_draining and not drain_asked and active < capacity
order by active::float8 / capacity, name limit 1"""
# A call that is under way already finds room on a full node, too.
_READER = f"""
select * from ({_NODE}) n where url <> '' and name <> all($1) and format = $2
  and not is_stale and not is_draining and not drain_asked
order by active::float8 / greatest(capacity, 1), name limit 1"""


class NameTaken(Exception):
    """Another node beats under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r}: another node runs under this name")


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A process's heartbeat; `incarnation` is one life of the process."""

    name: str
    worker: int
    incarnation: UUID
    url: str
    version: str
    # Of the checkpoints that it reads.
    format: int
    capacity: int
    active: int
    is_draining: bool


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node of one version, all its workers together, those that drain apart; the
    last heartbeat is `age_s` old."""

    name: str
    url: str
    version: str
    format: int
    capacity: int
    active: int
    is_draining: bool
    # It learns of this with its next heartbeat.
    drain_asked: bool
    age_s: float
    is_stale: bool


async def join(db: Database, beat: Beat, *, takes_over: bool = False) -> None:
    """Write a process's first heartbeat.

    Raises NameTaken while another process has its name and number, and neither drains
    nor is stale. `takes_over`: that process is about to drain.
    """
    async with db.routing() as connection:
        await connection.execute(_LOCK, beat.name)
        await connection.execute(_FORGET)
        is_taken = await connection.fetchval(
            _IS_TAKEN, beat.name, beat.worker, beat.incarnation
        )
        if is_taken and not takes_over:
            raise NameTaken(beat.name)
        await connection.execute(_BEAT, *_values(beat))


async def beat(db: Database, beat: Beat) -> bool:
    """Write a process's heartbeat; return whether its node was asked to drain."""
    async with db.routing() as connection:
        is_asked: bool = await connection.fetchval(_BEAT, *_values(beat))
    return is_asked


def _values(beat: Beat) -> tuple[object, ...]:
    return (
        beat.incarnation,
        beat.name,
        beat.worker,
        beat.url,
        beat.version,
        beat.format,
        beat.capacity,
        beat.active,
        beat.is_draining,
    )


async def leave(db: Database, incarnation: UUID) -> None:
    """Remove a process that stops, or is known to be dead."""
    async with db.routing() as connection:
        await connection.execute(
            "delete from nodes where incarnation = $1", incarnation
        )


async def every(db: Database) -> list[Node]:
    """Return all nodes by name, stale ones included."""
    async with db.routing() as connection:
        rows = await connection.fetch(
            f"{_NODE} order by name, version, is_draining desc"
        )
    return [Node(**row) for row in rows]


async def freest(db: Database, but: Sequence[str]) -> Node | None:
    """Return the node, none of `but`, with the largest share of its capacity free.

    None if no other node can be reached and takes calls.
    """
    async with db.routing() as connection:
        row = await connection.fetchrow(_FREEST, but)
    return None if row is None else Node(**row)


async def reader(db: Database, format: int, but: Sequence[str]) -> Node | None:
    """Return the node, none of `but`, with the most room of those that read a format
    of checkpoints and take calls; None if no other node can be reached and does."""
    async with db.routing() as connection:
        row = await connection.fetchrow(_READER, but, format)
    return None if row is None else Node(**row)


async def ask_to_drain(db: Database, name: str) -> bool:
    """Ask a node to drain, which its next heartbeat tells it; False: no such node."""
    async with db.routing() as connection:
        found = await connection.fetch(
            "update nodes set drain_asked = true where name = $1 returning true", name
        )
    return bool(found)
