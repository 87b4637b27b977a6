"""The demo's two calls: who is called, what is said, and by whom."""

from typing import Any, NamedTuple

from bridge.sandbox.clips import clip
from bridge.sandbox.script import Reply, Script, ToolUse
from bridge.sandbox.timeline import (
    Digit,
    InterruptAfter,
    Noise,
    Say,
    StayOnLine,
    Step,
    WaitForAi,
)

# The fan, about 25 dB under the callers' speech.
NOISE_GAIN_DB = -6.0
INTERRUPT_AFTER_MS = 2_500.0


class DemoBusiness(NamedTuple):
    """One of the two businesses, and who calls it."""

    language: str
    name: str
    number: str
    caller: str
    columns: dict[str, Any]
    settings: dict[str, Any]


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
        {},
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
        {"turn_silence_ms": 700, "openai_voice": "cedar"},
    ),
)
CALLER_NAMES = {"en": "Dana Cohen", "he": "דנה כהן"}


def script(language: str) -> Script:
    """Return what the sandbox's model says in one of the calls."""
    booked = Reply.clip(f"ai-{language}-booked")
    says = ("1", "interrupts", "2", "goodbye")
    return Script(
        greeting=[Reply.clip(f"ai-{language}-greeting")],
        turns=(
            [Reply.clip(f"ai-{language}-offer")],
            [booked],
            [ToolUse("leads_upsert", {"name": CALLER_NAMES[language]})],
            [booked],
            [booked],
            [booked, ToolUse("end_call", {"reason": "goodbye"})],
        ),
        caller_says=[clip(f"caller-{language}-{name}").transcript for name in says],
    )


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
