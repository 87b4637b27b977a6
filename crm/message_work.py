"""Conversations with something to do, and which process has each.

A claim is a lease: a process that dies leaves its conversations to others when the
lease ends. What a process writes about a conversation it writes under `check`, so that
one that was frozen, and has lost its lease, writes nothing.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm.database import Database

# How long a process that says nothing has a conversation.
LEASE = timedelta(seconds=20)
# More messages are waited for no longer than this after the first.
JOIN_MAX = timedelta(seconds=5)

_ADD = """
insert into message_work as w (business_id, conversation_id, due_at)
values ($1, $2, now() + $3) on conflict (business_id, conversation_id) do update set
  added = w.added + 1,
  due_at = case when w.due_at > now() and w.waits_since <= now()
      then least(now() + $3, greatest(w.waits_since + $4, now()))
    when w.due_at > now() then least(now() + $3, w.due_at)
    else now() + $3 end,
  waits_since = case when w.due_at > now() and w.waits_since <= now()
    then w.waits_since else now() end,
  tries = 0"""
# Materialized: a join may run a subquery for each row, and each run finds another one.
_CLAIM = """
with c as materialized (
  select business_id, conversation_id from message_work
  where due_at <= now() and (leased_until is null or leased_until <= now())
  order by due_at limit $1 for update skip locked
)
update message_work w set holder = $2, leased_until = now() + $3, tries = w.tries + 1
from c
where (w.business_id, w.conversation_id) = (c.business_id, c.conversation_id)
returning w.business_id, w.conversation_id, w.holder, w.added, w.tries"""


class LeaseLost(Exception):
    """Another process has the conversation by now; nothing was written."""


class Held(NamedTuple):
    """A conversation that this process has. `added` is what it has seen of the work;
    `tries` counts this try."""

    business_id: UUID
    conversation_id: UUID
    holder: UUID
    added: int
    tries: int


async def add(
    connection: Any, business_id: UUID, conversation_id: UUID, pause: timedelta
) -> None:
    """Add that there is something to do after `pause`, in a transaction.

    A first message that waits already waits for this one, too, but within JOIN_MAX.
    """
    await connection.execute(_ADD, business_id, conversation_id, pause, JOIN_MAX)


async def claim(db: Database, holder: UUID, limit: int) -> list[Held]:
    """Claim conversations of any business, those due longest first."""
    async with db.routing() as connection:
        rows = await connection.fetch(_CLAIM, limit, holder, LEASE)
    return [Held(**dict(row)) for row in rows]


async def is_any_due(db: Database) -> bool:
    """Tell whether a conversation of any business waits that no process has."""
    async with db.routing() as connection:
        return bool(
            await connection.fetchval(
                "select exists (select from message_work where due_at <= now() "
                "and (leased_until is null or leased_until <= now()))"
            )
        )


async def overdue(db: Database, wait: timedelta) -> int:
    """Return how many conversations have been due for longer than `wait`, and are with
    no process."""
    async with db.routing() as connection:
        count: int = await connection.fetchval(
            "select count(*) from message_work where due_at < now() - $1::interval "
            "and (leased_until is null or leased_until <= now())",
            wait,
        )
    return count


async def renew(db: Database, holder: UUID, held: Sequence[Held]) -> set[UUID]:
    """Extend leases; return the conversations that this process still has."""
    async with db.routing() as connection:
        rows = await connection.fetch(
            "update message_work set leased_until = now() + $3 "
            "where holder = $1 and conversation_id = any ($2) "
            "returning conversation_id",
            holder,
            [one.conversation_id for one in held],
            LEASE,
        )
    return {row["conversation_id"] for row in rows}


async def check(connection: Any, held: Held) -> None:
    """Keep the conversation until the transaction ends; raises LeaseLost."""
    is_own = await connection.fetchval(
        "select true from message_work where business_id = $1 "
        "and conversation_id = $2 and holder = $3 for share",
        *held[:3],
    )
    if not is_own:
        raise LeaseLost


async def release(
    db: Database, held: Held, again: timedelta | None, *, has_failed: bool = False
) -> None:
    """Give a conversation back: there is something to do after `again`, or nothing.

    What was added since the claim is due as it was added. Tries count failures alone:
    work that has not failed forgets those before.
    """
    async with db.routing() as connection:
        if again is None:
            await connection.execute(
                "delete from message_work where business_id = $1 "
                "and conversation_id = $2 and holder = $3 and added = $4",
                *held[:4],
            )
        await connection.execute(
            "update message_work set holder = null, leased_until = null, "
            "due_at = case when $5::interval is null then due_at "
            "when added = $4 then now() + $5 else least(due_at, now() + $5) end, "
            # In the future: only the process looks again, and no message waits.
            "waits_since = case when added = $4 then now() + coalesce($5, '0') "
            "else waits_since end, tries = case when $6 then tries else 0 end "
            "where business_id = $1 and conversation_id = $2 and holder = $3",
            *held[:4],
            again,
            has_failed,
        )


async def free(db: Database, holder: UUID) -> None:
    """Give back all that a process has: it stops."""
    async with db.routing() as connection:
        await connection.execute(
            "update message_work set holder = null, leased_until = null "
            "where holder = $1",
            holder,
        )
