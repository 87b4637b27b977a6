"""Claims: what callers say about themselves while nothing proves who they are.

A claim belongs to its call, and only that call and the business can read the claim. A
claim becomes part of a lead only once the caller has proven to be that lead, or the
business accepts the claim.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm import leads
from crm.database import Database


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller of one call has said; `from_number` is "" if it was withheld."""

    call_sid: str
    from_number: str
    phone: str | None
    name: str | None
    fields: dict[str, Any]
    created_at: datetime
    next_appointment_at: datetime | None = None

    def missing(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """Return the required fields that the caller has not said in this call yet."""
        return leads.missing(required, self.name, self.phone, self.fields)


class Claimant(NamedTuple):
    """The maker of a claim: a call, and the number that the network gave, if any."""

    call_sid: str
    from_number: str = ""


# Of `claims as c`.
_COLUMNS = (
    "c.call_sid, c.from_number, c.phone, c.name, c.fields, c.created_at, "
    "(select min(a.starts_at) from appointments a where a.business_id = c.business_id "
    "and a.claimed_by = c.call_sid and a.status = 'booked' and a.starts_at > now()) "
    "as next_appointment_at"
)
# Of a claim that is written once more: nothing in it is new, or its caller is proven.
_IS_SETTLED = (
    "c.proven_at is not null or (coalesce($4, c.phone), "
    "coalesce(excluded.name, c.name), c.fields || excluded.fields) "
    "is not distinct from (c.phone, c.name, c.fields)"
)
# Of `claims as c`: it says something that no lead has, or has booked it.
OPEN_CLAIM = (
    "c.business_id = $1 and (c.lead_id is null and (c.name is not null "
    "or c.fields <> '{}') or exists (select from appointments a "
    "where a.business_id = c.business_id and a.claimed_by = c.call_sid))"
)


async def write(
    db: Database,
    business_id: UUID,
    claimant: Claimant,
    phone: str | None,
    fields: Mapping[str, Any],
) -> Claim:
    """Write what was said in a call; a later value replaces an earlier one."""
    async with db.tenant(business_id) as connection:
        return await hold(connection, business_id, claimant, phone, fields)


async def hold(
    connection: Any,
    business_id: UUID,
    claimant: Claimant,
    phone: str | None,
    fields: Mapping[str, Any],
) -> Claim:
    """Write a claim as `write` does, in a transaction that locks it until its end.

    What is new in a claim that the business has given to a lead must be accepted, too;
    the claim of a proven caller stays the lead's.
    """
    said = {name: value for name, value in fields.items() if value not in ("", None)}
    name = said.pop("name", None)
    row = await connection.fetchrow(
        "insert into claims as c (business_id, call_sid, from_number, phone, name, "
        "fields) values ($1, $2, $3, coalesce($4, nullif($3, '')), $5, $6) "
        "on conflict (business_id, call_sid) do update set "
        "phone = coalesce($4, c.phone), name = coalesce(excluded.name, c.name), "
        f"fields = c.fields || excluded.fields, lead_id = case when {_IS_SETTLED} "
        f"then c.lead_id end returning {_COLUMNS}",
        business_id,
        claimant.call_sid,
        claimant.from_number,
        None if phone is None else leads.check_phone(phone),
        name,
        said,
    )
    return Claim(**dict(row))


async def lock_number(connection: Any, business_id: UUID, claimant: Claimant) -> None:
    """Make the other calls from a claimant's number wait for this transaction.

    These calls have claims of their own, so the lock on a claim does not stop them. All
    calls with a withheld number wait for each other. Locks are taken in one order
    everywhere: the number, then claims, then the lead.
    """
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))",
        f"{business_id} {claimant.from_number}",
    )


async def read(
    connection: Any, business_id: UUID, call_sid: str, *, locks: bool = False
) -> Claim | None:
    """Return the claim of a call, in a transaction, until whose end it is locked if
    `locks`."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from claims as c where business_id = $1 and call_sid = $2"
        + " for update" * locks,
        business_id,
        call_sid,
    )
    return None if row is None else Claim(**dict(row))


async def recent(
    db: Database,
    business_id: UUID,
    limit: int = 20,
    before: tuple[datetime, str] | None = None,
) -> list[Claim]:
    """Return the latest claims with something that no lead has, newest first, after the
    time and the call of `before`."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS} from claims as c where {OPEN_CLAIM} "
            "and ($3::timestamptz is null or (created_at, call_sid) < ($3, $4)) "
            "order by created_at desc, call_sid desc limit $2",
            business_id,
            limit,
            *(before or (None, None)),
        )
    return [Claim(**dict(row)) for row in rows]
