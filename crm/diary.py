"""The appointments of a business as its own people see them: whose, by whom made."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm.authors import By
from crm.database import Database

ENTRIES_MAX = 2_000
_LEADS_MAX = 8
_COLUMNS = (
    "select a.id, a.starts_at, a.ends_at, a.busy_until, a.resource, a.status, "
    "coalesce(s.name, '') as service, coalesce(s.colour, '') as colour, "
    "a.lead_id, coalesce(l.name, c.name, '') as name, "
    "coalesce(l.phone, c.phone, '') as phone, a.claimed_by is not null as is_claim, "
    "a.created_at, a.closed_at, a.made_source, a.made_by, a.closed_source, a.closed_by "
    "from appointments a "
    "left join services s on s.business_id = a.business_id and s.id = a.service_id "
    "left join leads l on l.business_id = a.business_id and l.id = a.lead_id "
    "left join claims c on c.business_id = a.business_id and c.call_sid = a.claimed_by "
)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment with what is known of whom it is for.

    `is_claim`: the caller has not proven that the number is theirs.
    """

    id: UUID
    starts_at: datetime
    ends_at: datetime
    busy_until: datetime
    resource: int
    status: str
    service: str
    colour: str
    lead_id: UUID | None
    name: str
    phone: str
    is_claim: bool
    created_at: datetime
    closed_at: datetime | None
    made: By
    closed: By


class KnownLead(msgspec.Struct, frozen=True):
    """A lead that may be booked for."""

    id: UUID
    name: str
    phone: str


async def entries(
    db: Database, business_id: UUID, first: datetime, last: datetime
) -> list[Entry]:
    """Return what is booked between two times, in order; `last` is not in it."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"{_COLUMNS} where a.business_id = $1 and a.status = 'booked' "
            "and a.starts_at < $3 and a.starts_at > $2::timestamptz - interval '1 day' "
            "and a.ends_at > $2 order by a.starts_at, a.resource limit $4",
            business_id,
            first,
            last,
            ENTRIES_MAX,
        )
    return [_entry(row) for row in rows]


async def entry(db: Database, business_id: UUID, appointment_id: UUID) -> Entry | None:
    """Return one appointment, whatever its status, or None."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            f"{_COLUMNS} where a.business_id = $1 and a.id = $2",
            business_id,
            appointment_id,
        )
    return None if row is None else _entry(row)


async def revision(
    db: Database, business_id: UUID, first: datetime, last: datetime
) -> str:
    """Return a text that changes with what `entries` returns."""
    async with db.tenant(business_id) as connection:
        found: str = await connection.fetchval(
            "select md5(string_agg(concat_ws(' ', a.id, a.status, a.resource, l.name, "
            "c.name), ',' order by a.id)) from appointments a "
            "left join leads l on l.business_id = a.business_id and l.id = a.lead_id "
            "left join claims c on c.business_id = a.business_id "
            "and c.call_sid = a.claimed_by "
            "where a.business_id = $1 and a.starts_at < $3 "
            "and a.starts_at > $2::timestamptz - interval '1 day' and a.ends_at > $2",
            business_id,
            first,
            last,
        )
    return found or ""


async def find_leads(db: Database, business_id: UUID, text: str) -> list[KnownLead]:
    """Return leads whose name or number has a text in it, latest callers first."""
    wanted = text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    digits = "".join(char for char in text if char.isdigit()).lstrip("0")
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select id, coalesce(name, '') as name, phone from leads "
            "where business_id = $1 and (name ilike $2 or phone like $3) "
            "order by last_call_at desc nulls last, id limit $4",
            business_id,
            f"%{wanted}%",
            f"%{digits}%" if len(digits) > 2 else "",
            _LEADS_MAX,
        )
    return [KnownLead(*row) for row in rows]


async def lead(db: Database, business_id: UUID, lead_id: UUID) -> KnownLead | None:
    """Return the lead of an id, or None."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            "select id, coalesce(name, '') as name, phone from leads "
            "where business_id = $1 and id = $2",
            business_id,
            lead_id,
        )
    return None if row is None else KnownLead(*row)


def _entry(row: Any) -> Entry:
    fields = dict(row)
    made = By(fields.pop("made_source"), fields.pop("made_by"))
    closed = By(fields.pop("closed_source"), fields.pop("closed_by"))
    return Entry(**fields, made=made, closed=closed)
