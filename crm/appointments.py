"""Appointments: booked, cancelled, moved; two callers never get one time.

The exclusion constraint decides which caller wins. `on conflict do nothing` makes the
loser wait for the winner without holding anything; a plain insert deadlocks (measured:
p99 44 s where this takes 36 ms). Locks are taken in one order everywhere: the lead,
then, for a move, the business's movers, then the times.
"""

import asyncio
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from crm import appointment_rows as rows, calendar, claims, leads
from crm.appointment_rows import Appointment, Holder, NotFound, Request
from crm.businesses import Business, Service
from crm.calendar import Rules, Span, Wish
from crm.claims import Claim, Claimant
from crm.database import Database
from crm.leads import Lead
from crm.names import same_name_key

ALTERNATIVES_MAX = 3
# How many days around the wished time are searched for alternatives. Most are found in
# the first search, and each of fifty losers of one race searches.
_ALTERNATIVE_DAYS = (1, 7)


class Booking(NamedTuple):
    """What a caller has booked, and whether the booking was made just now."""

    appointment: Appointment
    known: Lead | Claim | None
    is_new: bool


class Changed(NamedTuple):
    """A changed appointment, and whether the change was made just now."""

    appointment: Appointment
    is_new: bool


class Taken(Exception):
    """The time is not available; `alternatives` are, the nearest first.

    `own` is the caller's own booking, where that booking is in the way.
    """

    def __init__(
        self, alternatives: list[Span], own: Appointment | None = None
    ) -> None:
        super().__init__("the time is taken or outside of the hours")
        self.alternatives = alternatives
        self.own = own


class NoPhone(Exception):
    """The caller's number is withheld, and they have not said where to reach them."""


class TooMany(Exception):
    """The caller has as many upcoming appointments as one caller may have.

    Where `is_shared`, the limit is that of all callers with a withheld number together.
    """

    def __init__(self, limit: int, *, is_shared: bool = False) -> None:
        super().__init__(f"{limit} appointments to come")
        self.limit = limit
        self.is_shared = is_shared


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
    found: list[Span] = []
    for part in calendar.weeks(wish):
        found += calendar.free_slots(business, service, part, busy, rules, now)
        # A week open day and night is 2 ms of work, two months are 25 ms: other calls'
        # frames are processed in between.
        await asyncio.sleep(0)
    return found


async def book(
    db: Database, business: Business, request: Request, rules: Rules, now: datetime
) -> Booking:
    """Book a time for a caller, who becomes a lead, or for the caller's claim.

    Raises Taken or TooMany. Two bookings are the same if the caller, the service and
    the time are the same. A caller who loses has changed nothing: neither a lead nor a
    name is left behind.
    """
    async with db.tenant(business.id) as connection:
        try:
            booked = await _book(connection, business, request, rules, now)
        except (Taken, TooMany) as refused:
            own = await rows.in_the_way(connection, business.id, request)
            if own is not None and _is_same(own, request):
                # The name may still be new.
                await _hold(connection, business.id, request)
                known = await _known(connection, business.id, request)
                return Booking(own, known, is_new=False)
            if isinstance(refused, Taken):
                raise Taken(refused.alternatives, own) from None
            raise
        known = await _known(connection, business.id, request)
    return Booking(booked, known, is_new=True)


async def _book(
    connection: Any, business: Business, request: Request, rules: Rules, now: datetime
) -> Appointment:
    await _check_free(connection, business, request, rules, now)
    holder = await _hold(connection, business.id, request)
    await _check_open(connection, business.id, request, holder, now)
    booked = await rows.insert(connection, business, request, holder)
    if booked is None:
        # The winner's row is visible by now: this check raises Taken.
        await _check_free(connection, business, request, rules, now)
        raise Taken([])
    if holder.lead_id is not None:
        await leads.set_status(connection, business.id, holder.lead_id, "booked")
    return booked


async def _hold(connection: Any, business_id: UUID, request: Request) -> Holder:
    """Return the holder of the new appointment, locked until the transaction ends."""
    claimant = request.claimed_by
    if claimant is None:
        return Holder(
            await leads.lock(connection, business_id, request.phone, request.name)
        )
    phone = request.phone or None
    said = {"name": request.name}
    claim = await claims.hold(connection, business_id, claimant, phone, said)
    if claim.phone is None:
        raise NoPhone
    await claims.lock_number(connection, business_id, claimant)
    return Holder(claimed_by=claimant.call_sid)


async def _hold_own(
    connection: Any, business_id: UUID, phone: str, claimant: Claimant | None
) -> Holder:
    """Return the holder of what a caller may change, locked as in `_hold`."""
    if claimant is None:
        return Holder(await leads.lock(connection, business_id, phone))
    await claims.hold(connection, business_id, claimant, None, {})
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
    """Raise TooMany unless the caller may have one more appointment.

    A caller whose number proves nothing learns nothing about the number's lead: only
    the claims of calls from that number are counted.
    """
    claimant = request.claimed_by
    who: UUID | str | None
    if claimant is None:
        whose, who = "a.lead_id = $3", holder.lead_id
    elif claimant.from_number:
        whose, who = "c.from_number = $3", claimant.from_number
    else:
        whose, who = "a.claimed_by = $3", claimant.call_sid
    count = await connection.fetchval(
        "select count(*) from appointments a left join claims c "
        "on c.business_id = a.business_id and c.call_sid = a.claimed_by "
        "where a.business_id = $1 and a.status = 'booked' and a.starts_at > $2 "
        f"and {whose}",
        business_id,
        now,
        who,
    )
    if count >= request.open_max:
        raise TooMany(request.open_max)
    if claimant is not None and not claimant.from_number:
        await _check_withheld(connection, business_id, request, now)


async def _check_withheld(
    connection: Any, business_id: UUID, request: Request, now: datetime
) -> None:
    count = await connection.fetchval(
        "select count(*) from appointments a join claims c "
        "on c.business_id = a.business_id and c.call_sid = a.claimed_by "
        "where a.business_id = $1 and a.claimed_by is not null "
        "and a.status = 'booked' and a.starts_at > $2 and c.from_number = ''",
        business_id,
        now,
    )
    if count >= request.withheld_max:
        raise TooMany(request.withheld_max, is_shared=True)


async def cancel(
    db: Database,
    business_id: UUID,
    phone: str,
    starts_at: datetime | None,
    now: datetime,
    claimed_by: Claimant | None = None,
) -> Changed:
    """Cancel the caller's appointment at a time, or the only one; raises NotFound.

    A claimant can cancel only what the same call has booked, whatever `phone` is.
    """
    async with db.tenant(business_id) as connection:
        holder = await _hold_own(connection, business_id, phone, claimed_by)
        try:
            found = await rows.own(connection, business_id, holder, starts_at, now)
        except NotFound:
            done = await rows.closed(
                connection, business_id, holder, "cancelled", starts_at, now
            )
            if done is None:
                raise
            return Changed(done, is_new=False)
        await rows.close(connection, business_id, found.id, "cancelled")
        left = await rows.upcoming(connection, business_id, holder, now)
        if not left and holder.lead_id is not None:
            await leads.set_status(connection, business_id, holder.lead_id, "cancelled")
    return Changed(found, is_new=True)


async def move(
    db: Database,
    business: Business,
    request: Request,
    starts_at: datetime | None,
    rules: Rules,
    now: datetime,
) -> Changed:
    """Move the caller's own appointment to `request`; raises NotFound or Taken.

    The service stays as booked. If the new time is taken, the old appointment stands.
    """
    async with db.tenant(business.id) as connection:
        holder = await _hold_own(
            connection, business.id, request.phone, request.claimed_by
        )
        # Two callers who move to each other's times would deadlock.
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended($1, 0))", str(business.id)
        )
        done = await _moved_before(
            connection, business.id, holder, request, starts_at, now
        )
        if done is not None:
            return Changed(done, is_new=False)
        old = await rows.own(connection, business.id, holder, starts_at, now)
        request = request._replace(service=_service_of(business, old))
        await rows.close(connection, business.id, old.id, "moved")
        try:
            await _check_free(connection, business, request, rules, now)
            booked = await rows.insert(connection, business, request, holder)
            if booked is None:
                await _check_free(connection, business, request, rules, now)
                raise Taken([])
        except Taken as taken:
            own = await rows.in_the_way(connection, business.id, request)
            raise Taken(taken.alternatives, own) from None
    return Changed(booked, is_new=True)


async def _moved_before(
    connection: Any,
    business_id: UUID,
    holder: Holder,
    request: Request,
    starts_at: datetime | None,
    now: datetime,
) -> Appointment | None:
    """Return the appointment that is already at the new time, if that one is meant."""
    upcoming = await rows.upcoming(connection, business_id, holder, now)
    there = [one for one in upcoming if one.starts_at == request.starts_at]
    if not there or starts_at in (None, request.starts_at):
        return there[0] if there else None
    if starts_at in (one.starts_at for one in upcoming):
        return None
    was = await rows.closed(connection, business_id, holder, "moved", starts_at, now)
    return None if was is None else there[0]


def _is_same(own: Appointment, request: Request) -> bool:
    return own.starts_at == request.starts_at and (
        same_name_key(own.service) == same_name_key(request.service.name)
    )


def _service_of(business: Business, old: Appointment) -> Service:
    minutes = int((old.ends_at - old.starts_at).total_seconds() // 60)
    for service in business.services:
        if same_name_key(service.name) == same_name_key(old.service):
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
    # The query is bounded by `starts_at` alone: under row-level security a range
    # operator would not use the index.
    span = calendar.absolute_span(business, wish)
    found = await connection.fetch(
        "select starts_at, busy_until from appointments where business_id = $1 "
        "and resource = 0 and status = 'booked' and starts_at >= $2 and starts_at < $3",
        business.id,
        *span,
    )
    return [Span(*row.values()) for row in found]
