"""What the businesses of `kolbridge demo --console` did before the demo: yesterday's
calls, their leads, and appointments of this week.

The rows are written as the service writes them, from the conversations below. They are
made up: nobody spoke, so these calls have no recording.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4
from zoneinfo import ZoneInfo

from bridge.cli.demo.script import STEP_MINUTES
from crm import appointments, calls, leads
from crm.appointment_rows import Request
from crm.appointments import Taken
from crm.businesses import Business, Person, Service
from crm.calendar import Rules
from crm.calls import Turn
from crm.database import Database

TURN_S = 3.5
# Of a call of the demo that was never made.
MODEL = "demo"


class Past(NamedTuple):
    """A call of yesterday: when by the business's clock, who, and what was said.

    `said` begins with the AI and alternates.
    """

    clock: str
    caller: str
    name: str
    outcome: str
    reason: str
    said: tuple[str, ...]


class Planned(NamedTuple):
    """An appointment: in how many days, when, what and whose."""

    days: int
    clock: str
    service: str
    caller: str
    name: str


class Story(NamedTuple):
    """What one business has besides what the calls of the demo need."""

    services: tuple[Service, ...]
    staff: tuple[Person, ...]
    calls: tuple[Past, ...]
    appointments: tuple[Planned, ...]


_HELLO = "Riverside Hair, good morning. How can I help you?"
_SHALOM = "מספרת הנמל, שלום. במה אפשר לעזור?"
STORIES = {
    "en": Story(
        services=(
            Service("Colour", 90, buffer_minutes=15, price="$85", colour="#aa3377"),
            Service("Beard trim", 20, price="$18", colour="#2e8b57"),
        ),
        staff=(
            Person(None, "Maya", colour="#3366cc"),
            Person(None, "Tom", colour="#cc6600", services=("Haircut", "Beard trim")),
        ),
        calls=(
            Past(
                "09:12",
                "+15550100111",
                "Alice Morgan",
                "booked",
                "end_call:goodbye",
                (
                    _HELLO,
                    "I would like to have my hair coloured this week.",
                    "With pleasure. Thursday at ten is free. Does that suit you?",
                    "Yes, Thursday at ten is fine. I am Alice Morgan.",
                    "You are booked, Alice: Thursday at ten. See you then.",
                ),
            ),
            Past(
                "10:40",
                "+15550100112",
                "",
                "talked",
                "caller_hung_up",
                (
                    _HELLO,
                    "Are you open on Saturday?",
                    "We are closed on Saturday. We open again on Sunday at nine.",
                ),
            ),
            Past(
                "11:05",
                "+15550100113",
                "Ben Ortiz",
                "booked",
                "end_call:goodbye",
                (
                    _HELLO,
                    "A beard trim, please, as soon as possible.",
                    "Tomorrow at half past eleven is free.",
                    "Perfect. Ben Ortiz.",
                    "Thank you, Ben. Tomorrow at half past eleven.",
                ),
            ),
            Past(
                "13:27",
                "+15550100114",
                "Carla Reyes",
                "cancelled",
                "end_call:goodbye",
                (
                    _HELLO,
                    "I have to cancel my haircut, I am ill.",
                    "I am sorry to hear that. It is cancelled. Get well soon.",
                ),
            ),
            Past("15:50", "+15550100115", "", "silent", "caller_hung_up", (_HELLO,)),
            Past(
                "16:31",
                "+15550100111",
                "Alice Morgan",
                "rescheduled",
                "end_call:goodbye",
                (
                    _HELLO,
                    "This is Alice again. Could we make it an hour later?",
                    "Thursday at eleven is free. I have moved it.",
                    "Thank you!",
                    "You are welcome. Goodbye.",
                ),
            ),
            Past(
                "17:58",
                "+15550100116",
                "Dev Patel",
                "lead",
                "caller_hung_up",
                (
                    _HELLO,
                    "My name is Dev Patel. Please ask the owner to call me back.",
                    "I have noted that, Dev. She will call you tomorrow.",
                ),
            ),
        ),
        appointments=(
            Planned(1, "11:30", "Beard trim", "+15550100113", "Ben Ortiz"),
            Planned(1, "13:00", "Haircut", "+15550100117", "Eve Laurent"),
            Planned(2, "15:30", "Colour", "+15550100111", "Alice Morgan"),
            Planned(2, "14:00", "Haircut", "+15550100118", "Farid Haddad"),
            Planned(3, "09:30", "Haircut", "+15550100119", "Grace Kim"),
            Planned(4, "15:00", "Colour", "+15550100120", "Hana Weiss"),
        ),
    ),
    "he": Story(
        services=(Service("צבע", 90, price="₪280", colour="#aa3377"),),
        staff=(),
        calls=(
            Past(
                "10:15",
                "+15550100211",
                "נועה לוי",
                "booked",
                "end_call:goodbye",
                (
                    _SHALOM,
                    "אני רוצה לקבוע תור לצבע השבוע.",
                    "בשמחה. מחר באחת בצהריים פנוי. מתאים?",
                    "כן, מצוין. נועה לוי.",
                    "קבעתי לך תור, נועה. להתראות.",
                ),
            ),
            Past(
                "12:02",
                "+15550100212",
                "",
                "talked",
                "caller_hung_up",
                (_SHALOM, "מה שעות הפתיחה?", "אנחנו פתוחים מתשע עד חמש."),
            ),
        ),
        appointments=(
            Planned(1, "13:00", "צבע", "+15550100211", "נועה לוי"),
            Planned(3, "11:00", "תספורת", "+15550100213", "יוסי מזרחי"),
        ),
    ),
}


async def write(db: Database, business: Business) -> None:
    """Write what a business of the demo did before it."""
    story = STORIES[business.language]
    zone = ZoneInfo(business.time_zone)
    today = datetime.now(zone).date()
    for past in story.calls:
        if past.name:
            await leads.upsert(db, business.id, past.caller, {"name": past.name})
        else:
            await leads.touch(db, business.id, past.caller)
        began_at = at_clock(today - timedelta(days=1), past.clock, zone)
        await calls.save(db, business.id, _call(business, past, began_at))
    for planned in story.appointments:
        await _book(db, business, planned, today, zone)


async def _book(
    db: Database, business: Business, planned: Planned, today: date, zone: ZoneInfo
) -> None:
    """Book an appointment on the planned day, or on the next with that time free."""
    (service,) = [one for one in business.services if one.name == planned.service]
    for later in range(7):
        day = today + timedelta(days=planned.days + later)
        starts_at = at_clock(day, planned.clock, zone)
        request = Request(service, starts_at, planned.caller, planned.name)
        try:
            rules = Rules(STEP_MINUTES)
            await appointments.book(db, business, request, rules, datetime.now(UTC))
        except Taken:
            continue
        return


def _call(business: Business, past: Past, began_at: datetime) -> calls.Call:
    ended_at = began_at + timedelta(seconds=TURN_S * len(past.said))
    return calls.Call(
        call_sid=f"CA{uuid4().hex}",
        stream_sid=f"MZ{uuid4().hex}",
        from_number=past.caller,
        to_number=business.numbers[0],
        model=MODEL,
        prompt=business.custom_prompt,
        prompt_facts="",
        started_at=began_at,
        answered_at=began_at,
        ended_at=ended_at,
        end_reason=past.reason,
        failed=False,
        outcome=past.outcome,
        missing_fields=(),
        rx_frames=0,
        tx_frames=0,
        forwarded_frames=0,
        dropped_frames=0,
        silence_frames=0,
        barge_ins=0,
        greeting_ms=None,
        answer_ms=(),
        barge_in_ms=(),
        usage={},
        cost=None,
        turns=_turns(past.said),
        tools=(),
    )


def _turns(said: Sequence[str]) -> list[Turn]:
    return [
        Turn(
            role="caller" if at % 2 else "ai",
            item_id=f"item_{at}",
            text=text,
            interrupted=False,
            heard_ms=None,
            at_s=TURN_S * at,
        )
        for at, text in enumerate(said)
    ]


def at_clock(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """Return a time of a day by the business's clock."""
    hour, minute = map(int, clock.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
