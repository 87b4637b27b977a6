"""Appointments: listed, booked, moved and cancelled under the calendar's constraint."""

from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Literal, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from bridge.api.calls import Limit
from bridge.api.cursors import LIMIT_DEFAULT, Page, page, read
from bridge.api.problems import FieldProblem, Problem, not_found, of_text, wrong_field
from bridge.api.routes import Asked, Route, id_of
from crm import by_hand, free_times, leads, pages
from crm.appointments import Taken
from crm.businesses import Service
from crm.by_hand import Closed, Place, Unknown
from crm.calendar import Wish
from crm.free_times import Wanted
from crm.names import same_name_key
from crm.pages import AppointmentRow

# A person's number, as the database has it.
Number = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
NAME_CHARS_MAX = 200
# A search for free slots looks at so many days at most.
DAYS_MAX = 62
SLOTS_MAX = 1_000


class AppointmentsQuery(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    rename={"since": "from", "until": "to"},
):
    """Which appointments: those that begin from one time on, and before another."""

    limit: Limit = LIMIT_DEFAULT
    cursor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    status: Literal["booked", "cancelled", "moved"] | None = None
    person: Number | None = None


class SlotsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which free slots: of a service, on local days, first and last included."""

    service: str
    first_day: date
    last_day: date
    person: Number | None = None


class Slot(msgspec.Struct, frozen=True):
    """A free time, and the numbers of the people who are free then."""

    starts_at: datetime
    ends_at: datetime
    people: list[int]


class NewAppointment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An appointment to book; without `person`, with whoever is free.

    `starts_at` has an offset, as in 2026-11-30T10:00:00+02:00.
    """

    service: str
    starts_at: datetime
    phone: str
    name: Annotated[str, msgspec.Meta(max_length=NAME_CHARS_MAX)] = ""
    person: Number | None = None


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new time of an appointment, and the person it will be with."""

    starts_at: datetime
    person: Number | None = None


async def every(asked: Asked) -> Page[AppointmentRow]:
    query: AppointmentsQuery = asked.query
    span = tuple(
        None if at is None else _moment(name, at)
        for name, at in (("from", query.since), ("to", query.until))
    )
    rows = await pages.appointments(
        asked.database,
        asked.business.id,
        query.limit + 1,
        span=(span[0], span[1]),
        after=read(query.cursor, is_uuid=True),
        status=query.status,
        person=query.person,
    )
    return page(rows, query.limit, "starts_at", "id")


async def one(asked: Asked) -> AppointmentRow:
    return await _found(asked, id_of(asked))


async def slots(asked: Asked) -> list[Slot]:
    query: SlotsQuery = asked.query
    days = (query.last_day - query.first_day).days
    if not 0 <= days < DAYS_MAX:
        raise wrong_field("last_day", f"expected 1 to {DAYS_MAX} days")
    # A day after year 9999 has no midnight.
    if not 2000 <= query.first_day.year < 3000:
        raise wrong_field("first_day", "expected a day of this millennium")
    wanted = Wanted(_service(asked, query.service), query.person)
    wish = Wish(query.first_day, query.last_day)
    found = await free_times.free(
        asked.database,
        asked.business,
        wanted,
        wish,
        by_hand.RULES,
        datetime.now(UTC),
        most=SLOTS_MAX,
    )
    if len(found) > SLOTS_MAX:
        zone = ZoneInfo(asked.business.time_zone)
        day = found[SLOTS_MAX].starts_at.astimezone(zone).date() - timedelta(days=1)
        text = f"more than {SLOTS_MAX} slots: ask for the days until {day}, then go on"
        raise wrong_field("last_day", text)
    return [Slot(one.starts_at, one.ends_at, list(one.people)) for one in found]


async def book(asked: Asked) -> AppointmentRow:
    body: NewAppointment = asked.body
    place = Place(_moment("starts_at", body.starts_at), body.person)
    service = _service(asked, body.service)
    try:
        booking = await by_hand.book(
            asked.database,
            asked.business,
            service,
            place,
            body.phone,
            body.name.strip(),
            asked.by,
            datetime.now(UTC),
        )
    except Taken as taken:
        _refuse(asked, taken)
    except leads.FieldError as error:
        raise of_text(error) from None
    return await _found(asked, booking.appointment.id)


async def move(asked: Asked) -> AppointmentRow:
    body: Move = asked.body
    appointment_id = (await _found(asked, id_of(asked))).id
    place = Place(_moment("starts_at", body.starts_at), body.person)
    try:
        moved = await by_hand.move(
            asked.database,
            asked.business,
            appointment_id,
            place,
            asked.by,
            datetime.now(UTC),
        )
    except Taken as taken:
        _refuse(asked, taken)
    except Closed as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None
    except Unknown:
        raise not_found("appointment") from None
    return await _found(asked, moved.id)


async def cancel(asked: Asked) -> None:
    appointment_id = (await _found(asked, id_of(asked))).id
    now = datetime.now(UTC)
    try:
        await by_hand.cancel(
            asked.database, asked.business.id, appointment_id, asked.by, now
        )
    except Closed as error:
        if error.status != "cancelled":
            raise Problem(HTTPStatus.CONFLICT, str(error)) from None
    except Unknown:
        raise not_found("appointment") from None


async def _found(asked: Asked, appointment_id: UUID | None) -> AppointmentRow:
    row = None
    if appointment_id is not None:
        row = await pages.appointment(asked.database, asked.business.id, appointment_id)
    if row is None:
        raise not_found("appointment")
    return row


def _service(asked: Asked, name: str) -> Service:
    wanted = same_name_key(name)
    for service in asked.business.services:
        if same_name_key(service.name) == wanted:
            return service
    have = ", ".join(one.name for one in asked.business.services) or "no services"
    raise wrong_field("service", f"{name!r}: expected one of {have}")


def _moment(field: str, at: datetime) -> datetime:
    if at.tzinfo is None:
        raise wrong_field(field, "expected a time with an offset, as 10:00:00+02:00")
    if abs(at.year - datetime.now(UTC).year) > 100:
        raise wrong_field(field, "expected a time of this century")
    return at.astimezone(UTC)


def _refuse(asked: Asked, taken: Taken) -> NoReturn:
    zone = ZoneInfo(asked.business.time_zone)
    times = ", ".join(
        one.starts_at.astimezone(zone).isoformat(timespec="minutes")
        for one in taken.alternatives
    )
    near = f"; free are {times}" if times else ""
    error = FieldProblem("starts_at", f"{taken}{near}")
    raise Problem(HTTPStatus.CONFLICT, "the time is not free", error) from None


ROUTES = (
    Route(
        "GET",
        "/appointments",
        "List appointments by their start",
        every,
        Page[AppointmentRow],
        AppointmentsQuery,
    ),
    Route(
        "POST",
        "/appointments",
        "Book an appointment",
        book,
        AppointmentRow,
        body=NewAppointment,
        status=HTTPStatus.CREATED,
    ),
    Route("GET", "/appointments/{id}", "Read an appointment", one, AppointmentRow),
    Route(
        "PATCH",
        "/appointments/{id}",
        "Move an appointment: the answer is the one at the new time",
        move,
        AppointmentRow,
        body=Move,
    ),
    Route(
        "DELETE",
        "/appointments/{id}",
        "Cancel an appointment",
        cancel,
        None,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        "GET",
        "/free-slots",
        "Find free slots of a service",
        slots,
        list[Slot],
        SlotsQuery,
    ),
)
