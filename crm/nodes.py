"""Nodes: the running services that share this database, by their heartbeats.

The database's clock alone decides which node is stale: no time comes from a node, so
that a node's own clock cannot matter.
"""

from uuid import UUID

import msgspec

from crm.database import Database

# A node beats each second. Three missed heartbeats make it stale.
STALE_S = 3.0
FRESH = f"beat_at >= now() - interval '{STALE_S} seconds'"
_NODE = f"""
select name, url, version, capacity, active, is_draining, drain_asked,
  greatest(extract(epoch from now() - beat_at), 0)::float8 as age_s,
  not ({FRESH}) as is_stale
from nodes"""
# A new incarnation was not asked to drain.
_BEAT = f"""
insert into nodes
  (name, incarnation, url, version, capacity, active, is_draining, beat_at)
values ($1, $2, $3, $4, $5, $6, $7, now())
on conflict (name) do update set
  incarnation = excluded.incarnation, url = excluded.url, version = excluded.version,
  capacity = excluded.capacity, active = excluded.active,
  is_draining = excluded.is_draining, beat_at = excluded.beat_at,
  drain_asked = nodes.drain_asked and nodes.incarnation = excluded.incarnation
where nodes.incarnation = excluded.incarnation or not (nodes.{FRESH})
returning drain_asked"""
_FREEST = f"""
{_NODE} where url <> '' and name <> $1 and {FRESH}
  and not is_draining and not drain_asked and active < capacity
order by active::float8 / capacity, name limit 1"""


class NameTaken(Exception):
    """Another node beats under this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r}: another node runs under this name")


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A node's heartbeat; `incarnation` is one start of it."""

    name: str
    incarnation: UUID
    url: str
    version: str
    capacity: int
    active: int
    is_draining: bool


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node as its last heartbeat described it, `age_s` ago."""

    name: str
    url: str
    version: str
    capacity: int
    active: int
    is_draining: bool
    # It learns of this with its next heartbeat.
    drain_asked: bool
    age_s: float
    is_stale: bool


async def beat(db: Database, node: Beat) -> bool:
    """Write a node's heartbeat; return whether the node was asked to drain.

    Raises NameTaken while another incarnation has the name and is not stale.
    """
    async with db.routing() as connection:
        row = await connection.fetchrow(
            _BEAT,
            node.name,
            node.incarnation,
            node.url,
            node.version,
            node.capacity,
            node.active,
            node.is_draining,
        )
    if row is None:
        raise NameTaken(node.name)
    is_asked: bool = row["drain_asked"]
    return is_asked


async def leave(db: Database, name: str, incarnation: UUID) -> None:
    """Remove a node that stops; a node that took its name over stays."""
    async with db.routing() as connection:
        await connection.execute(
            "delete from nodes where name = $1 and incarnation = $2", name, incarnation
        )


async def every(db: Database) -> list[Node]:
    """Return all nodes by name, stale ones included."""
    async with db.routing() as connection:
        rows = await connection.fetch(f"{_NODE} order by name")
    return [Node(**row) for row in rows]


async def freest(db: Database, but: str) -> Node | None:
    """Return the node, other than `but`, with the largest share of its capacity free.

    None if no other node can be reached and takes calls.
    """
    async with db.routing() as connection:
        row = await connection.fetchrow(_FREEST, but)
    return None if row is None else Node(**row)


async def ask_to_drain(db: Database, name: str) -> bool:
    """Ask a node to drain, which its next heartbeat tells it; False: no such node."""
    async with db.routing() as connection:
        found = await connection.fetchval(
            "update nodes set drain_asked = true where name = $1 returning true", name
        )
    return found is not None
