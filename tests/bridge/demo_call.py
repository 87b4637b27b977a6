"""A demo call as seen from the outside, built by hand from the packaged clips."""

from datetime import UTC, datetime
from uuid import uuid4

import msgspec

from bridge.cli.demo.checks import Evidence
from bridge.cli.demo.script import OFFERED
from bridge.sandbox.clips import clip
from bridge.sandbox.options import Options, Timed, TimedAudio
from bridge.sandbox.result import CallResult
from bridge.sandbox.script import Script
from bridge.sandbox.session import Session
from bridge.sandbox.timeline import Happening
from crm.leads import Lead
from dsp.g711 import FRAME_BYTES
from tests.bridge import builders

BYTES_PER_MS = 8
GREETING_AT_MS = 300
FIRST_AT_MS = 4_000
# The caller's last sound is at 7980 ms: 0.94 s before the answer's first.
OFFER_AT_MS = 8_900
INTERRUPTS_AT_MS = 11_400
CLEAR_MS = 11_540.0
# The caller's second turn ends at 13540 ms; they wait a second for the answer.
NAME_AT_MS = 14_500
LENGTH_MS = 16_000
BOOKED_AT = datetime(2026, 12, 1, 15, tzinfo=UTC)
SLOTS = [{"starts_at": f"2026-12-01T{clock}:00-05:00"} for clock in OFFERED]
NAME = "Dana Cohen"


def track(*pieces: tuple[int, bytes]) -> bytes:
    """Place pieces of audio, each at its ms, in silence."""
    made = bytearray(b"\xff" * (LENGTH_MS * BYTES_PER_MS))
    for at_ms, audio in pieces:
        at = at_ms * BYTES_PER_MS
        made[at : at + len(audio)] = audio
    return bytes(made)


def result() -> CallResult:
    """Return what Twilio and the caller saw: a greeting, a turn, an interruption."""
    first, interrupts = clip("caller-en-1"), clip("caller-en-interrupts")
    heard_ms = int(CLEAR_MS) - OFFER_AT_MS
    return CallResult(
        call_sid=builders.CALL_SID,
        stream_sid=builders.STREAM_SID,
        near=track((FIRST_AT_MS, first.audio), (INTERRUPTS_AT_MS, interrupts.audio)),
        far=track(
            (GREETING_AT_MS, clip("ai-en-greeting").audio[: 3_000 * BYTES_PER_MS]),
            (OFFER_AT_MS, clip("ai-en-offer").audio[: heard_ms * BYTES_PER_MS]),
            (NAME_AT_MS, clip("ai-en-name").audio[: 1_000 * BYTES_PER_MS]),
        ),
        happenings=[
            Happening(FIRST_AT_MS, "says", "caller-en-1"),
            Happening(FIRST_AT_MS + first.duration_ms, "has said", "caller-en-1"),
            Happening(INTERRUPTS_AT_MS, "says", "caller-en-interrupts"),
            Happening(INTERRUPTS_AT_MS + interrupts.duration_ms, "has said", "…"),
        ],
        started_at=0.0,
        clears_ms=[CLEAR_MS],
        frames_sent=800,
        frames_at_last_mark=798,
        ended_by="bridge",
    )


def session(of: CallResult) -> Session:
    """Return a session that received the caller's speech and the gaps inside it."""
    made = Session(Script(), Options(), "gpt-realtime-2.1", 1)
    for event in (
        {
            "type": "conversation.item.truncate",
            "audio_end_ms": int(CLEAR_MS) - OFFER_AT_MS,
        },
        {
            "type": "conversation.item.create",
            "item": {"content": [{"type": "input_text", "text": "Keypad: 1 #"}]},
        },
        {
            "type": "conversation.item.create",
            "item": {"output": msgspec.json.encode({"slots": SLOTS}).decode()},
        },
    ):
        made.received.append(Timed(0.0, event))
    for begin, end in zip(of.times_ms("says"), of.times_ms("has said"), strict=True):
        spoken = of.near[int(begin) * BYTES_PER_MS : int(end) * BYTES_PER_MS]
        whole = len(spoken) - len(spoken) % FRAME_BYTES
        made.audio.append(TimedAudio(end / 1e3, spoken[:whole]))
        made.audio.append(TimedAudio(end / 1e3, builders.SILENCE * 25))
    return made


def lead(name: str | None = NAME) -> Lead:
    return Lead(
        id=uuid4(),
        phone="+15550100101",
        name=name,
        status="booked",
        fields={},
        calls=1,
        last_call_at=None,
        next_appointment_at=BOOKED_AT,
    )


def evidence(**changes: object) -> Evidence:
    """Return a call that passes every check, except for `changes`."""
    of = result()
    found = Evidence(
        language="en",
        time_zone="America/New_York",
        result=of,
        session=session(of),
        log=["[REALTIME] Connected", "WS_STOP sid=MZ0 rx=799 tx=812 reason=end_call"],
        lead=lead(),
        name=NAME,
        foreign=[],
    )
    return found._replace(**changes)
