"""What the calendar's tools take: the types that their schemas are made of, and how
the days and times in them are read."""

from datetime import UTC, date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from bridge.agent.tools import ToolError
from crm.calendar import PartOfDay

# Far enough from the calendar's ends to count days and offsets from there.
_YEARS = range(1900, 2200)
_A_DAY = "a day as 2026-11-24, of the years 1900 to 2199"
_A_TIME = "a time such as 2026-11-24T16:30:00+02:00, of the years 1900 to 2199"
_Text = Annotated[str, Meta(max_length=200)]
_ServiceName = Annotated[
    str, Meta(max_length=200, description="Which service, by its name.")
]
_Day = Annotated[
    str,
    Meta(
        pattern=r"^(\d{4}-\d{2}-\d{2})?$",
        description="A day of the business's calendar, as 2026-11-24.",
    ),
]
_Clock = Annotated[
    str,
    Meta(
        pattern=r"^([01]\d:[0-5]\d|2[0-3]:[0-5]\d)?$",
        description="The hour that suits best, as 16:30; the nearest come first.",
    ),
]
_Slot = Annotated[
    str, Meta(max_length=40, description="starts_at as calendar_find_slots gave it.")
]
_Staff = Annotated[
    str,
    Meta(
        max_length=200,
        description="With whom, by name; leave out where anyone will do.",
    ),
]
_StaffNow = Annotated[
    str,
    Meta(
        max_length=200,
        description="With whom that appointment is, by name, where the caller has two "
        "at one time.",
    ),
]
_Own = Annotated[
    str,
    Meta(
        max_length=40,
        description="Which of the caller's appointments, by its starts_at; leave out "
        "where there is one only.",
    ),
]


class FindSlots(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of `calendar_find_slots`."""

    service: _ServiceName = ""
    date_from: _Day = ""
    date_to: _Day = ""
    part_of_day: PartOfDay = "any"
    near_time: _Clock = ""


class CreateAppointment(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `calendar_create_appointment`."""

    starts_at: _Slot
    service: _ServiceName = ""
    name: Annotated[_Text, Meta(description="The caller's full name.")] = ""
    phone: Annotated[
        _Text, Meta(description="Only where the caller's own number is hidden.")
    ] = ""


class CancelAppointment(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `calendar_cancel_appointment`."""

    starts_at: _Own = ""


class RescheduleAppointment(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `calendar_reschedule_appointment`."""

    new_starts_at: _Slot
    starts_at: _Own = ""


# Where a business has more than one person who can be booked.


class FindSlotsOfStaff(
    FindSlots, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `calendar_find_slots`, with a person."""

    staff: _Staff = ""


class CreateAppointmentWithStaff(
    CreateAppointment, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `calendar_create_appointment`, with a person."""

    staff: _Staff = ""


class RescheduleWithStaff(
    RescheduleAppointment, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `calendar_reschedule_appointment`, with a person."""

    staff: _Staff = ""
    staff_now: _StaffNow = ""


class CancelWithStaff(
    CancelAppointment, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Arguments of `calendar_cancel_appointment`, with a person."""

    staff_now: _StaffNow = ""


def read_day(field: str, text: str) -> date | None:
    """Return a day of the business's calendar; None where none is given."""
    try:
        found = date.fromisoformat(text) if text else None
    except ValueError:
        found = date.min
    if found is not None and found.year not in _YEARS:
        raise ToolError(f"{field}: expected {_A_DAY}, got {text}")
    return found


def read_time(field: str, text: str, zone: ZoneInfo) -> datetime:
    """Return a time; one without an offset is of the business's clock.

    Another offset than that clock has then is none that the model was given: it is
    refused, for nobody knows which hour the caller has agreed to.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        raise ToolError(f"{field}: expected {_A_TIME}")
    if found.tzinfo is None:
        found = _on_the_clock(field, found, zone)
    here = found.astimezone(zone)
    if here.utcoffset() != found.utcoffset():
        raise ToolError(
            f"{field}: expected the offset of the business's clock, on which this "
            f"is {here.isoformat()}: give the time as calendar_find_slots gave it"
        )
    return found.astimezone(UTC)


def _on_the_clock(field: str, shown: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment of a local time that occurs once; else raise ToolError."""
    local = shown.replace(tzinfo=zone, fold=0)
    later = local.replace(fold=1)
    if local.utcoffset() == later.utcoffset():
        return local
    what = "comes twice: give the offset that calendar_find_slots gave"
    if local.astimezone(UTC) >= later.astimezone(UTC):
        what = "is left out: ask for another"
    raise ToolError(f"{field}: the clocks change then, and this hour {what}")
