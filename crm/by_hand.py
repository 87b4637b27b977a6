"""Appointments that the business's own people book, move and cancel.

They go through the functions of the callers' tools, under the same constraint: whoever
is first has the time, a caller or a person, and the other is told. A business may book
at once, far ahead, and at any five minutes within the hours.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from crm import appointment_rows as rows, appointments, leads
from crm.appointment_rows import Appointment, Holder, Request
from crm.appointments import Booking
from crm.authors import By
from crm.businesses import Business, Service
from crm.calendar import Rules
from crm.database import Database

RULES = Rules(step_minutes=5, lead_minutes=0, days_max=366)
# A business may book a caller as often as it likes.
_OPEN_MAX = 1_000


class Place(NamedTuple):
    """When an appointment is to be, and with whom; None where anyone will do."""

    starts_at: datetime
    person: int | None = None


class Closed(Exception):
    """The appointment was cancelled or moved meanwhile, by `by`."""

    def __init__(self, status: str, by: By) -> None:
        super().__init__(f"it was {status} meanwhile")
        self.status = status
        self.by = by


class Unknown(Exception):
    """The business has no such appointment."""


async def book(
    db: Database,
    business: Business,
    service: Service,
    place: Place,
    phone: str,
    name: str,
    by: By,
    now: datetime,
) -> Booking:
    """Book a time for the lead of a number, new or known; raises Taken."""
    request = Request(
        service,
        place.starts_at,
        phone,
        name,
        open_max=_OPEN_MAX,
        person=place.person,
        by=by,
    )
    return await appointments.book(db, business, request, RULES, now)


async def move(
    db: Database,
    business: Business,
    appointment_id: UUID,
    place: Place,
    by: By,
    now: datetime,
) -> Appointment:
    """Move an appointment; raises Taken, Closed or Unknown, and changes nothing then.

    The service stays, and the person where nobody else is named and they are free.
    """
    async with db.tenant(business.id) as connection:
        holder = await _hold(connection, business.id, appointment_id)
        await appointments.lock_movers(connection, business.id)
        old = await _booked(connection, business.id, appointment_id)
        if old.starts_at == place.starts_at and place.person in (None, old.resource):
            return old
        request = Request(
            Service("", 30), place.starts_at, "", person=place.person, by=by
        )
        return await appointments.put(
            connection, business, old, request, holder, RULES, now
        )


async def cancel(
    db: Database, business_id: UUID, appointment_id: UUID, by: By, now: datetime
) -> Appointment:
    """Cancel an appointment; raises Closed or Unknown."""
    async with db.tenant(business_id) as connection:
        holder = await _hold(connection, business_id, appointment_id)
        found = await _booked(connection, business_id, appointment_id)
        await appointments.close(connection, business_id, found, holder, by, now)
    return found


async def _hold(connection: Any, business_id: UUID, appointment_id: UUID) -> Holder:
    """Return whose an appointment is, locked until the transaction ends.

    A claim may become a lead's just before it is locked: then the lead is.
    """
    while True:
        holder = await rows.holder(connection, business_id, appointment_id)
        if holder is None:
            raise Unknown
        if holder.lead_id is not None:
            await leads.hold(connection, business_id, holder.lead_id)
        await connection.execute(
            "select from claims where business_id = $1 and call_sid = $2 for update",
            business_id,
            holder.claimed_by,
        )
        if holder == await rows.holder(connection, business_id, appointment_id):
            return holder


async def _booked(
    connection: Any, business_id: UUID, appointment_id: UUID
) -> Appointment:
    found, status, by = await rows.get(connection, business_id, appointment_id)
    if status != "booked":
        raise Closed(status, by)
    return found
