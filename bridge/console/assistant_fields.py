"""The settings of an assistant that a page shows: what each does, and its bounds."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from bridge.console.language import N_, gettext
from bridge.settings.message_options import MessageOptions
from bridge.settings.options import CallOptions

VOICES = (
    *("marin", "cedar", "alloy", "ash", "ballad"),
    *("coral", "echo", "sage", "shimmer", "verse"),
)


class Setting(NamedTuple):
    """One setting; `effect` says what a change does."""

    name: str
    title: str
    effect: str


class Group(NamedTuple):
    """Settings that belong together."""

    title: str
    settings: tuple[Setting, ...]


class Bounds(NamedTuple):
    """What a setting may be: numbers from `low` to `high`, one of `choices`, or a text
    if it has neither."""

    low: float | None
    high: float | None
    choices: tuple[str, ...]
    is_whole: bool


GROUPS = (
    Group(
        N_("Turns"),
        (
            Setting(
                "turn_detection",
                N_("Who decides that the caller has finished"),
                N_("server_vad: silence. semantic_vad: the words. gate: the bridge."),
            ),
            Setting(
                "turn_silence_ms",
                N_("Silence that ends a turn, in ms"),
                N_("Less: quicker answers. More: slow speakers are not cut off."),
            ),
        ),
    ),
    Group(
        N_("Interruptions"),
        (
            Setting(
                "voice_threshold_rms",
                N_("Loudness that counts as an interruption"),
                N_("Less: quiet callers interrupt, too. More: noise interrupts less."),
            ),
            Setting(
                "min_consecutive_voice_frames",
                N_("Voice in a row, in frames of 20 ms"),
                N_("Less: quicker interruptions. More: coughs interrupt less."),
            ),
            Setting(
                "barge_in_grace_ms",
                N_("Start of each sentence that cannot be interrupted, in ms"),
                N_("More: fewer false starts. Less: the caller is heard sooner."),
            ),
            Setting(
                "barge_in_cooldown_ms",
                N_("Pause between two interruptions, in ms"),
                N_("More: the assistant is stopped less often in a row."),
            ),
            Setting(
                "barge_in_ignore_backchannel",
                N_("Short words do not interrupt"),
                N_("On: a short yes or mm-hm lets the assistant go on."),
            ),
        ),
    ),
    Group(
        N_("Noise"),
        (
            Setting(
                "snr_start_normal",
                N_("Speech over noise that opens the gate, in dB"),
                N_("Less: quiet callers are heard. More: less noise passes."),
            ),
            Setting(
                "snr_stop_normal",
                N_("Speech over noise that keeps it open, in dB"),
                N_("Less: ends of words are kept. At most the value above."),
            ),
            Setting(
                "audio_agc",
                N_("Amplify quiet speech"),
                N_("On: quiet callers are louder for the model."),
            ),
        ),
    ),
    Group(
        N_("The call"),
        (
            Setting(
                "idle_prompt_ms",
                N_("Silence before the assistant asks again, in ms"),
                N_("Less: it asks sooner whether the caller is there."),
            ),
            Setting(
                "max_call_seconds",
                N_("Longest call, in seconds"),
                N_("The assistant says goodbye when it is reached."),
            ),
            Setting(
                "tool_filler",
                N_("A short word while it looks something up"),
                N_("On: the caller hears a word instead of silence."),
            ),
            Setting(
                "keypad_secret",
                N_("Typed digits are secret"),
                N_("On: they stand in no log and in no record."),
            ),
            Setting(
                "operator_transcription",
                N_("Transcribe a person who takes a call over"),
                N_("On: the assistant knows afterwards what that person said."),
            ),
        ),
    ),
    Group(
        N_("Bookings by callers"),
        (
            Setting(
                "booking_step_minutes",
                N_("Appointments begin every so many minutes"),
                N_("Less: more times to choose from. More: fewer gaps."),
            ),
            Setting(
                "booking_lead_minutes",
                N_("Shortest time until an appointment, in minutes"),
                N_("More: no surprises. 0: callers may come at once."),
            ),
            Setting(
                "booking_days_max",
                N_("How many days ahead callers may book"),
                N_("More: bookings far ahead."),
            ),
        ),
    ),
    Group(
        N_("WhatsApp"),
        (
            Setting(
                "whatsapp",
                N_("Answer written messages"),
                N_("On: the assistant answers what people write over WhatsApp."),
            ),
            Setting(
                "appointment_reminders",
                N_("Remind of appointments the day before"),
                N_("Later than 24 hours after a message only with a template."),
            ),
            Setting(
                "missed_call_messages",
                N_("Write after a call that could not be answered"),
                N_("Only to callers whose number was proven to be theirs."),
            ),
            Setting(
                "quiet_hours",
                N_("Quiet hours"),
                N_("Such as 21:00-08:00: then no reminder is sent. off: none."),
            ),
            Setting(
                "whatsapp_templates",
                N_("Approved templates, by purpose and language"),
                N_("Such as reminder.en=HX…, with commas between."),
            ),
            Setting(
                "limit_messages_per_writer_per_minute",
                N_("Messages of one person in a minute"),
                N_("Those beyond it are kept and not answered. 0: no limit."),
            ),
        ),
    ),
)
SHOWN = ("openai_voice", *(one.name for group in GROUPS for one in group.settings))
# What to write into an input that is no setting, where a check refuses it.
_EXPECTED = {
    "language": N_("Write two letters, such as en or he."),
    "greeting": N_("Write text only."),
    "fallback_sentence": N_("Write text only."),
    "required_fields": N_("Write each word once, such as first_name."),
    "prompt": N_("This is too long, or is not text only."),
}
_NAMED = re.compile(r"settings: (.*)")
_SETTING = re.compile(r"\b([A-Z][A-Z_]+)=")


@lru_cache(maxsize=1)
def bounds() -> dict[str, Bounds]:
    """Return what each setting that is shown may be, from its type."""
    _, found = msgspec.json.schema_components([CallOptions, MessageOptions])
    properties = {
        **found["CallOptions"]["properties"],
        **found["MessageOptions"]["properties"],
    }
    return {name: _bounds(properties[name]) for name in SHOWN}


def _bounds(schema: dict[str, Any]) -> Bounds:
    choices = tuple(map(str, schema.get("enum", ())))
    if schema.get("type") == "boolean":
        choices = ("on", "off")
    return Bounds(
        schema.get("minimum"),
        schema.get("maximum"),
        choices,
        schema.get("type") == "integer",
    )


def show(value: object) -> str:
    """Return a setting's value as a form has it; "" for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def faults_of(text: str) -> dict[str, str]:
    """Return the inputs that an error of the whole business names, each with what is
    expected of it."""
    bounds_text = N_("This is not allowed: see the bounds beside it.")
    return {
        name: gettext(_EXPECTED.get(name, bounds_text)) for name in fault_fields(text)
    }


def fault_fields(text: str) -> list[str]:
    """Return the inputs that an error of the whole business names."""
    found = _NAMED.match(text)
    if found is not None:
        names = [name.lower() for name in _SETTING.findall(found[1])]
        return [name for name in names if name in SHOWN]
    for name in ("language", "greeting", "fallback_sentence", "required_fields"):
        if text.startswith((f"{name}:", f"{name}=")):
            return [name]
    return ["prompt"] if text.startswith("prompt:") else []
