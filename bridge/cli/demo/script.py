"""The demo's two calls: who is called, what is said, and by whom.

The sandbox's model speaks recorded sentences, and the script makes them true. On
Tuesday mornings the businesses have the four times that the recording offers; the model
requests them from the real tool, and books the one the caller wants.
"""

import re
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec

from bridge.sandbox.clips import clip
from bridge.sandbox.script import Output, Reply, Script, ToolUse
from bridge.sandbox.session import Session
from bridge.sandbox.timeline import (
    Digit,
    InterruptAfter,
    Noise,
    Say,
    StayOnLine,
    Step,
    WaitForAi,
)
from crm.businesses import Hours, Service

# The fan, about 25 dB under the callers' speech.
NOISE_GAIN_DB = -6.0
INTERRUPT_AFTER_MS = 2_500.0
# "Nine o'clock, half past nine, ten o'clock and a quarter to eleven": half-hour
# appointments, every half hour from each opening.
OFFERED = ("09:00", "09:30", "10:00", "10:45")
WANTED = "10:00"
_TUESDAY = 2
_MINUTE = {clock: int(clock[:2]) * 60 + int(clock[3:]) for clock in (*OFFERED, "10:30")}
HOURS = (
    Hours(_TUESDAY, _MINUTE["09:00"], _MINUTE["10:30"]),
    Hours(_TUESDAY, _MINUTE["10:45"], _MINUTE["10:45"] + 30),
    *(Hours(dow, 9 * 60, 17 * 60) for dow in (0, 1, 3, 4)),
)
STEP_MINUTES = 30


class DemoBusiness(NamedTuple):
    """One of the two businesses, and who calls it."""

    language: str
    name: str
    number: str
    caller: str
    columns: dict[str, Any]
    settings: dict[str, Any]
    service: Service


BUSINESSES = (
    DemoBusiness(
        "en",
        "Riverside Hair",
        "+15550100100",
        "+15550100101",
        {
            "country": "US",
            "time_zone": "America/New_York",
            "greeting": clip("ai-en-greeting").transcript,
            "custom_prompt": "You answer for Riverside Hair. Offer free slots, ask for "
            "the name, book, and say goodbye.",
            "fallback_sentence": "Sorry, nobody can take your call right now.",
            "required_fields": ["name"],
        },
        {"booking_step_minutes": STEP_MINUTES},
        Service("Haircut", 30),
    ),
    DemoBusiness(
        "he",
        "מספרת הנמל",
        "+15550100200",
        "+15550100201",
        {
            "country": "IL",
            "time_zone": "Asia/Jerusalem",
            "greeting": clip("ai-he-greeting").transcript,
            "custom_prompt": "את עונה בשם מספרת הנמל. הציעי שעות פנויות, שאלי לשם, "
            "קבעי תור והיפרדי בנימוס.",
            "fallback_sentence": "מצטערים, אין מענה כרגע.",
            "required_fields": ["name"],
        },
        # The synthesised Hebrew voice pauses for half a second within a sentence.
        {
            "turn_silence_ms": 700,
            "openai_voice": "cedar",
            "booking_step_minutes": STEP_MINUTES,
        },
        Service("תספורת", 30),
    ),
)
CALLER_NAMES = {"en": "Dana Cohen", "he": "דנה כהן"}


def script(language: str, service: str = "") -> Script:
    """Return what the sandbox's model says in one of the calls; `service` is what it
    asks for where the business has several."""
    wanted = {"service": service} if service else {}
    name, confirm, booked, goodbye = (
        Reply.clip(f"ai-{language}-{words}")
        for words in ("name", "confirm", "booked", "goodbye")
    )
    says = ("1", "interrupts", "2", "goodbye")
    return Script(
        greeting=[Reply.clip(f"ai-{language}-greeting")],
        turns=(
            partial(_look_up, wanted),
            [Reply.clip(f"ai-{language}-offer")],
            [name],
            [ToolUse("leads_upsert", {"name": CALLER_NAMES[language]})],
            [confirm],
            partial(_book, wanted),
            [booked],
            [goodbye, ToolUse("end_call", {"reason": "goodbye"})],
        ),
        caller_says=[clip(f"caller-{language}-{name}").transcript for name in says],
    )


def _look_up(wanted: dict[str, str], session: Session) -> list[Output]:
    """Ask the calendar for the next Tuesday."""
    told = re.search(r"Now: \w+, (\d{4}-\d\d-\d\d)", session.instructions)
    assert told is not None, "the prompt tells the date"
    today = date.fromisoformat(told[1])
    days = (_TUESDAY - today.isoweekday() - 1) % 7 + 1
    day = (today + timedelta(days=days)).isoformat()
    asked = {"date_from": day, "date_to": day, "part_of_day": "morning", **wanted}
    return [ToolUse("calendar_find_slots", asked)]


def _book(wanted: dict[str, str], session: Session) -> list[Output]:
    """Book the time the caller wants, by the name that the calendar gave it."""
    found = offered(session)
    return [
        ToolUse("calendar_create_appointment", {"starts_at": starts_at, **wanted})
        for starts_at in found
        if _clock(starts_at) == WANTED
    ]


def offered(session: Session) -> list[str]:
    """Return the times that the calendar has given the model, in its own form."""
    for item in session.events("conversation.item.create"):
        output = item["item"].get("output", "")
        if '"slots"' in output:
            slots = msgspec.json.decode(output)["slots"]
            return [slot["starts_at"] for slot in slots]
    return []


def clocks(times: list[str]) -> tuple[str, ...]:
    """Return the clock times, such as 10:45, in order."""
    return tuple(sorted(map(_clock, times)))


def _clock(starts_at: str) -> str:
    return f"{datetime.fromisoformat(starts_at):%H:%M}"


def steps(language: str) -> list[Step]:
    """Return what the caller does."""
    return [
        Noise(clip("noise-fan"), NOISE_GAIN_DB),
        WaitForAi("ends"),
        Say(clip(f"caller-{language}-1")),
        InterruptAfter(INTERRUPT_AFTER_MS),
        Say(clip(f"caller-{language}-interrupts")),
        WaitForAi("ends"),
        Say(clip(f"caller-{language}-2")),
        WaitForAi("ends"),
        Digit("1"),
        Digit("#"),
        WaitForAi("ends"),
        Say(clip(f"caller-{language}-goodbye")),
        StayOnLine(),
    ]
