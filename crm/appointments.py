"""Appointments: booked, cancelled, moved; two callers never get one time.

The exclusion constraint decides which caller wins a person's time. Where several people
are free, they are tried in turn. `on conflict do nothing` makes the loser wait for the
winner without holding anything; a plain insert deadlocks (measured: p99 44 s where this
takes 36 ms). Locks are taken in one order everywhere: the lead, then, for a move, the
business's movers, then the times.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from crm import (
    appointment_rows as rows,
    booking_limits,
    calendar,
    claims,
    free_times,
    leads,
)
from crm.appointment_rows import Appointment, Holder, NotFound, Request, Which
from crm.authors import NOBODY, By
from crm.booking_limits import TooMany
from crm.businesses import Business, Service
from crm.calendar import Rules
from crm.claims import Claim, Claimant
from crm.database import Database
from crm.free_times import Offer, Wanted
from crm.leads import Lead
from crm.names import may_be_one, same_name_key

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

    `own` is the caller's own booking, where that booking is in the way. `others` are
    the numbers of those who are free at the time, where a person was asked for.
    """

    def __init__(
        self,
        alternatives: list[Offer],
        own: Appointment | None = None,
        others: tuple[int, ...] = (),
    ) -> None:
        super().__init__("the time is taken or outside of the hours")
        self.alternatives = alternatives
        self.own = own
        self.others = others


class NoPhone(Exception):
    """The caller's number is withheld, and they have not said where to reach them."""


async def book(
    db: Database, business: Business, request: Request, rules: Rules, now: datetime
) -> Booking:
    """Book a time for a caller, who becomes a lead, or for the caller's claim.

    Raises Taken or TooMany. Two bookings are the same if the caller, the service and
    the time are the same, and the person, if one was asked for. Who calls from the same
    line under another name is another caller. A caller who loses has changed nothing:
    neither a lead nor a name is left behind.
    """
    async with db.tenant(business.id) as connection:
        before = await _known(connection, business.id, request)
        is_theirs = before is None or may_be_one(before.name, request.name)
        try:
            booked = await _book(connection, business, request, rules, now)
        except (Taken, TooMany) as refused:
            own = await rows.in_the_way(connection, business.id, request)
            if own is not None and is_theirs and _is_same(own, request):
                # The name may still be new.
                await _hold(connection, business.id, request)
                known = await _known(connection, business.id, request)
                return Booking(own, known, is_new=False)
            if isinstance(refused, Taken):
                raise Taken(refused.alternatives, own, refused.others) from None
            raise
        known = await _known(connection, business.id, request)
    return Booking(booked, known, is_new=True)


async def _book(
    connection: Any, business: Business, request: Request, rules: Rules, now: datetime
) -> Appointment:
    offer = await _offer(connection, business, request, rules, now)
    holder = await _hold(connection, business.id, request)
    if business.staff:
        await _check_own(connection, business.id, request)
    await booking_limits.check(connection, business.id, request, holder, now)
    booked = await _insert(connection, business, request, holder, offer)
    if booked is None:
        # The winners' rows are visible by now: this check raises Taken.
        await _offer(connection, business, request, rules, now)
        raise Taken([])
    if holder.lead_id is not None:
        await leads.set_status(connection, business.id, holder.lead_id, "booked")
    return booked


async def _insert(
    connection: Any, business: Business, request: Request, holder: Holder, offer: Offer
) -> Appointment | None:
    """Book with the first who is free; None if everybody was booked meanwhile."""
    for person in offer.people:
        booked = await rows.insert(connection, business, request, holder, person)
        if booked is not None:
            return booked
    return None


async def _check_own(connection: Any, business_id: UUID, request: Request) -> None:
    """Raise Taken where the caller has a booking then: another person would be free."""
    own = await rows.in_the_way(connection, business_id, request)
    if own is not None:
        raise Taken([], own)


async def _hold(connection: Any, business_id: UUID, request: Request) -> Holder:
    """Return the holder of the new appointment, locked until the transaction ends."""
    claimant = request.claimed_by
    if claimant is None:
        return Holder(
            await leads.lock(connection, business_id, request.phone, request.name)
        )
    phone = request.phone or None
    said = {"name": request.name}
    await claims.lock_number(connection, business_id, claimant)
    claim = await claims.hold(connection, business_id, claimant, phone, said)
    if claim.phone is None:
        raise NoPhone
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


async def cancel(
    db: Database,
    business_id: UUID,
    phone: str,
    which: Which,
    now: datetime,
    claimed_by: Claimant | None = None,
    by: By = NOBODY,
) -> Changed:
    """Cancel the caller's appointment that is meant; raises NotFound.

    A claimant can cancel only what the same call has booked, whatever `phone` is.
    """
    async with db.tenant(business_id) as connection:
        holder = await _hold_own(connection, business_id, phone, claimed_by)
        try:
            found = await rows.own(connection, business_id, holder, which, now)
        except NotFound as missing:
            # Who has others to come and names no time may mean one of those.
            is_meant = which.starts_at is not None or not missing.upcoming
            done = await rows.closed(
                connection, business_id, holder, "cancelled", which, now
            )
            if done is None or not is_meant:
                raise
            return Changed(done, is_new=False)
        await close(connection, business_id, found, holder, by, now)
    return Changed(found, is_new=True)


async def close(
    connection: Any,
    business_id: UUID,
    found: Appointment,
    holder: Holder,
    by: By,
    now: datetime,
) -> None:
    """Cancel an appointment in a transaction that holds its holder."""
    await rows.close(connection, business_id, found.id, "cancelled", by)
    left = await rows.upcoming(connection, business_id, holder, now)
    if not left and holder.lead_id is not None:
        await leads.set_status(connection, business_id, holder.lead_id, "cancelled")


async def move(
    db: Database,
    business: Business,
    request: Request,
    which: Which,
    rules: Rules,
    now: datetime,
) -> Changed:
    """Move the caller's own appointment to `request`; raises NotFound or Taken.

    The service stays as booked, and the person where they are free and nobody else was
    asked for. If the new time is taken, the old appointment stands.
    """
    async with db.tenant(business.id) as connection:
        holder = await _hold_own(
            connection, business.id, request.phone, request.claimed_by
        )
        await lock_movers(connection, business.id)
        done = await _moved_before(connection, business.id, holder, request, which, now)
        if done is not None:
            return Changed(done, is_new=False)
        old = await rows.own(connection, business.id, holder, which, now)
        booked = await put(connection, business, old, request, holder, rules, now)
    return Changed(booked, is_new=True)


async def lock_movers(connection: Any, business_id: UUID) -> None:
    """Let nobody else move an appointment of the business until the transaction ends.

    Two callers who move to each other's times would deadlock.
    """
    await connection.execute(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))", str(business_id)
    )


async def put(
    connection: Any,
    business: Business,
    old: Appointment,
    request: Request,
    holder: Holder,
    rules: Rules,
    now: datetime,
) -> Appointment:
    """Book `request` in the place of `old`, in a transaction that has locked the holder
    and the movers; raises Taken, and then the transaction must end."""
    request = request._replace(service=_service_of(business, old))
    await rows.close(connection, business.id, old.id, "moved", request.by)
    try:
        if business.staff:
            await _check_own(connection, business.id, request)
        offer = await _offer(connection, business, request, rules, now, old.resource)
        booked = await _insert(connection, business, request, holder, offer)
        if booked is None:
            await _offer(connection, business, request, rules, now, old.resource)
            raise Taken([])
    except Taken as taken:
        own = await rows.in_the_way(connection, business.id, request)
        raise Taken(taken.alternatives, own, taken.others) from None
    return booked


async def _moved_before(
    connection: Any,
    business_id: UUID,
    holder: Holder,
    request: Request,
    which: Which,
    now: datetime,
) -> Appointment | None:
    """Return the appointment that is already at the new time, if that one is meant."""
    held = (connection, business_id, holder)
    new = Which(request.starts_at, request.person)
    there = await rows.upcoming(*held, now, new)
    if not there or which.starts_at == request.starts_at:
        return there[0] if there else None
    still = await rows.upcoming(*held, now, which)
    if which.starts_at is None:
        # Who has others to come may mean to move one of those.
        return there[0] if len(still) == 1 else None
    if still:
        return None
    was = await rows.closed(*held, "moved", which, now)
    return None if was is None else there[0]


def _is_same(own: Appointment, request: Request) -> bool:
    return (
        own.starts_at == request.starts_at
        and same_name_key(own.service) == same_name_key(request.service.name)
        and request.person in (None, own.resource)
    )


def _service_of(business: Business, old: Appointment) -> Service:
    minutes = int((old.ends_at - old.starts_at).total_seconds() // 60)
    for service in business.services:
        if same_name_key(service.name) == same_name_key(old.service):
            return Service(service.name, minutes, service.buffer_minutes)
    return Service(old.service, minutes)


async def _offer(
    connection: Any,
    business: Business,
    request: Request,
    rules: Rules,
    now: datetime,
    keeps: int | None = None,
) -> Offer:
    """Return the requested time with those who are free then; raises Taken."""
    wanted = Wanted(request.service, request.person, keeps)
    for days in _ALTERNATIVE_DAYS:
        wish = calendar.days_around(business, request.starts_at, days)
        found = await free_times.read(connection, business, wanted, wish, rules, now)
        for one in found:
            if one.starts_at == request.starts_at:
                return one
        if len(found) >= ALTERNATIVES_MAX:
            break
    nearest = calendar.nearest(found, request.starts_at, ALTERNATIVES_MAX)
    others = await _others(connection, business, request, rules, now)
    raise Taken(nearest, others=others)


async def _others(
    connection: Any, business: Business, request: Request, rules: Rules, now: datetime
) -> tuple[int, ...]:
    """Return who else is free at the requested time, where a person was asked for."""
    if request.person is None:
        return ()
    wanted = Wanted(request.service)
    wish = calendar.days_around(business, request.starts_at, 0)
    found = await free_times.read(connection, business, wanted, wish, rules, now)
    return next((one.people for one in found if one.starts_at == request.starts_at), ())
