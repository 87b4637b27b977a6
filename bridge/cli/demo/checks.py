"""The demo's checklist: what a call must have shown, measured from the outside.

Everything is computed from the caller's own recording, from what the sandbox's model
received and from the database. Of the bridge's own output only its WS_STOP line is
used.
"""

import re
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from bridge.cli.demo.alignment import positions
from bridge.cli.demo.script import OFFERED, WANTED, clocks, offered
from bridge.sandbox.clips import clip
from bridge.sandbox.result import CallResult
from bridge.sandbox.session import Session
from crm.leads import Lead
from dsp.g711 import FRAME_MS, frame_levels

# A frame this loud (dBFS) belongs to recorded speech; pauses in the clips are quieter.
SPEECH_DBFS = -42
# The same in a recording without noise.
SOFT_DBFS = -60
# Preroll and hangover around speech do not count as leaked noise.
BEFORE_MS, AFTER_MS = 320.0, 500.0


class Check(NamedTuple):
    """One line of the checklist."""

    text: str
    ok: bool
    figure: str


class Evidence(NamedTuple):
    """All that is known of one call from the outside.

    `session` is None with the real model, which does not show what it received.
    """

    language: str
    time_zone: str
    result: CallResult
    session: Session | None
    log: list[str]
    lead: Lead | None
    name: str
    foreign: list[str]


def check(seen: Evidence) -> list[Check]:
    """Return the checklist of one call."""
    stop = _stop_line(seen.log)
    far = _levels(seen.result.far)
    checks = [
        _greeting(far),
        Check("tx > 500", stop.get("tx", 0) > 500, f"tx={stop.get('tx')}"),
        _received(stop, seen.result),
        _barge_in(seen.result),
        *_answers(seen.result, far),
        Check(
            "lead written",
            seen.lead is not None and seen.lead.name == seen.name,
            "by leads_upsert" if seen.lead else "no lead",
        ),
        _appointment(seen),
        Check(
            "nothing of the other business seen",
            not seen.foreign,
            ", ".join(seen.foreign) or "model and database",
        ),
        _wire(seen),
    ]
    if seen.session is not None:
        checks += [
            _offer(seen.session),
            _noise(seen.result, seen.session),
            _heard(seen, seen.session, far),
            _digits(seen.session),
        ]
    return checks


def _greeting(far: bytes) -> Check:
    first = next((at for at, level in enumerate(far) if level > 0), None)
    ok = first is not None and first * FRAME_MS < 3_000
    figure = "never" if first is None else f"after {first * FRAME_MS} ms"
    return Check("greeting heard", ok, figure)


def _received(stop: dict[str, int], result: CallResult) -> Check:
    """Check that every frame came, except those on the wire when the bridge hung up.

    The bridge hangs up on the echo of the last mark, which follows all earlier frames.
    """
    sent, came = result.frames_sent, stop.get("rx", 0)
    least = result.frames_at_last_mark if result.ended_by == "bridge" else sent
    figure = f"rx={stop.get('rx')} sent={sent}"
    return Check("rx = frames sent", least <= came <= sent, figure)


def _noise(result: CallResult, session: Session) -> Check:
    """Check that every frame the model received lies at the caller's speech."""
    given = positions(result, session)
    allowed = {
        at
        for begin, end in _voiced_spans(result)
        for at in range(
            int((begin - BEFORE_MS) / FRAME_MS), int((end + AFTER_MS) / FRAME_MS)
        )
    }
    stray = sum(at not in allowed for at in given)
    text = f"{stray} of {len(given)} forwarded frames outside speech"
    return Check("no line noise forwarded", not stray and len(given) > 200, text)


def _barge_in(result: CallResult) -> Check:
    onset = _interruption_ms(result)
    clear = next((at for at in result.clears_ms if at > onset), None)
    if clear is None:
        return Check("barge-in under 200 ms", False, "no clear came")
    return Check(
        "barge-in under 200 ms", clear - onset < 200, f"{clear - onset:.0f} ms"
    )


def _answers(result: CallResult, far: bytes) -> list[Check]:
    """Check how long the caller waits: first with a calendar tool, then without."""
    first, second = (_wait_s(result, far, turn) for turn in (0, 1))
    return [
        Check("calendar's answer in 2 s", 0.5 <= first <= 2.0, f"{first:.2f} s"),
        Check("answer in 0.5-1.5 s", 0.5 <= second <= 1.5, f"{second:.2f} s"),
    ]


def _wait_s(result: CallResult, far: bytes, turn: int) -> float:
    end = _spoken_spans(result)[turn][1]
    return (_next_sound(far, end) - end) / 1e3


def _appointment(seen: Evidence) -> Check:
    """Check that the caller has the hour they asked for, in the business's zone."""
    at = None if seen.lead is None else seen.lead.next_appointment_at
    if at is None:
        return Check("appointment in the calendar", False, "none")
    booked = f"{at.astimezone(ZoneInfo(seen.time_zone)):%A %H:%M}"
    return Check("appointment in the calendar", booked == f"Tuesday {WANTED}", booked)


def _offer(session: Session) -> Check:
    """Check that the calendar gave every time that the model offers."""
    found = clocks(offered(session))
    return Check(
        "offered what is free", found == OFFERED, ", ".join(found) or "nothing"
    )


def _heard(seen: Evidence, session: Session, far: bytes) -> Check:
    text = "truncate within 60 ms of the recording"
    cuts = session.events("conversation.item.truncate")
    if not cuts or not seen.result.clears_ms:
        return Check(text, False, "no truncate came")
    began = _next_sound(far, _spoken_spans(seen.result)[0][1])
    heard = seen.result.clears_ms[0] - began + _lead_in_ms(seen)
    told = cuts[0]["audio_end_ms"]
    figure = f"told {told} ms, heard {heard:.0f} ms"
    return Check(text, abs(told - heard) <= 60, figure)


def _lead_in_ms(seen: Evidence) -> float:
    """Return the silence before the first sound of the interrupted clip, in ms."""
    levels = _levels(clip(f"ai-{seen.language}-offer").audio)
    return float(FRAME_MS) * next(at for at, level in enumerate(levels) if level > 0)


def _digits(session: Session) -> Check:
    items = session.events("conversation.item.create")
    texts = [
        part["text"]
        for item in items
        for part in item["item"].get("content", ())
        if part.get("text", "").startswith("Keypad")
    ]
    return Check("DTMF reached the model", texts == ["Keypad: 1 #"], str(texts))


def _wire(seen: Evidence) -> Check:
    wrong: list[Any] = [*seen.result.warnings, *seen.result.problems]
    wrong += seen.session.violations if seen.session is not None else []
    ok = not wrong and seen.result.ended_by == "bridge"
    figure = "; ".join(map(str, wrong)) or f"ended by the {seen.result.ended_by}"
    return Check("no warning from either side, a proper end", ok, figure)


# --- measures ---


def _levels(audio: bytes) -> bytes:
    """Return each frame's level over SPEECH_DBFS, 0 if it is quieter."""
    floor = 127 + SPEECH_DBFS
    return bytes(max(0, level - floor) for level in frame_levels(audio))


def _next_sound(far: bytes, after_ms: float) -> float:
    at = int(after_ms / FRAME_MS)
    found = next((i for i in range(at, len(far)) if far[i]), len(far))
    return float(found * FRAME_MS)


def _spoken_spans(result: CallResult) -> list[tuple[float, float]]:
    """Return when the caller really spoke: first to last sound of each turn."""
    near = _levels(result.near)
    spans = []
    ends = result.times_ms("has said")
    for begin, end in zip(result.times_ms("says"), ends, strict=False):
        last = min(int(end / FRAME_MS), len(near))
        loud = [at for at in range(int(begin / FRAME_MS), last) if near[at]]
        if loud:
            spans.append((float(loud[0] * FRAME_MS), float((loud[-1] + 1) * FRAME_MS)))
    return spans


def _voiced_spans(result: CallResult) -> list[tuple[float, float]]:
    """Return when each turn began and ended in its recording.

    The recording has no fan in it, so soft sounds are the caller's, too.
    """
    spans = []
    for event in result.happenings:
        if event.kind == "says":
            levels = frame_levels(clip(event.detail).audio)
            voiced = [at for at, level in enumerate(levels) if level - 127 > SOFT_DBFS]
            first, last = voiced[0], voiced[-1]
            spans.append(
                (event.at_ms + first * FRAME_MS, event.at_ms + (last + 1) * FRAME_MS)
            )
    return spans


def _interruption_ms(result: CallResult) -> float:
    return _spoken_spans(result)[1][0]


def _stop_line(log: list[str]) -> dict[str, int]:
    line = next((text for text in log if text.startswith("WS_STOP")), "")
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)\b", line)}
