"""Recordings through the gate: the trace of one, its figures, and those of a folder.

Ground truth, if there is any, is an Audacity label track beside the recording
(`call.wav` and `call.txt`): a line for each time the near caller speaks, with start and
end in seconds. Pauses up to MERGE_S belong to the speech around them. Frames forwarded
within GRACE_S of speech (preroll, hangover) count as correct.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bridge.media.uplink import Uplink
from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_BYTES, FRAME_MS, frame_levels
from dsp.gate import SPEECH, STATE_MASK, VOICE

FRAME_S = FRAME_MS / 1e3
MERGE_S = 0.3
GRACE_S = 0.2
# An onset counts as found when the gate opens within the segment or this soon after.
LATE_S = 0.1
# Delays are given for onsets after a pause of this length, and for ends before one.
ONSET_PAUSE_S = 0.5
END_PAUSE_S = 0.7

Segment = tuple[float, float]


class GateError(ValueError):
    """A recording cannot be used; the text says what was expected."""


class Recording(NamedTuple):
    """One call's caller side in mu-law, what they heard, and when they spoke (s)."""

    name: str
    near: bytes
    far: bytes
    truth: list[Segment] | None = None


class Trace(NamedTuple):
    """The gate frame by frame: states, what was sent, and its measures."""

    states: list[int]
    sent: list[int]
    rms: list[float]
    floor_rms: list[float]
    snr_db: list[float]
    score: list[float]
    voice: list[bool]
    far_dbfs: list[float]
    floors_db: list[tuple[float, ...]]


class Figures(NamedTuple):
    """Counts of one or many recordings; `ratio` and `minutes` compute figures."""

    frames: int
    sent: int
    opened: int
    speech: int
    speech_sent: int
    free: int
    free_sent: int
    false_opened: int
    onsets_ms: list[float]
    ends_ms: list[float]
    missed: int


def analyse(recording: Recording, options: CallOptions) -> Trace:
    """Run a recording through a gate; `sent` counts the preroll a later frame sends."""
    gate = Uplink(options).gate
    levels = frame_levels(recording.far)
    trace = Trace([], [], [], [], [], [], [], [], [])
    preroll = options.audio_preroll_ms // FRAME_MS
    for at, frame in enumerate(_frames(recording.near)):
        far_dbfs = levels[at] - 127.0 if at < len(levels) else -127.0
        code = gate.analyze(frame, far_dbfs)
        state = code & STATE_MASK
        if state == SPEECH and (not trace.states or trace.states[-1] != SPEECH):
            first = max(0, at - preroll)
            trace.sent[first:] = [1] * (at - first)
        trace.states.append(state)
        trace.sent.append(int(state == SPEECH))
        trace.rms.append(gate.rms)
        trace.floor_rms.append(gate.floor_rms)
        trace.snr_db.append(gate.snr_db)
        trace.score.append(gate.score)
        trace.voice.append(bool(code & VOICE))
        trace.far_dbfs.append(far_dbfs)
        trace.floors_db.append(gate.floors_db)
    return trace


def decide(recording: Recording, options: CallOptions) -> tuple[list[int], list[int]]:
    """Return the states and what was sent, without any other measure."""
    analyze = Uplink(options).gate.analyze
    levels = frame_levels(recording.far)
    levels = levels.ljust(len(recording.near) // FRAME_BYTES, b"\0")
    states = [
        analyze(frame, levels[at] - 127.0) & STATE_MASK
        for at, frame in enumerate(_frames(recording.near))
    ]
    preroll = options.audio_preroll_ms // FRAME_MS
    sent = [int(state == SPEECH) for state in states]
    for at, state in enumerate(states):
        if state == SPEECH and (at == 0 or states[at - 1] != SPEECH):
            first = max(0, at - preroll)
            sent[first:at] = [1] * (at - first)
    return states, sent


def figures(recording: Recording, states: list[int], sent: list[int]) -> Figures:
    """Count one recording; without ground truth the counts of speech stay zero."""
    opened = [
        at
        for at, state in enumerate(states)
        if state == SPEECH and (at == 0 or states[at - 1] != SPEECH)
    ]
    count = len(states)
    if recording.truth is None:
        return Figures(count, sum(sent), len(opened), 0, 0, 0, 0, 0, [], [], 0)
    segments = merge(recording.truth)
    speech = _covered(recording.truth, count, 0.0)
    near_speech = _covered(segments, count, GRACE_S)
    onsets_ms, ends_ms, missed = _reactions(segments, states)
    return Figures(
        frames=count,
        sent=sum(sent),
        opened=len(opened),
        speech=sum(speech),
        speech_sent=sum(1 for at in range(count) if speech[at] and sent[at]),
        free=count - sum(near_speech),
        free_sent=sum(1 for at in range(count) if sent[at] and not near_speech[at]),
        false_opened=sum(1 for at in opened if not near_speech[at]),
        onsets_ms=onsets_ms,
        ends_ms=ends_ms,
        missed=missed,
    )


def total(parts: Iterable[Figures]) -> Figures:
    """Add up the figures of several recordings."""
    every = list(parts)
    return Figures(
        frames=sum(part.frames for part in every),
        sent=sum(part.sent for part in every),
        opened=sum(part.opened for part in every),
        speech=sum(part.speech for part in every),
        speech_sent=sum(part.speech_sent for part in every),
        free=sum(part.free for part in every),
        free_sent=sum(part.free_sent for part in every),
        false_opened=sum(part.false_opened for part in every),
        onsets_ms=[ms for part in every for ms in part.onsets_ms],
        ends_ms=[ms for part in every for ms in part.ends_ms],
        missed=sum(part.missed for part in every),
    )


def recall(figures: Figures) -> float:
    """Percent of the speech frames that were forwarded."""
    return 100 * figures.speech_sent / max(1, figures.speech)


def leak(figures: Figures) -> float:
    """Percent of the frames without speech that were forwarded."""
    return 100 * figures.free_sent / max(1, figures.free)


def balanced_error(figures: Figures) -> float:
    """Half the percentage of speech lost plus half the percentage of noise leaked."""
    return (100 - recall(figures) + leak(figures)) / 2


def false_a_minute(figures: Figures) -> float:
    """False activations per minute without speech."""
    return figures.false_opened / max(1e-9, figures.free * FRAME_S / 60)


HEADER = (
    f"{'recording':28}{'seconds':>8}{'sent %':>8}{'opened':>7}{'recall %':>9}"
    f"{'leak %':>8}{'error %':>8}{'false/min':>10}{'onset ms':>9}{'end ms':>8}"
    f"{'missed':>7}"
)


def line(name: str, figures: Figures) -> str:
    """Return one line under HEADER, with a dash where there is no ground truth."""
    start = (
        f"{name[:27]:28}{figures.frames * FRAME_S:8.1f}"
        f"{100 * figures.sent / max(1, figures.frames):8.1f}{figures.opened:7}"
    )
    if not figures.speech and not figures.free:
        dashes = zip((9, 8, 8, 10, 9, 8, 7), "-------", strict=True)
        return start + "".join(f"{dash:>{width}}" for width, dash in dashes)
    return start + (
        f"{recall(figures):9.1f}{leak(figures):8.1f}{balanced_error(figures):8.1f}"
        f"{false_a_minute(figures):10.1f}{_middle(figures.onsets_ms):>9}"
        f"{_middle(figures.ends_ms):>8}{figures.missed:7}"
    )


def merge(truth: list[Segment]) -> list[Segment]:
    """Join segments whose pause is no longer than MERGE_S."""
    merged: list[Segment] = []
    for start, end in sorted(truth):
        if merged and start - merged[-1][1] <= MERGE_S:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def read_labels(path: Path) -> list[Segment]:
    """Read an Audacity label track: start and end in seconds, then any text."""
    segments = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip():
            continue
        try:
            start, end = (float(part) for part in text.split(None, 2)[:2])
        except ValueError:
            raise GateError(
                f"{path}:{number}: expected 'start end label' in seconds, got {text!r}"
            ) from None
        if end < start or start < 0:
            wanted = "expected 0 <= start <= end"
            raise GateError(f"{path}:{number}: {wanted}, got {text!r}")
        segments.append((start, end))
    return segments


def _covered(segments: list[Segment], count: int, grace_s: float) -> list[bool]:
    """Tell for each frame whether half of it lies in a segment widened by the grace."""
    covered = [False] * count
    for start, end in segments:
        first = max(0, round((start - grace_s) / FRAME_S))
        last = min(count, round((end + grace_s) / FRAME_S))
        for at in range(first, last):
            covered[at] = True
    return covered


def _reactions(
    segments: list[Segment], states: list[int]
) -> tuple[list[float], list[float], int]:
    """Return the delays of onset and end of speech (ms), and the onsets missed.

    A frame's state is known at its end. An onset into an open gate has no delay.
    """
    onsets_ms: list[float] = []
    ends_ms: list[float] = []
    missed = 0
    count = len(states)
    for place, (start, end) in enumerate(segments):
        before = segments[place - 1][1] if place else -ONSET_PAUSE_S
        after = segments[place + 1][0] if place + 1 < len(segments) else count * FRAME_S
        first, last = int(start / FRAME_S), int((end + LATE_S) / FRAME_S) + 1
        is_shut = first == 0 or first >= count or states[first - 1] != SPEECH
        if start - before >= ONSET_PAUSE_S and is_shut:
            opened = _first(states, first, min(count, last), is_open=True)
            if opened is None:
                missed += 1
                continue
            onsets_ms.append(1e3 * ((opened + 1) * FRAME_S - start))
        if after - end >= END_PAUSE_S:
            shut = _first(states, int(end / FRAME_S), int(after / FRAME_S), False)
            if shut is not None:
                ends_ms.append(1e3 * ((shut + 1) * FRAME_S - end))
    return onsets_ms, ends_ms, missed


def _first(states: list[int], start: int, end: int, is_open: bool) -> int | None:
    span = range(start, min(end, len(states)))
    return next((at for at in span if (states[at] == SPEECH) == is_open), None)


def middle(values: list[float]) -> float:
    """Return the median, or 0 of an empty list."""
    return median(values) if values else 0.0


def _middle(values: list[float]) -> str:
    return f"{median(values):.0f}" if values else "-"


def _frames(audio: bytes) -> Iterator[bytes]:
    whole = len(audio) - len(audio) % FRAME_BYTES
    return (audio[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES))
