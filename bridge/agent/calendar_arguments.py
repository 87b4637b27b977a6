"""What the calendar's tools take: the types that their schemas are made of."""

from typing import Annotated

import msgspec
from msgspec import Meta

from crm.calendar import PartOfDay

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
