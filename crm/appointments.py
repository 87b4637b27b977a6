"""Appointments: booked, cancelled, moved; two callers never get one time.

The exclusion constraint decides who wins. `on conflict do nothing` makes the loser wait
for the winner without holding anything; a plain insert deadlocks (measured: p99 44 s
where this takes 36 ms). Locks are taken in one order everywhere: the lead, then, for a
move, the business's movers, then the times.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm import calendar, claims, leads
from crm.businesses import Business, Service
from crm.calendar import Rules, Span, Wish
from crm.claims import Claim, Claimant
from crm.database import Database
from crm.leads import Lead

ALTERNATIVES_MAX = 3
# How far from the wished time alternatives are looked for; most are found at once, and
# fifty losers of one race each look.
_ALTERNATIVE_DAYS = (1, 7)
_UPCOMING_MAX = 10
# How many appointments to come a caller may have, where a business does not say.
OPEN_MAX = 5
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

    `phone` is "" where it was not said. `claimed_by` is who asks where nothing proves
    that `phone` is theirs; `open_max` how many appointments to come a caller may have.
    """

    service: Service
    starts_at: datetime
    phone: str
    key: str
    name: str = ""
    claimed_by: Claimant | None = None
    open_max: int = OPEN_MAX


class Holder(NamedTuple):
    """Whose an appointment is: a lead's, or a claim's by its call."""

    lead_id: UUID | None = None
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


class TooMany(Exception):
    """The caller has as many appointments to come as a caller may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} appointments to come")
        self.limit = limit


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
) -> tuple[Appointment, Lead | Claim | None]:
    """Book a time for a caller, who becomes a lead, or whose claim it is.

    Raises Taken or TooMany. Who loses has changed nothing: neither a lead nor a name is
    left behind.
    """
    async with db.tenant(business.id) as connection:
        done = await _by_key(connection, business.id, request.key)
        if done is not None:
            return done, await _known(connection, business.id, request)
        await _check_free(connection, business, request, rules, now)
        holder = await _hold(connection, business.id, request)
        await _check_open(connection, business.id, request, holder, now)
        booked = await _insert(connection, business, request, holder)
        if booked is None:
            done = await _by_key(connection, business.id, request.key)
            if done is not None:
                return done, await _known(connection, business.id, request)
            # The winner's row is visible by now: the answer is Taken.
            await _check_free(connection, business, request, rules, now)
            raise Taken([])
        if holder.lead_id is not None:
            await leads.set_status(connection, business.id, holder.lead_id, "booked")
        return booked, await _known(connection, business.id, request)


async def _hold(connection: Any, business_id: UUID, request: Request) -> Holder:
    """Return whose the appointment will be, held until the transaction ends."""
    claimant = request.claimed_by
    if claimant is None:
        return Holder(
            await leads.lock(connection, business_id, request.phone, request.name)
        )
    said = {"name": request.name}
    phone = request.phone or None
    await claims.hold(connection, business_id, claimant, phone, said)
    if claimant.from_number:
        # Its other calls have claims of their own.
        await _lock(connection, f"{business_id} {claimant.from_number}")
    return Holder(claimed_by=claimant.call_sid)


async def _known(
    connection: Any, business_id: UUID, request: Request
) -> Lead | Claim | None:
    if request.claimed_by is None:
        return await leads.read(connection, business_id, request.phone)
    return await claims.read(connection, business_id, request.claimed_by.call_sid)


async def _check_open(
    connection: Any, business_id: UUID, request: Request, holder: Holder, now: datetime
) -> None:
    """Raise TooMany unless the caller may have one appointment more.

    Whoever calls from a number that proves nothing is told nothing of its lead: the
    claims of its calls are counted alone.
    """
    claimant = request.claimed_by
    count = await connection.fetchval(
        "select count(*) from appointments a where a.business_id = $1 "
        "and a.status = 'booked' and a.starts_at > $2 and (a.lead_id = $3 or "
        "a.claimed_by = $4 or a.claimed_by in (select c.call_sid from claims c "
        "where c.business_id = $1 and c.from_number = $5 and c.from_number <> ''))",
        business_id,
        now,
        holder.lead_id,
        holder.claimed_by,
        claimant.from_number if claimant is not None else "",
    )
    if count >= request.open_max:
        raise TooMany(request.open_max)


async def _lock(connection: Any, name: str) -> None:
    """Let nobody else have this name until the transaction ends."""
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", name
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
        await _lock(connection, str(business.id))
        old = await _own(connection, business.id, lead_id, starts_at, now)
        request = request._replace(service=_service_of(business, old))
        await _close(connection, business.id, old.id, "moved")
        await _check_free(connection, business, request, rules, now)
        booked = await _insert(connection, business, request, Holder(lead_id))
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
    connection: Any, business: Business, request: Request, holder: Holder
) -> Appointment | None:
    """Return the new appointment; None where the time or the key is another's."""
    service = request.service
    starts_at = request.starts_at.astimezone(UTC)
    ends_at = starts_at + timedelta(minutes=service.minutes)
    booked: UUID | None = await connection.fetchval(
        "insert into appointments (business_id, lead_id, claimed_by, service_id, "
        "starts_at, ends_at, busy_until, idempotency_key) values ($1, $2, $3, "
        "(select id from services where business_id = $1 and name = $4), "
        "$5, $6, $7, $8) on conflict do nothing returning id",
        business.id,
        *holder,
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
