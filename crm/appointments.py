"""Appointments: booked, cancelled, moved; two callers never get one time.

The exclusion constraint decides who wins. `on conflict do nothing` makes the loser wait
for the winner without holding anything; a plain insert deadlocks (measured: p99 44 s
where this takes 36 ms). Locks are taken in one order everywhere: the lead, then, for a
move, the business's movers, then the times.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm import calendar, leads
from crm.businesses import Business, Service
from crm.calendar import Rules, Span, Wish
from crm.database import Database
from crm.leads import Lead

ALTERNATIVES_MAX = 3
# How far from the wished time alternatives are looked for; most are found at once, and
# fifty losers of one race each look.
_ALTERNATIVE_DAYS = (1, 7)
_UPCOMING_MAX = 10
_COLUMNS = (
    "a.id, a.starts_at, a.ends_at, coalesce(s.name, '') as service "
    "from appointments a left join services s "
    "on s.business_id = a.business_id and s.id = a.service_id "
)


class Appointment(NamedTuple):
    """One that is booked."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    service: str


class Request(NamedTuple):
    """A time asked for. `key` names the asking: the same one books once.

    `claimed_by` is the call of somebody who does not call from `phone`.
    """

    service: Service
    starts_at: datetime
    phone: str
    key: str
    name: str = ""
    claimed_by: str | None = None


class Taken(Exception):
    """The time cannot be had; `alternatives` can, the nearest first."""

    def __init__(self, alternatives: list[Span]) -> None:
        super().__init__("the time is taken or outside of the hours")
        self.alternatives = alternatives


class NotFound(Exception):
    """The caller has no such appointment; `upcoming` are those that he has."""

    def __init__(self, upcoming: list[Appointment]) -> None:
        super().__init__("no such appointment")
        self.upcoming = upcoming


async def free(
    db: Database,
    business: Business,
    service: Service,
    wish: Wish,
    rules: Rules,
    now: datetime,
) -> list[Span]:
    """Return the free slots of a wish, in order."""
    async with db.tenant(business.id) as connection:
        busy = await _busy(connection, business, wish)
    return calendar.free_slots(business, service, wish, busy, rules, now)


async def book(
    db: Database, business: Business, request: Request, rules: Rules, now: datetime
) -> tuple[Appointment, Lead | None]:
    """Book a time for a caller, who becomes a lead; raises Taken.

    Who loses has changed nothing: neither a lead nor a name of his is left behind.
    """
    async with db.tenant(business.id) as connection:
        done = await _by_key(connection, business.id, request.key)
        if done is not None:
            return done, await leads.read(connection, business.id, request.phone)
        await _check_free(connection, business, request, rules, now)
        lead_id = await leads.lock(
            connection, business.id, request.phone, request.name, request.claimed_by
        )
        booked = await _insert(connection, business, request, lead_id)
        if booked is None:
            done = await _by_key(connection, business.id, request.key)
            if done is not None:
                return done, await leads.read(connection, business.id, request.phone)
            # The winner's row is visible by now: the answer is Taken.
            await _check_free(connection, business, request, rules, now)
            raise Taken([])
        return booked, await leads.set_status(
            connection, business.id, lead_id, "booked"
        )


async def cancel(
    db: Database,
    business_id: UUID,
    phone: str,
    starts_at: datetime | None,
    now: datetime,
) -> Appointment:
    """Cancel the caller's own appointment at a time, or his only one; or NotFound."""
    async with db.tenant(business_id) as connection:
        lead_id = await leads.lock(connection, business_id, phone)
        found = await _own(connection, business_id, lead_id, starts_at, now)
        await _close(connection, business_id, found.id, "cancelled")
        left = await _upcoming(connection, business_id, lead_id, now)
        if not left:
            await leads.set_status(connection, business_id, lead_id, "cancelled")
    return found


async def move(
    db: Database,
    business: Business,
    request: Request,
    starts_at: datetime | None,
    rules: Rules,
    now: datetime,
) -> Appointment:
    """Move the caller's own appointment to `request`; raises NotFound or Taken.

    The service stays what was booked. Where the new time is taken, the old one stands.
    """
    async with db.tenant(business.id) as connection:
        done = await _by_key(connection, business.id, request.key)
        if done is not None:
            return done
        lead_id = await leads.lock(connection, business.id, request.phone)
        # Two who move to each other's times would wait for each other.
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", str(business.id)
        )
        old = await _own(connection, business.id, lead_id, starts_at, now)
        request = request._replace(service=_service_of(business, old))
        await _close(connection, business.id, old.id, "moved")
        await _check_free(connection, business, request, rules, now)
        booked = await _insert(connection, business, request, lead_id)
        if booked is None:
            await _check_free(connection, business, request, rules, now)
            raise Taken([])
    return booked


def _service_of(business: Business, old: Appointment) -> Service:
    minutes = int((old.ends_at - old.starts_at).total_seconds() // 60)
    for service in business.services:
        if service.name == old.service:
            return Service(service.name, minutes, service.buffer_minutes)
    return Service(old.service, minutes)


async def _check_free(
    connection: Any, business: Business, request: Request, rules: Rules, now: datetime
) -> None:
    for days in _ALTERNATIVE_DAYS:
        wish = calendar.days_around(business, request.starts_at, days)
        busy = await _busy(connection, business, wish)
        slots = calendar.free_slots(business, request.service, wish, busy, rules, now)
        if any(slot.starts_at == request.starts_at for slot in slots):
            return
        if len(slots) >= ALTERNATIVES_MAX:
            break
    raise Taken(calendar.nearest(slots, request.starts_at, ALTERNATIVES_MAX))


async def _busy(connection: Any, business: Business, wish: Wish) -> list[Span]:
    # Bounded by `starts_at` alone: a range operator would lose the index under
    # row-level security.
    span = calendar.absolute_span(business, wish)
    rows = await connection.fetch(
        "select starts_at, busy_until from appointments where business_id = $1 "
        "and resource = 0 and status = 'booked' and starts_at >= $2 and starts_at < $3",
        business.id,
        *span,
    )
    return [Span(*row.values()) for row in rows]


async def _by_key(connection: Any, business_id: UUID, key: str) -> Appointment | None:
    row = await connection.fetchrow(
        f"select {_COLUMNS} where a.business_id = $1 and a.idempotency_key = $2",
        business_id,
        key,
    )
    return None if row is None else Appointment(**dict(row))


async def _insert(
    connection: Any, business: Business, request: Request, lead_id: UUID
) -> Appointment | None:
    """Return the new appointment; None where the time or the key is another's."""
    service = request.service
    starts_at = request.starts_at.astimezone(UTC)
    ends_at = starts_at + timedelta(minutes=service.minutes)
    booked: UUID | None = await connection.fetchval(
        "insert into appointments (business_id, lead_id, service_id, starts_at, "
        "ends_at, busy_until, idempotency_key) values ($1, $2, (select id "
        "from services where business_id = $1 and name = $3), $4, $5, $6, $7) "
        "on conflict do nothing returning id",
        business.id,
        lead_id,
        service.name,
        starts_at,
        ends_at,
        ends_at + timedelta(minutes=service.buffer_minutes),
        request.key,
    )
    if booked is None:
        return None
    return Appointment(booked, starts_at, ends_at, service.name)


async def _own(
    connection: Any,
    business_id: UUID,
    lead_id: UUID,
    starts_at: datetime | None,
    now: datetime,
) -> Appointment:
    found = await _upcoming(connection, business_id, lead_id, now)
    wanted = [one for one in found if starts_at in (None, one.starts_at)]
    if len(wanted) != 1:
        raise NotFound(found)
    return wanted[0]


async def _upcoming(
    connection: Any, business_id: UUID, lead_id: UUID | None, now: datetime
) -> list[Appointment]:
    rows = await connection.fetch(
        f"select {_COLUMNS} where a.business_id = $1 and a.lead_id = $2 "
        "and a.status = 'booked' and a.starts_at > $3 order by a.starts_at limit $4",
        business_id,
        lead_id,
        now,
        _UPCOMING_MAX,
    )
    return [Appointment(**dict(row)) for row in rows]


async def _close(
    connection: Any, business_id: UUID, appointment_id: UUID, status: str
) -> None:
    await connection.execute(
        "update appointments set status = $3 where business_id = $1 and id = $2",
        business_id,
        appointment_id,
        status,
    )
