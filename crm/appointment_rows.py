"""Appointments as rows of the database; each function runs inside a transaction."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm import leads
from crm.authors import NOBODY, By
from crm.businesses import Business, Service
from crm.claims import Claimant

# How many upcoming appointments a caller may have, where a business sets no limit.
OPEN_MAX = 5
# The limit for all callers with a withheld number together: nothing tells them apart.
WITHHELD_MAX = 30
# Of a caller's appointments to come, so many are told, the next ones.
_UPCOMING_MAX = 10
_COLUMNS = (
    "a.id, a.starts_at, a.ends_at, coalesce(s.name, '') as service, a.resource "
    "from appointments a left join services s "
    "on s.business_id = a.business_id and s.id = a.service_id "
)
# The rows of a holder, which is $2 and $3; a lead's are those of the whole person.
_HELD = f"(a.lead_id = any (array({leads.PERSON})) or a.claimed_by = $3)"


class Appointment(NamedTuple):
    """A booked appointment; `resource` is the number of the person it is with."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    service: str
    resource: int = 0


class Request(NamedTuple):
    """A requested time; a caller who asks for the same time again has it already.

    `phone` is "" if the caller did not say it. `claimed_by` is the claimant if nothing
    proves that `phone` is the caller's. `open_max` limits the upcoming appointments of
    a caller, `withheld_max` those of all callers with a withheld number together.
    `person` is the number of the only one it may be with, None where anyone will do.
    """

    service: Service
    starts_at: datetime
    phone: str
    name: str = ""
    claimed_by: Claimant | None = None
    open_max: int = OPEN_MAX
    withheld_max: int = WITHHELD_MAX
    person: int | None = None
    by: By = NOBODY


class Holder(NamedTuple):
    """The holder of an appointment: a lead, or a claim by its call."""

    lead_id: UUID | None = None
    claimed_by: str | None = None


class Which(NamedTuple):
    """Which of a caller's appointments is meant: without a time, the only one there is.

    `person` is the number of the one it is with, where there are two at that time.
    """

    starts_at: datetime | None = None
    person: int | None = None


ANY = Which()


class NotFound(Exception):
    """The caller has no such appointment; `upcoming` are the caller's appointments.

    `is_accepted` says that the business has given to a lead what this call had booked.
    """

    def __init__(self, upcoming: list[Appointment], is_accepted: bool) -> None:
        super().__init__("no such appointment")
        self.upcoming = upcoming
        self.is_accepted = is_accepted


async def in_the_way(
    connection: Any, business_id: UUID, request: Request
) -> Appointment | None:
    """Return the caller's own booking that overlaps the requested time.

    Where the caller has named a person, only what is booked with that person counts: a
    mother and her son may come at one time. A caller who has proven nothing is
    told only of bookings of the same call.
    """
    claimant = request.claimed_by
    lead = None
    if claimant is None:
        lead = await leads.read(connection, business_id, request.phone)
    row = await connection.fetchrow(
        f"select {_COLUMNS} where a.business_id = $1 and a.status = 'booked' "
        f"and a.starts_at < $5 and a.ends_at > $4 and {_HELD} "
        "and ($6::int is null or a.resource = $6) "
        "order by a.starts_at <> $4, a.starts_at limit 1",
        business_id,
        None if lead is None else lead.id,
        None if claimant is None else claimant.call_sid,
        request.starts_at,
        request.starts_at + timedelta(minutes=request.service.minutes),
        request.person,
    )
    return None if row is None else Appointment(**dict(row))


async def insert(
    connection: Any, business: Business, request: Request, holder: Holder, person: int
) -> Appointment | None:
    """Insert an appointment with a person and return it; None if the time is taken."""
    service = request.service
    starts_at = request.starts_at.astimezone(UTC)
    ends_at = starts_at + timedelta(minutes=service.minutes)
    booked: UUID | None = await connection.fetchval(
        "insert into appointments (business_id, lead_id, claimed_by, service_id, "
        "starts_at, ends_at, busy_until, resource, made_source, made_by) "
        "values ($1, $2, $3, "
        "(select id from services where business_id = $1 and name = $4), "
        "$5, $6, $7, $8, $9, $10) on conflict do nothing returning id",
        business.id,
        *holder,
        service.name,
        starts_at,
        ends_at,
        ends_at + timedelta(minutes=service.buffer_minutes),
        person,
        *request.by,
    )
    if booked is None:
        return None
    return Appointment(booked, starts_at, ends_at, service.name, person)


async def own(
    connection: Any,
    business_id: UUID,
    holder: Holder,
    which: Which,
    now: datetime,
) -> Appointment:
    found = await upcoming(connection, business_id, holder, now, which)
    if len(found) != 1:
        accepted = await connection.fetchval(
            "select exists (select from appointments where business_id = $1 "
            "and made_source = 'call' and made_by = $2 and lead_id is not null "
            "and status = 'booked' and starts_at > $3)",
            business_id,
            holder.claimed_by,
            now,
        )
        raise NotFound(await upcoming(connection, business_id, holder, now), accepted)
    return found[0]


async def upcoming(
    connection: Any,
    business_id: UUID,
    holder: Holder,
    now: datetime,
    which: Which = ANY,
) -> list[Appointment]:
    """Return the caller's appointments to come that may be meant, the next ones."""
    rows = await connection.fetch(
        f"select {_COLUMNS} where a.business_id = $1 and {_HELD} "
        "and a.status = 'booked' and a.starts_at > $4 "
        "and ($6::timestamptz is null or a.starts_at = $6) "
        "and ($7::int is null or a.resource = $7) "
        "order by a.starts_at limit $5",
        business_id,
        *holder,
        now,
        _UPCOMING_MAX,
        *which,
    )
    return [Appointment(**dict(row)) for row in rows]


async def closed(
    connection: Any,
    business_id: UUID,
    holder: Holder,
    status: str,
    which: Which,
    now: datetime,
) -> Appointment | None:
    """Return the caller's one upcoming appointment that was cancelled or moved away."""
    rows = await connection.fetch(
        f"select {_COLUMNS} where a.business_id = $1 and {_HELD} "
        "and a.status = $4 and a.starts_at > $5 "
        "and ($6::timestamptz is null or a.starts_at = $6) "
        "and ($7::int is null or a.resource = $7) "
        "order by a.created_at desc limit 2",
        business_id,
        *holder,
        status,
        now,
        *which,
    )
    if not rows or (which.starts_at is None and len(rows) > 1):
        return None
    return Appointment(**dict(rows[0]))


async def holder(
    connection: Any, business_id: UUID, appointment_id: UUID
) -> Holder | None:
    """Return whose an appointment is; None if there is none of this id."""
    row = await connection.fetchrow(
        "select lead_id, claimed_by from appointments "
        "where business_id = $1 and id = $2",
        business_id,
        appointment_id,
    )
    return None if row is None else Holder(*row)


async def get(
    connection: Any, business_id: UUID, appointment_id: UUID
) -> tuple[Appointment, str, By]:
    """Return an appointment that there is, its status, and who closed it."""
    row = await connection.fetchrow(
        f"select a.status, a.closed_source, a.closed_by, {_COLUMNS} "
        "where a.business_id = $1 and a.id = $2",
        business_id,
        appointment_id,
    )
    status, source, who, *found = row
    return Appointment(*found), status, By(source, who)


async def close(
    connection: Any, business_id: UUID, appointment_id: UUID, status: str, by: By
) -> None:
    await connection.execute(
        "update appointments set status = $3, closed_source = $4, closed_by = $5, "
        "closed_at = now() where business_id = $1 and id = $2",
        business_id,
        appointment_id,
        status,
        *by,
    )
