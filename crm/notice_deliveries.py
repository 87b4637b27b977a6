"""Deliveries of notices: which are due, and what came of a try.

Any number of processes may claim: each row is claimed by one of them at a time. A claim
is a lease. A process that dies in a delivery leaves a row that is due again when the
lease ends, so a notice is delivered at least once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm.database import Database

# Longer than any try: a name to resolve, a connection, an answer.
LEASE = timedelta(seconds=60)
# More tries than any schedule has: a delivery that ends no try is not tried for ever.
TRIES_MAX = 20
# An endpoint without a success for this long is disabled.
DISABLED_AFTER = timedelta(days=5)
# After a failure the other notices to the endpoint wait, too, but not for longer.
_OTHERS_WAIT_MAX = timedelta(seconds=60)
# Beyond this much of an answer nothing is kept.
ANSWER_CHARS_MAX = 500

# Materialized: a join may run a subquery for each row, and each run finds another one.
_CLAIM = f"""
with c as materialized (
  select business_id, notice_id, endpoint_id from notice_deliveries
  where state = 'waiting' and due_at <= now() and tries < {TRIES_MAX}
    and business_id <> all($3) and endpoint_id <> all($4)
  order by due_at limit $1 for update skip locked
)
update notice_deliveries d set due_at = now() + $2, tries = d.tries + 1 from c
where (d.business_id, d.notice_id, d.endpoint_id)
  = (c.business_id, c.notice_id, c.endpoint_id)
returning d.business_id, d.notice_id, d.endpoint_id, d.tries"""
_READ = """
select n.type, n.data, n.created_at, e.kind, e.target, e.secret,
  e.disabled_at is not null as is_disabled, b.name as business, b.time_zone, b.language
from notices n join notice_endpoints e on e.business_id = n.business_id
join businesses b on b.id = n.business_id
where n.business_id = $1 and n.id = $2 and e.id = $3"""


class Claimed(NamedTuple):
    """A delivery that this process has until the lease ends; `tries` counts this
    try."""

    business_id: UUID
    notice_id: UUID
    endpoint_id: UUID
    tries: int


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What is delivered, and where."""

    type: str
    data: dict[str, Any]
    created_at: datetime
    kind: str
    target: str
    secret: str
    is_disabled: bool
    business: str
    time_zone: str
    language: str


class Outcome(NamedTuple):
    """What came of a try; `status` is None if there was no answer.

    `is_gone` says that the endpoint wants no more notices.
    """

    is_delivered: bool
    status: int | None
    answer: str
    duration_ms: float
    is_gone: bool = False


async def claim(
    db: Database,
    limit: int,
    *,
    but_businesses: Sequence[UUID] = (),
    but_endpoints: Sequence[UUID] = (),
) -> list[Claimed]:
    """Claim deliveries that are due, the longest due first; none of these businesses,
    and none to these endpoints."""
    async with db.routing() as connection:
        rows = await connection.fetch(
            _CLAIM, limit, LEASE, but_businesses, but_endpoints
        )
    return [Claimed(**dict(row)) for row in rows]


async def claim_one(
    db: Database, business_id: UUID, notice_id: UUID, endpoint_id: UUID
) -> Claimed | None:
    """Claim one delivery, unless another process has it."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            "update notice_deliveries set due_at = now() + $4, tries = tries + 1 "
            "where business_id = $1 and notice_id = $2 and endpoint_id = $3 "
            "and state = 'waiting' and due_at <= now() "
            "returning business_id, notice_id, endpoint_id, tries",
            business_id,
            notice_id,
            endpoint_id,
            LEASE,
        )
    return None if row is None else Claimed(**dict(row))


async def read(db: Database, claimed: Claimed) -> Parcel | None:
    """Return what a claimed delivery delivers; None if it was deleted meanwhile."""
    async with db.tenant(claimed.business_id) as connection:
        row = await connection.fetchrow(
            _READ, claimed.business_id, claimed.notice_id, claimed.endpoint_id
        )
    return None if row is None else Parcel(**dict(row))


async def put_off(db: Database, claimed: Claimed, pause: timedelta) -> None:
    """Give a claimed delivery back untried, due again after `pause`."""
    async with db.tenant(claimed.business_id) as connection:
        await connection.execute(
            "update notice_deliveries set due_at = now() + $5, tries = tries - 1 "
            "where business_id = $1 and notice_id = $2 and endpoint_id = $3 "
            "and tries = $4 and state = 'waiting'",
            *claimed,
            pause,
        )


async def settle(
    db: Database, claimed: Claimed, outcome: Outcome, pause: timedelta | None
) -> str:
    """Note what came of a try, and when the next one is: after `pause`, or never.

    Return why the endpoint was disabled just now, or "". A try whose lease has ended
    changes nothing but the log.
    """
    key = (claimed.business_id, claimed.notice_id, claimed.endpoint_id)
    if outcome.is_delivered:
        state = "delivered"
    else:
        state = "given_up" if pause is None or outcome.is_gone else "waiting"
    async with db.tenant(claimed.business_id) as connection:
        is_there = await connection.fetchval(
            "insert into notice_attempts (business_id, notice_id, endpoint_id, status, "
            "answer, duration_ms) select $1, $2, $3, $4, $5, $6 where exists (select "
            "from notice_deliveries where business_id = $1 and notice_id = $2 "
            "and endpoint_id = $3 for update) returning true",
            *key,
            outcome.status,
            _kept(outcome.answer),
            outcome.duration_ms,
        )
        if not is_there:
            return ""
        is_ours = await connection.fetchval(
            "update notice_deliveries set state = $5, due_at = now() + $6 "
            "where business_id = $1 and notice_id = $2 and endpoint_id = $3 "
            "and tries = $4 and state = 'waiting' returning true",
            *key,
            claimed.tries,
            state,
            pause or timedelta(0),
        )
        if not is_ours:
            return ""
        return await _note_endpoint(connection, claimed, outcome, pause)


async def _note_endpoint(
    connection: Any, claimed: Claimed, outcome: Outcome, pause: timedelta | None
) -> str:
    own = (claimed.business_id, claimed.endpoint_id)
    if outcome.is_delivered:
        await connection.execute(
            "update notice_endpoints set failing_since = null "
            "where business_id = $1 and id = $2 and failing_since is not null",
            *own,
        )
        return ""
    if pause is not None:
        await connection.execute(
            "update notice_deliveries set due_at = now() + $3 where business_id = $1 "
            "and endpoint_id = $2 and state = 'waiting' and due_at <= now()",
            *own,
            min(pause, _OTHERS_WAIT_MAX),
        )
    why = await connection.fetchval(
        "update notice_endpoints set failing_since = coalesce(failing_since, now()), "
        "disabled_at = case when $3 or failing_since < now() - $4::interval "
        "then now() end, disabled_why = case when $3 then 'the endpoint is gone' "
        "when failing_since < now() - $4::interval then $5 else '' end "
        "where business_id = $1 and id = $2 and disabled_at is null "
        "returning disabled_why",
        *own,
        outcome.is_gone,
        DISABLED_AFTER,
        f"no delivery succeeded for {DISABLED_AFTER.days} days",
    )
    if not why:
        return ""
    await connection.execute(
        "update notice_deliveries set state = 'given_up' where business_id = $1 "
        "and endpoint_id = $2 and state = 'waiting'",
        *own,
    )
    return str(why)


def _kept(answer: str) -> str:
    """Return as much of an answer as the database can keep."""
    text = answer[:ANSWER_CHARS_MAX].encode("utf-8", "replace").decode()
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
