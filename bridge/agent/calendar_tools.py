"""The tools that read and write the calendar, bound to one business and one caller.

The model receives and returns a time with its offset, so a clock hour that occurs twice
stays one moment. Cancelling and moving have no argument for a phone: a caller reaches
only the appointments of the number that they have proven to be theirs.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bridge.agent.calendar_arguments import (
    CancelAppointment,
    CancelWithStaff,
    CreateAppointment,
    CreateAppointmentWithStaff,
    FindSlots,
    FindSlotsOfStaff,
    RescheduleAppointment,
    RescheduleWithStaff,
    read_day,
    read_time,
)
from bridge.agent.identity import Standing
from bridge.agent.spoken import say_time
from bridge.agent.tools import Answer, LimitError, Tool, ToolError
from crm import appointments, businesses, calendar, free_times, phones
from crm.appointment_rows import Appointment, NotFound, Request, Which
from crm.appointments import NoPhone, Taken
from crm.authors import By
from crm.booking_limits import TooMany
from crm.businesses import Business, Person, Service
from crm.calendar import Rules, Span, Wish
from crm.claims import Claimant
from crm.database import Database
from crm.free_times import Offer, Wanted, does
from crm.names import same_name_key

FIND_SLOTS = "calendar_find_slots"
CREATE_APPOINTMENT = "calendar_create_appointment"
CANCEL_APPOINTMENT = "calendar_cancel_appointment"
RESCHEDULE_APPOINTMENT = "calendar_reschedule_appointment"

# As many as a caller can keep in mind, and some to choose from.
SLOTS_MAX = 6
_DAYS_DEFAULT, _DAYS_MAX = 14, 62
_DONE_BEFORE = "this was so before, nothing new was done: tell the caller it is settled"
# What is booked where a business has named no service.
_PLAIN = Service("", 30)

HIDDEN_TEXT = (
    "the caller's number is hidden: what was booked before this call is changed only "
    "from the number it was booked for"
)
ACCEPTED_TEXT = "what this call booked is accepted and counts as booked before"
UNVERIFIED_TEXT = "the caller is not verified, nothing was changed: caller_verify first"
_MISHEARD_TEXT = (
    ". It stands under another name: where that was misheard, leads_upsert corrects it"
)
NO_PHONE_TEXT = "phone: the caller's number is hidden; ask for it"
_Method = Callable[["ToolContext", Any], Awaitable[Answer]]


class BookingLimits(NamedTuple):
    """How many future appointments are allowed: to a verified caller, to an unverified
    caller, and to all callers together whose number is withheld."""

    per_caller: int = 5
    unverified: int = 2
    withheld: int = 30


class ToolContext(NamedTuple):
    """Where a caller is served: one business, one call or conversation in writing.

    `call_sid` names what the caller claims; `author` makes the changes.
    """

    database: Database
    business: Business
    standing: Standing
    call_sid: str
    rules: Rules
    limits: BookingLimits
    author: By

    async def find(self, asked: FindSlots) -> Answer:
        """Find free slots, the nearest to what was asked for first."""
        now = datetime.now(UTC)
        zone = ZoneInfo(self.business.time_zone)
        today = now.astimezone(zone).date()
        first = max(read_day("date_from", asked.date_from) or today, today)
        usual = first + timedelta(days=_DAYS_DEFAULT)
        last = read_day("date_to", asked.date_to) or usual
        if last < first:
            raise ToolError(f"date_to: expected a day from {first} on, got {last}")
        last = min(last, first + timedelta(days=_DAYS_MAX))
        service = self.service(asked.service)
        wanted = Wanted(service, self.person(asked, service))
        wish = Wish(first, last, asked.part_of_day)
        slots = await free_times.free(
            self.database, self.business, wanted, wish, self.rules, now
        )
        hour, _, minute = asked.near_time.partition(":")
        minutes = int(hour) * 60 + int(minute) if minute else 0
        target = calendar.to_utc(first, minutes, zone)
        found = calendar.nearest(slots, target, SLOTS_MAX)
        return Answer(
            {
                "time_zone": self.business.time_zone,
                # A call may have gone over midnight since its prompt was made.
                "now": now.astimezone(zone).isoformat(timespec="minutes"),
                "slots": self.told(found, now),
                "free_in_all": len(slots),
            }
        )

    async def create(self, asked: CreateAppointment) -> Answer:
        """Book, or say that the caller has it already, or what else is free."""
        own = self.standing.own_phone
        service = self.service(asked.service)
        request = Request(
            service,
            self.moment("starts_at", asked.starts_at),
            self.standing.caller.phone or self.reachable_at(asked.phone) or "",
            asked.name.replace("\0", "").strip(),
            self.claimant(),
            self.limits.unverified if own is None else self.limits.per_caller,
            self.limits.withheld,
            self.person(asked, service),
            self.author,
        )
        now = datetime.now(UTC)
        try:
            booked, lead, is_new = await appointments.book(
                self.database, self.business, request, self.rules, now
            )
        except Taken as taken:
            raise self.refused(taken, now, request) from None
        except TooMany as many:
            raise self.too_many(many) from None
        except NoPhone:
            raise ToolError(NO_PHONE_TEXT) from None
        required = self.business.required_fields
        missing = required if lead is None else lead.missing(required)
        told = self.told([booked], now)[0]
        return Answer(
            {"booked": told, "missing": missing, **_again(is_new)},
            missing,
            "appointment booked" if is_new else "appointment was booked before",
        )

    async def cancel(self, asked: CancelAppointment) -> Answer:
        """Cancel the caller's own appointment."""
        now = datetime.now(UTC)
        try:
            found, is_new = await appointments.cancel(
                self.database,
                self.business.id,
                self.standing.own_phone or "",
                self.which(asked),
                now,
                self.claimant(),
                self.author,
            )
        except NotFound as missing:
            raise self.unknown(missing, now) from None
        return Answer(
            {"cancelled": self.told([found], now)[0], **_again(is_new)},
            None,
            "appointment cancelled" if is_new else "appointment was cancelled before",
        )

    async def reschedule(self, asked: RescheduleAppointment) -> Answer:
        """Move the caller's own appointment, or say what else is free."""
        now = datetime.now(UTC)
        request = Request(
            _PLAIN,
            self.moment("new_starts_at", asked.new_starts_at),
            self.standing.own_phone or "",
            claimed_by=self.claimant(),
            person=self.person(asked, None),
            by=self.author,
        )
        which = self.which(asked)
        try:
            moved, is_new = await appointments.move(
                self.database, self.business, request, which, self.rules, now
            )
        except Taken as taken:
            raise self.refused(taken, now, request) from None
        except NotFound as missing:
            raise self.unknown(missing, now) from None
        return Answer(
            {"moved": self.told([moved], now)[0], **_again(is_new)},
            None,
            "appointment moved" if is_new else "appointment was there before",
        )

    def person(self, asked: object, service: Service | None) -> int | None:
        """Return the number of the person whom the caller has asked for, if any.

        `service` is None where the person who had the appointment may keep it.
        """
        staff = free_times.people(self.business)
        able = [one for one in staff if service is None or does(one, service)]
        what = f" for {service.name}" if service is not None and service.name else ""
        return _number("staff", getattr(asked, "staff", ""), able, what)

    def which(self, asked: CancelAppointment | RescheduleAppointment) -> Which:
        """Return which of their appointments the caller means."""
        at = self.moment("starts_at", asked.starts_at) if asked.starts_at else None
        name = getattr(asked, "staff_now", "")
        return Which(at, _number("staff_now", name, self.business.staff, ""))

    def claimant(self) -> Claimant | None:
        """Return who claims what a caller says; None where the caller is verified."""
        caller = self.standing.caller
        if caller.own_phone is not None:
            return None
        return Claimant(self.call_sid, caller.phone or "")

    def reachable_at(self, said: str) -> str | None:
        """Return the number that a caller says; None where they say none."""
        try:
            return phones.to_e164(said, self.business.country) if said.strip() else None
        except phones.PhoneError as error:
            raise ToolError(str(error)) from None

    def service(self, name: str) -> Service:
        """Return the service of a name; a business with one needs no name."""
        services = self.business.services
        wanted = same_name_key(name)
        alike = [one for one in services if same_name_key(one.name) == wanted]
        if alike:
            return min(alike, key=lambda one: one.name != name)
        if len(services) < 2 and not wanted:
            return services[0] if services else _PLAIN
        if not services:
            return _PLAIN
        known = ", ".join(one.name for one in services)
        raise ToolError(f"service: expected one of {known}, got {name[:64]!r}")

    def moment(self, field: str, text: str) -> datetime:
        """Return a time; one without an offset is the business's local time."""
        return read_time(field, text, ZoneInfo(self.business.time_zone))

    def told(
        self, times: Iterable[Span | Offer | Appointment], now: datetime
    ) -> list[dict[str, Any]]:
        """Return times as the model is told them."""
        zone = ZoneInfo(self.business.time_zone)
        today = now.astimezone(zone).date()
        return [
            {
                "starts_at": (local := one.starts_at.astimezone(zone)).isoformat(),
                "spoken": say_time(
                    local, today, self.business.language, self.business.country
                ),
                **self.staff_of(one),
            }
            for one in times
        ]

    def staff_of(self, one: Span | Offer | Appointment) -> dict[str, Any]:
        """Return whom a time is with, where the business has a choice of people."""
        if isinstance(one, Span) or len(free_times.people(self.business)) < 2:
            return {}
        if isinstance(one, Appointment):
            return {"staff": free_times.name_of(self.business, one.resource)}
        names = [free_times.name_of(self.business, number) for number in one.people]
        return {"staff": names}

    def refused(self, taken: Taken, now: datetime, asked: Request) -> ToolError:
        """Return the error for a time that is not available."""
        own = taken.own
        if own is not None:
            service = f" ({own.service})" if own.service else ""
            is_it = own.starts_at == asked.starts_at and same_name_key(
                own.service
            ) == same_name_key(asked.service.name)
            return ToolError(
                f"the caller has an appointment of their own then{service}: nothing "
                "was changed; ask whether to keep or to move it"
                + (_MISHEARD_TEXT if is_it and asked.name else ""),
                own=self.told([own], now)[0],
                alternatives=self.told(taken.alternatives, now),
            )
        others = [free_times.name_of(self.business, one) for one in taken.others]
        also: dict[str, object] = {"free_then": others} if others else {}
        return ToolError(
            "this time is taken or outside of the hours: nothing was changed; offer "
            "an alternative",
            alternatives=self.told(taken.alternatives, now),
            **also,
        )

    def too_many(self, many: TooMany) -> LimitError:
        """Return the error for a booking beyond a caller's limit."""
        if many.is_shared:
            return LimitError(
                "limit_open_bookings_withheld",
                "nothing was booked: callers who hide their number have booked as much "
                "as they may; they can call again with their number shown",
            )
        is_verified = self.standing.own_phone is not None
        return LimitError(
            f"limit_open_bookings_{'per_caller' if is_verified else 'unverified'}",
            f"nothing was booked: a caller may have {many.limit} appointments to come "
            "and has them; say so, and that the business can be asked for more",
        )

    def unknown(self, missing: NotFound, now: datetime) -> ToolError:
        """Return the error for an appointment that the caller does not have."""
        caller = self.standing.caller
        if missing.upcoming:
            text = "starts_at: ask which of these, nothing was changed"
        elif caller.phone is None:
            text = HIDDEN_TEXT
        elif caller.own_phone is None:
            text = UNVERIFIED_TEXT
        else:
            text = "nothing is booked for the number they call from"
        text = f"{ACCEPTED_TEXT}; {text}" if missing.is_accepted else text
        return ToolError(text, appointments=self.told(missing.upcoming, now))


async def _now(context: ToolContext, method: _Method, asked: Any, _: str) -> Answer:
    """Do what a tool does, for the business as it is now, not as the call began."""
    found = await businesses.get(context.database, context.business.id)
    return await method(context._replace(business=found or context.business), asked)


def calendar_tools(context: ToolContext) -> dict[str, Tool]:
    """Return the calendar's tools under the names that the model sees."""
    has_choice = len(free_times.people(context.business)) > 1
    return {
        FIND_SLOTS: Tool(
            FindSlotsOfStaff if has_choice else FindSlots,
            "Find free times, the nearest first. Offer two or three as `spoken` says "
            "them. Never offer a time that this did not return.",
            partial(_now, context, ToolContext.find),
        ),
        CREATE_APPOINTMENT: Tool(
            CreateAppointmentWithStaff if has_choice else CreateAppointment,
            "Book a free time once the caller has agreed to it. It is booked only when "
            "this returns `booked`.",
            partial(_now, context, ToolContext.create),
        ),
        CANCEL_APPOINTMENT: Tool(
            CancelWithStaff if has_choice else CancelAppointment,
            "Cancel the caller's own appointment, once they have confirmed it.",
            partial(_now, context, ToolContext.cancel),
        ),
        RESCHEDULE_APPOINTMENT: Tool(
            RescheduleWithStaff if has_choice else RescheduleAppointment,
            "Move the caller's own appointment to another free time.",
            partial(_now, context, ToolContext.reschedule),
        ),
    }


def _number(field: str, name: str, staff: Sequence[Person], what: str) -> int | None:
    """Return the number of the person of a name; None where none is named."""
    if not name.strip():
        return None
    for one in staff:
        if same_name_key(one.name) == same_name_key(name):
            return one.number
    known = ", ".join(one.name for one in staff) or "nobody"
    raise ToolError(f"{field}: expected one of {known}{what}, got {name[:64]!r}")


def _again(is_new: bool) -> dict[str, str]:
    return {} if is_new else {"note": _DONE_BEFORE}
