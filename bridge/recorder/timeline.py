"""Timeline: a recorded call on one time axis, as the console shows it.

A timeline is made of the recorded messages and answers. Only where the gate was open,
and why something was decided, needs the replay. The times of words are estimates: the
vendor gives none, so that a word stands where its share of the item's text falls in the
item's audio.
"""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from bridge.recorder.explained import Explained, beginning, explained
from bridge.recorder.parts import Part, joined
from bridge.recorder.recording import RecordingError, Step, read
from bridge.recorder.tracks import RATE_HZ, AiTrack, CallerTrack, spans
from dsp.g711 import FRAME_BYTES, decode

# A stereo sound of this length has 230 MB.
SECONDS_MAX = 7_200.0
# One peak of each side for this long.
PEAK_MS = 20
PEAK_MAX = 255
# Frames of the caller's this near to each other are one stretch of speech.
_APART = 10 * FRAME_BYTES
_WHOLE_TEXTS = {
    "response.output_audio_transcript.done",
    "conversation.item.input_audio_transcription.completed",
}
# The decisions that have a sign in the picture.
_MARKED = {"interrupted", "AI held", "went on", "not interrupted", "ended"}


class Moment(msgspec.Struct, frozen=True):
    """Something that happened at one time; `kind` has a sign in the picture."""

    at_s: float
    kind: str
    text: str = ""


class Word(msgspec.Struct, frozen=True):
    """A word and when it was said, by estimate; None where it was never played."""

    text: str
    at_s: float | None


class Note(msgspec.Struct, frozen=True):
    """A decision and its reason."""

    at_s: float
    what: str
    why: str


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A call's picture; spans are pairs of s since the call's opening."""

    seconds: float
    has_audio: bool
    why_noted: str
    gate: list[tuple[float, float]]
    given: list[tuple[float, float]]
    moments: list[Moment]
    notes: list[Note]
    # The words of each item, those that were cut included.
    words: dict[str, list[Word]]
    peak_ms: int = PEAK_MS
    caller_peaks: list[int]
    ai_peaks: list[int]


class Sound(msgspec.Struct, frozen=True):
    """Both sides in mu-law, from the call's opening on."""

    caller: bytes
    ai: bytes


def make(paths: Sequence[Path], *, replays: bool) -> tuple[Timeline, Sound]:
    """Read the parts of a call; raises RecordingError or OSError."""
    parts = joined([(path, read(path)) for path in paths])
    if parts[-1].ends_s > SECONDS_MAX:
        raise RecordingError(f"expected a call of at most {SECONDS_MAX:.0f} s")
    maker = _Maker()
    found: list[Explained] = []
    notes: list[Note] = []
    before: Part | None = None
    for part in parts:
        if part.recording.header.plan.resumed is not None:
            notes.append(Note(*beginning(part, before)))
        before = part
        maker.read(part)
        found.append(explained(part, replays=replays))
        notes += [Note(*one) for one in found[-1].decisions]
    return maker.timeline(parts, found, notes), maker.sound()


class _Maker:
    """Goes through the steps of a call once."""

    def __init__(self) -> None:
        self._caller, self._ai = CallerTrack(), AiTrack()
        self._moments: list[Moment] = []
        self._texts: dict[str, str] = {}
        self._turns: dict[str, tuple[int, int]] = {}
        self._committed_at = 0

    def read(self, part: Part) -> None:
        """Take the steps of one part."""
        zero = part.recording.header.opened_at - part.begins_s
        for step in part.recording.steps:
            at = round((step.now - zero) * RATE_HZ)
            message = step.what[0] if step.what else None
            if isinstance(message, dict):
                self._take(part, step, at, message)
            for action in step.actions or ():
                self._act(at, action)

    def _take(self, part: Part, step: Step, at: int, message: dict[str, Any]) -> None:
        at_s, kind = at / RATE_HZ, message.get("event") or message.get("type")
        if kind == "media":
            self._caller.hear(part.recording, at, message["media"])
        elif kind == "start":
            self._caller.restart()
        elif kind == "mark":
            self._moments.append(Moment(at_s, "mark", message["mark"]["name"]))
        elif kind == "dtmf":
            self._moments.append(Moment(at_s, "keypad"))
        elif step.method == "receive_operator_audio":
            self._ai.join(part.recording, message)
        elif step.method == "receive_tool_result":
            self._moments.append(Moment(at_s, "tool done", message["name"]))
        else:
            self._take_event(part, at, message)

    def _take_event(self, part: Part, at: int, event: dict[str, Any]) -> None:
        kind, item = event.get("type", ""), event.get("item_id", "")
        if kind == "response.output_audio.delta":
            self._ai.say(part.recording, event)
        elif kind == "response.output_audio.done":
            self._ai.finish(item)
        elif kind == "response.output_audio_transcript.delta":
            self._texts[item] = self._texts.get(item, "") + event["delta"]
        elif kind in _WHOLE_TEXTS:
            self._texts[item] = event["transcript"]
        elif kind == "input_audio_buffer.committed":
            self._turns[item] = (self._committed_at, at)
            self._committed_at = at

    def _act(self, at: int, action: dict[str, Any]) -> None:
        kind = action.get("event") or action.get("type")
        if kind == "media":
            self._ai.send(at, action["media"]["payload"])
        elif kind == "clear":
            self._ai.clear(at)
            self._moments.append(Moment(at / RATE_HZ, "clear"))
        elif kind == "input_audio_buffer.append":
            self._caller.give(at, action["audio"])
        elif "run_tool" in action:
            name = str(action["run_tool"][1])
            self._moments.append(Moment(at / RATE_HZ, "tool", name))

    # --- what comes of it ---

    def sound(self) -> Sound:
        """Return both sides, equally long."""
        caller, ai = self._caller.audio, self._ai.audio
        size = max(len(caller), len(ai))
        return Sound(bytes(caller.ljust(size, b"\xff")), bytes(ai.ljust(size, b"\xff")))

    def timeline(
        self, parts: list[Part], found: list[Explained], notes: list[Note]
    ) -> Timeline:
        """Return the picture."""
        notes.sort(key=lambda one: one.at_s)
        marked = [
            Moment(one.at_s, one.what, one.why) for one in notes if one.what in _MARKED
        ]
        underruns = [
            Moment(at_s, "underrun") for one in found for at_s in _underruns(one)
        ]
        moments = [*self._moments, *marked, *underruns]
        return Timeline(
            seconds=max(parts[-1].ends_s, len(self._ai.audio) / RATE_HZ),
            has_audio=all(part.recording.header.has_audio for part in parts),
            why_noted="; ".join(one.why_noted for one in found if one.why_noted),
            gate=[span for one in found for span in _gate(one)],
            given=list(spans(self._caller.given, FRAME_BYTES)),
            moments=sorted(moments, key=lambda one: one.at_s),
            notes=notes,
            words={item: self._words(item, text) for item, text in self._texts.items()},
            caller_peaks=peaks(self._caller.audio),
            ai_peaks=peaks(self._ai.audio),
        )

    def _words(self, item: str, text: str) -> list[Word]:
        if item in self._turns:
            places, total = self._turn_places(*self._turns[item])
        else:
            places = self._ai.places.get(item, [])
            total = self._ai.total_frames.get(item, 0)
        found, at_char = [], 0
        for word in text.split():
            at = text.index(word, at_char)
            index = at * total // len(text)
            is_played = index < len(places)
            found.append(Word(word, places[index] / RATE_HZ if is_played else None))
            at_char = at + len(word)
        return found

    def _turn_places(self, begin: int, end: int) -> tuple[list[int], int]:
        """Return where the frames stand that were given for a turn of the caller's."""
        places = [at for at in self._caller.given if begin <= at < end]
        return places, len(places)


def _gate(found: Explained) -> list[tuple[float, float]]:
    """Return when the gate was open."""
    measures = found.measures
    at = zip(measures.at_s, measures.is_gate_open, strict=True)
    return list(spans([round(one * RATE_HZ) for one, is_open in at if is_open], _APART))


def _underruns(found: Explained) -> list[float]:
    """Return when audio within an item came or went late."""
    measures, before = found.measures, 0
    times = []
    for at_s, count in zip(measures.at_s, measures.underruns, strict=True):
        if count > before:
            times.append(at_s)
        before = count
    return times


def peaks(mulaw: bytes | bytearray) -> list[int]:
    """Return the loudest sample of each PEAK_MS, from 0 to PEAK_MAX."""
    linear = array("h", decode(bytes(mulaw)))
    size = RATE_HZ * PEAK_MS // 1000
    pieces = (linear[at : at + size] for at in range(0, len(linear), size))
    return [min(max(max(one), -min(one)) >> 7, PEAK_MAX) for one in pieces]
