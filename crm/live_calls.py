"""Running calls: which node owns each, and the checkpoint that another node resumes.

Ownership is a generation. A claim is one conditional update, which only one claimant
wins. A node with an older generation owns nothing: what it saves or closes is not
written. Times are the database's own.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm.database import Database
from crm.nodes import FRESH

# A released call has no node: its owner is stale, too.
_STALE = f"""(o.node = '' or not exists (select from nodes n
  where n.incarnation = o.incarnation and n.{FRESH}))"""
_COLUMNS = f"""call_sid, business_id, account_sid, to_number, node, incarnation, worker,
  generation, claims, opened_at, {_STALE} as is_stale"""
_OWNER = f"select {_COLUMNS} from call_owners o"
_LIVE = f"""
select {_COLUMNS}, exists (
  select from nodes n where n.incarnation = o.incarnation and n.is_draining
) as is_draining
from call_owners o order by opened_at, call_sid"""
# The update changes nothing: with it, the row of an open call is returned.
_OPEN = f"""
insert into call_owners as o
  (call_sid, business_id, account_sid, to_number, node, incarnation, worker, nodes)
values ($1, $2, $3, $4, $5, $6, $7, array[$5])
on conflict (call_sid) do update set generation = o.generation
returning {_COLUMNS}"""
_CLAIM = f"""
update call_owners o set node = $3, incarnation = $4, worker = $5,
  generation = generation + 1, claims = claims + 1, nodes = nodes || $3::text
where call_sid = $1 and generation = $2 and ($6 or {_STALE})
returning generation"""
_SAVE = "select save_checkpoints($1, $2, $3, $4, $5, $6)"
_CLOSE = """
with closed as (
  delete from call_owners
  where business_id = $1 and call_sid = $2 and generation = $3 returning true
)
select exists (select from closed)
  or not exists (select from call_owners where call_sid = $2)"""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns a running call; `node` is '' where the owner released it."""

    call_sid: str
    business_id: UUID
    account_sid: str
    to_number: str
    node: str
    incarnation: UUID
    worker: int
    generation: int
    # How often another node, or another worker, has claimed the call.
    claims: int
    opened_at: datetime
    # Released, or its node no longer beats: the call may be claimed.
    is_stale: bool
    # Its process takes no new calls; asked of all running calls alone.
    is_draining: bool = False


class Checkpoint(NamedTuple):
    """A call's state as its owner of this generation last knew it."""

    business_id: UUID
    call_sid: str
    generation: int
    format: int
    # None where an earlier checkpoint had it.
    plan: bytes | None
    state: bytes


async def open(
    db: Database,
    *,
    call_sid: str,
    business_id: UUID,
    account_sid: str,
    to_number: str,
    node: str,
    incarnation: UUID,
    worker: int,
) -> Owner:
    """Make this worker a new call's owner; return the owner, who may be another."""
    async with db.routing() as connection:
        row = await connection.fetchrow(
            _OPEN,
            call_sid,
            business_id,
            account_sid,
            to_number,
            node,
            incarnation,
            worker,
        )
    return Owner(**row)


async def find(db: Database, call_sid: str) -> Owner | None:
    """Return the owner of a running call."""
    async with db.routing() as connection:
        row = await connection.fetchrow(f"{_OWNER} where call_sid = $1", call_sid)
    return None if row is None else Owner(**row)


async def claim(
    db: Database,
    call_sid: str,
    generation: int,
    node: str,
    incarnation: UUID,
    worker: int,
    *,
    is_dead: bool = False,
) -> int | None:
    """Claim a call whose owner is stale or released it; return its new generation.

    `is_dead`: the owner is known to be dead, although it has just beaten.

    None if it was not won: another claimed it, its owner is alive, or it has ended.
    """
    async with db.routing() as connection:
        won: int | None = await connection.fetchval(
            _CLAIM, call_sid, generation, node, incarnation, worker, is_dead
        )
    return won


async def release(db: Database, call_sid: str, generation: int) -> None:
    """Give a call up, for any node to claim at once."""
    async with db.routing() as connection:
        await connection.execute(
            "update call_owners set node = '' where call_sid = $1 and generation = $2",
            call_sid,
            generation,
        )


async def save(db: Database, checkpoints: Sequence[Checkpoint]) -> None:
    """Write the checkpoints of one process, of any businesses; a call occurs once.

    One statement. Skips each call that has another generation, or another business.
    """
    columns = [list(column) for column in zip(*checkpoints, strict=True)]
    if not columns:
        return
    async with db.routing() as connection:
        await connection.execute(_SAVE, *columns)


async def load(
    db: Database, business_id: UUID, call_sid: str
) -> tuple[int, bytes | None, bytes] | None:
    """Return the format, the plan and the state of a call's checkpoint."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            "select format, plan, state from checkpoints "
            "where business_id = $1 and call_sid = $2",
            business_id,
            call_sid,
        )
    return None if row is None else (row["format"], row["plan"], row["state"])


async def generations(db: Database, call_sids: Sequence[str]) -> dict[str, int]:
    """Return the generation of each of these calls that has an owner."""
    async with db.routing() as connection:
        rows = await connection.fetch(
            "select call_sid, generation from call_owners where call_sid = any($1)",
            call_sids,
        )
    return {row["call_sid"]: row["generation"] for row in rows}


async def nodes_of(
    connection: Any, business_id: UUID, call_sid: str, generation: int | None
) -> list[str]:
    """Return the nodes that have had a call, in order, until its owner is removed.

    None of them is named where a process of an older version had a part in the call.
    """
    found: list[str] | None = await connection.fetchval(
        "select nodes from call_owners where business_id = $1 and call_sid = $2 "
        "and generation = $3 and cardinality(nodes) = generation",
        business_id,
        call_sid,
        generation,
    )
    return found or []


async def stale(db: Database, limit: int) -> list[Owner]:
    """Return the owners whose calls may be claimed, oldest calls first."""
    async with db.routing() as connection:
        rows = await connection.fetch(
            f"{_OWNER} where {_STALE} order by opened_at, call_sid limit $1", limit
        )
    return [Owner(**row) for row in rows]


async def live(db: Database) -> list[Owner]:
    """Return the owners of all running calls, oldest calls first."""
    async with db.routing() as connection:
        rows = await connection.fetch(_LIVE)
    return [Owner(**row) for row in rows]


async def close(
    connection: Any, business_id: UUID, call_sid: str, generation: int | None
) -> bool:
    """Remove a call's owner and checkpoint, in the transaction that writes its record.

    False if another generation owns the call: then write no record. Without a
    generation, any owner is another.
    """
    is_ours: bool = await connection.fetchval(_CLOSE, business_id, call_sid, generation)
    if is_ours:
        # A statement of its own: it sees what was saved until the owner was removed.
        await connection.execute(
            "delete from checkpoints where business_id = $1 and call_sid = $2",
            business_id,
            call_sid,
        )
    return is_ours
