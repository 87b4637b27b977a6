"""Pages of calls, leads and appointments: by keyset, so that a page never shifts."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from crm.database import Database

# The most rows of a page.
ROWS_MAX = 200


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """A call, without its words."""

    call_sid: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime
    from_number: str
    to_number: str
    lead_id: UUID | None
    end_reason: str
    outcome: str
    failed: bool
    is_test: bool
    missing_fields: list[str]
    cost: float | None


class LeadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A lead."""

    id: UUID
    phone: str
    name: str | None
    status: str
    do_not_contact: bool
    # The lead that is the same person, where the business has merged the two.
    merged_into: UUID | None
    fields: dict[str, Any]
    calls: int
    created_at: datetime
    last_call_at: datetime | None
    last_message_at: datetime | None


class AppointmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment, with who has it: a lead, or a caller who is not verified."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    status: str
    service: str
    person: int
    lead_id: UUID | None
    phone: str | None
    name: str | None
    caller_verified: bool
    created_at: datetime
    made_source: str
    made_by: str


_CALL = ", ".join(CallRow.__struct_fields__)
_LEAD = ", ".join(LeadRow.__struct_fields__)
_APPOINTMENT = (
    "a.id, a.starts_at, a.ends_at, a.status, coalesce(s.name, '') as service, "
    "a.resource as person, a.lead_id, coalesce(l.phone, c.phone) as phone, "
    "coalesce(l.name, c.name) as name, a.claimed_by is null as caller_verified, "
    "a.created_at, a.made_source, a.made_by from appointments a "
    "left join services s on s.business_id = a.business_id and s.id = a.service_id "
    "left join leads l on l.business_id = a.business_id and l.id = a.lead_id "
    "left join claims c on c.business_id = a.business_id and c.call_sid = a.claimed_by "
)


async def calls(
    db: Database,
    business_id: UUID,
    limit: int,
    *,
    before: tuple[datetime, str] | None = None,
    failed: bool | None = None,
) -> list[CallRow]:
    """Return calls, newest first, after the start and the id of `before`."""
    query = (
        f"select {_CALL} from calls where business_id = $1 "
        "and ($3::timestamptz is null or (started_at, call_sid) < ($3, $4)) "
        "and ($5::boolean is null or failed = $5) "
        "order by started_at desc, call_sid desc limit $2"
    )
    values = (limit, *(before or (None, None)), failed)
    return [CallRow(**row) for row in await _rows(db, query, business_id, *values)]


async def call(db: Database, business_id: UUID, call_sid: str) -> CallRow | None:
    """Return one call, or None."""
    query = f"select {_CALL} from calls where business_id = $1 and call_sid = $2"
    rows = await _rows(db, query, business_id, call_sid)
    return CallRow(**rows[0]) if rows else None


async def newest_call(db: Database, business_id: UUID) -> str | None:
    """Return the id of the newest test call, else of the newest call; None without."""
    newest = "order by started_at desc limit 1"
    query = (
        "select coalesce((select call_sid from calls where business_id = $1 "
        f"and is_test {newest}), (select call_sid from calls where business_id = $1 "
        f"{newest})) as call_sid"
    )
    (row,) = await _rows(db, query, business_id)
    found: str | None = row["call_sid"]
    return found


async def leads(
    db: Database,
    business_id: UUID,
    limit: int,
    *,
    before: tuple[datetime, UUID] | None = None,
    phone: str | None = None,
) -> list[LeadRow]:
    """Return leads, newest first, after the creation and the id of `before`."""
    query = (
        f"select {_LEAD} from leads where business_id = $1 "
        "and ($3::timestamptz is null or (created_at, id) < ($3, $4)) "
        "and ($5::text is null or phone = $5) "
        "order by created_at desc, id desc limit $2"
    )
    values = (limit, *(before or (None, None)), phone)
    return [LeadRow(**row) for row in await _rows(db, query, business_id, *values)]


async def lead(db: Database, business_id: UUID, lead_id: UUID) -> LeadRow | None:
    """Return one lead, or None."""
    query = f"select {_LEAD} from leads where business_id = $1 and id = $2"
    rows = await _rows(db, query, business_id, lead_id)
    return LeadRow(**rows[0]) if rows else None


async def appointments(
    db: Database,
    business_id: UUID,
    limit: int,
    *,
    span: tuple[datetime | None, datetime | None] = (None, None),
    after: tuple[datetime, UUID] | None = None,
    status: str | None = None,
    person: int | None = None,
) -> list[AppointmentRow]:
    """Return appointments that begin within a span, in order, after the start and the
    id of `after`."""
    query = (
        f"select {_APPOINTMENT} where a.business_id = $1 "
        "and ($3::timestamptz is null or a.starts_at >= $3) "
        "and ($4::timestamptz is null or a.starts_at < $4) "
        "and ($5::timestamptz is null or (a.starts_at, a.id) > ($5, $6)) "
        "and ($7::text is null or a.status = $7) "
        "and ($8::int is null or a.resource = $8) "
        "order by a.starts_at, a.id limit $2"
    )
    values = (limit, *span, *(after or (None, None)), status, person)
    return [
        AppointmentRow(**row) for row in await _rows(db, query, business_id, *values)
    ]


async def appointment(
    db: Database, business_id: UUID, appointment_id: UUID
) -> AppointmentRow | None:
    """Return one appointment, or None."""
    query = f"select {_APPOINTMENT} where a.business_id = $1 and a.id = $2"
    rows = await _rows(db, query, business_id, appointment_id)
    return AppointmentRow(**rows[0]) if rows else None


async def _rows(
    db: Database, query: str, business_id: UUID, *values: Any
) -> list[dict[str, Any]]:
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(query, business_id, *values)
    return [dict(row) for row in rows]


async def appointments_of_call(
    db: Database, business_id: UUID, call_sid: str
) -> list[AppointmentRow]:
    """Return the appointments that a call booked, in order."""
    query = (
        f"select {_APPOINTMENT} where a.business_id = $1 and (a.claimed_by = $2 "
        "or (a.made_source = 'call' and a.made_by = $2)) order by a.starts_at, a.id"
    )
    return [
        AppointmentRow(**row) for row in await _rows(db, query, business_id, call_sid)
    ]
