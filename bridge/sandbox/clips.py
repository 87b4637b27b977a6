"""The recorded voices of the sandbox, and what they say.

Raw mu-law files beside this module in `clips/`; `clips/README.md` says where each comes
from.
"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

_TRANSCRIPTS = {
    "ai-en-greeting": "Hello and thank you for calling. How can I help you today?",
    "ai-en-offer": (
        "On Tuesday morning I have nine o'clock, half past nine, ten o'clock and "
        "a quarter to eleven. Which of these would suit you best?"
    ),
    "ai-en-name": "Ten o'clock on Tuesday. May I have your name, please?",
    "ai-en-confirm": (
        "Thank you, Dana Cohen. Tuesday at ten o'clock. "
        "To confirm, press one and then the hash key."
    ),
    "ai-en-goodbye": "Goodbye, and have a nice day.",
    "ai-en-booked": "Very good, your appointment is booked. See you on Tuesday.",
    "ai-he-greeting": "שלום ותודה שהתקשרת. איך אפשר לעזור לך היום?",
    "ai-he-offer": (
        "ביום שלישי בבוקר יש לי תשע, תשע וחצי, עשר ורבע לאחת עשרה. "
        "איזו שעה הכי מתאימה לך?"
    ),
    "ai-he-name": "יום שלישי בשעה עשר. איך קוראים לך?",
    "ai-he-confirm": (
        "תודה, דנה כהן. יום שלישי בשעה עשר. כדי לאשר, הקישי אחת וסולמית."
    ),
    "ai-he-goodbye": "להתראות, ויום נעים.",
    "ai-he-booked": "מצוין, התור נקבע. נתראה ביום שלישי.",
    "caller-en-1": "Hello, I would like to book an appointment for Tuesday morning.",
    "caller-en-2": (
        "My name is Dana Cohen, and the phone is the one I am calling from."
    ),
    "caller-en-interrupts": "Wait, wait, ten o'clock is better.",
    "caller-en-goodbye": "Thank you very much, goodbye.",
    "caller-he-1": "שלום, אני רוצה לקבוע תור ליום שלישי בבוקר.",
    "caller-he-2": "קוראים לי דנה כהן, והטלפון הוא זה שממנו אני מתקשרת.",
    "caller-he-interrupts": "רגע, רגע, עדיף בשעה עשר.",
    "caller-he-goodbye": "תודה רבה, להתראות.",
}


class Clip(NamedTuple):
    """A recording in raw mu-law and its words, which are empty if unknown."""

    name: str
    audio: bytes
    transcript: str = ""

    @property
    def duration_ms(self) -> float:
        """The duration of the recording."""
        return len(self.audio) / 8


@cache
def clip(name: str) -> Clip:
    """Return the packaged recording `name`, such as `caller-he-1`."""
    folder = files("bridge.sandbox") / "clips"
    audio = (folder / f"{name}.ulaw").read_bytes()
    return Clip(name, audio, _TRANSCRIPTS.get(name, ""))


def clip_names() -> list[str]:
    """Return the name of every packaged recording."""
    folder = files("bridge.sandbox") / "clips"
    names = (entry.name for entry in folder.iterdir())
    return sorted(name[:-5] for name in names if name.endswith(".ulaw"))
