"""What a business's day looks like: its calls, its appointments, what waits for it."""

from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm.claims import OPEN_CLAIM
from crm.database import Database
from crm.leads import LACKS

# More of a day than a person reads at one look.
ROWS_MAX = 50


class DayCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as the overview shows it."""

    call_sid: str
    started_at: datetime
    from_number: str
    name: str | None
    outcome: str
    end_reason: str
    failed: bool
    seconds: float


class DayAppointment(msgspec.Struct, frozen=True, kw_only=True):
    """A booked appointment as the overview shows it."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    service: str
    name: str | None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How much waits for somebody of the business, since the first of some days."""

    failed_calls: int
    claims: int
    incomplete_leads: int


_SINCE = ">= $2::date::timestamp at time zone $3 "
_DAY = f"{_SINCE}and {{0}} < ($2::date + 1)::timestamp at time zone $3"


async def calls(db: Database, business_id: UUID, day: date, zone: str) -> list[DayCall]:
    """Return the calls that began on a day of the business, newest first."""
    query = (
        "select c.call_sid, c.started_at, c.from_number, l.name, c.outcome, "
        "c.end_reason, c.failed, "
        "extract(epoch from c.ended_at - c.started_at)::float8 as seconds "
        "from calls c left join leads l "
        "on l.business_id = c.business_id and l.id = c.lead_id "
        f"where c.business_id = $1 and c.started_at {_DAY.format('c.started_at')} "
        "order by c.started_at desc limit $4"
    )
    rows = await _of_day(db, query, business_id, day, zone)
    return [DayCall(**dict(row)) for row in rows]


async def appointments(
    db: Database, business_id: UUID, day: date, zone: str
) -> list[DayAppointment]:
    """Return the appointments booked for a day of the business, in order."""
    query = (
        "select a.id, a.starts_at, a.ends_at, coalesce(s.name, '') as service, "
        "coalesce(l.name, c.name) as name from appointments a "
        "left join services s on s.business_id = a.business_id "
        "and s.id = a.service_id "
        "left join leads l on l.business_id = a.business_id and l.id = a.lead_id "
        "left join claims c on c.business_id = a.business_id "
        "and c.call_sid = a.claimed_by "
        "where a.business_id = $1 and a.status = 'booked' "
        f"and a.starts_at {_DAY.format('a.starts_at')} "
        "order by a.starts_at limit $4"
    )
    rows = await _of_day(db, query, business_id, day, zone)
    return [DayAppointment(**dict(row)) for row in rows]


async def _of_day(
    db: Database, query: str, business_id: UUID, day: date, zone: str
) -> list[Any]:
    async with db.tenant(business_id) as connection:
        rows: list[Any] = await connection.fetch(
            query, business_id, day, zone, ROWS_MAX
        )
    return rows


class Figures(NamedTuple):
    """How many appointments a day has, and what its answers in writing cost."""

    appointments: int
    written_cost: float


async def figures(db: Database, business_id: UUID, day: date, zone: str) -> Figures:
    """Return what a day of the business comes to, beside its calls."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            "select (select count(*) from appointments where business_id = $1 "
            f"and status = 'booked' and starts_at {_DAY.format('starts_at')}), "
            "(select coalesce(sum(cost), 0)::float8 from message_turns "
            f"where business_id = $1 and begun_at {_DAY.format('begun_at')})",
            business_id,
            day,
            zone,
        )
    return Figures(*row)


async def waiting(
    db: Database, business_id: UUID, required: tuple[str, ...], since: date, zone: str
) -> Waiting:
    """Return what waits since a day of the business: failed calls, unproven claims,
    people who called and lack fields."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            "select (select count(*) from calls where business_id = $1 and failed "
            f"and started_at {_SINCE}) as failed_calls, "
            f"(select count(*) from claims c where {OPEN_CLAIM} "
            f"and created_at {_SINCE}) as claims, "
            "(select count(distinct coalesce(l.merged_into, l.id)) from leads l "
            f"where business_id = $1 and last_call_at {_SINCE} "
            f"and {LACKS.format(fields='$4', row='l')}) as incomplete_leads",
            business_id,
            since,
            zone,
            list(required),
        )
    return Waiting(**dict(row))
