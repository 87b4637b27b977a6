"""Draws the pictures of docs/calls.md from real runs.

    python scripts/draw_docs.py docs/pictures

The gate runs over packaged recordings. The calls are those recorded in
tests/recordings, replayed in the state machine. The script needs the extra `analysis`
(matplotlib).
"""

import sys
from bisect import bisect
from collections.abc import Iterator
from math import log10
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from bridge.call.machine import Call
from bridge.cli.pictures import pyplot
from bridge.media.playout import NOTHING_DBFS
from bridge.media.uplink import SILENCE, Uplink
from bridge.realtime import openai
from bridge.recorder.recording import Recording, Step, read
from bridge.sandbox.clips import clip
from bridge.settings.options import CallOptions
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES, FRAME_MS, decode, encode

ROOT = Path(__file__).parent.parent
RECORDED = ROOT / "tests/recordings/interruption.zip"
FRAME_S = FRAME_MS / 1e3
NAN = float("nan")
# The height of the bars that show what the model receives.
GIVEN_AT = 0.5
FULL_SCALE = 32_768
# The level of the fan in the recorded calls.
NOISE_GAIN = 10 ** (-6 / 20)
# When the caller of RECORDED begins to speak over the AI, and for how long if it is to
# stay a false alarm.
VOICE_AT_S = 6.775
COUGH_S = 0.065
TURN_SILENCE_MS = 500
CALLER, FLOOR, AI, VOICE, FILL = (
    "tab:blue",
    "tab:orange",
    "tab:purple",
    "tab:red",
    "tab:grey",
)


class Trace(NamedTuple):
    """A call at each of the caller's frames; levels in dBFS, audio in s."""

    at_s: list[float]
    level: list[float]
    floor: list[float]
    voice: list[float]
    silence: list[float]
    far: list[float]
    received_s: list[float]
    sent_s: list[float]
    heard_s: list[float]
    is_held: list[bool]
    marks: list[tuple[float, str]]


def dbfs(rms: float) -> float:
    """Return a linear 16-bit level in dBFS."""
    return 20 * log10(max(rms, 1.0) / FULL_SCALE)


# --- runs ---


def run(recording: Recording, until_s: float, silent_from_s: float = 1e9) -> Trace:
    """Replay a recorded call; from `silent_from_s` on the caller says nothing."""
    header = recording.header
    call = Call(header.plan, header.opened_at)
    trace = Trace(*([] for _ in Trace._fields))
    received = 0
    # The position of each of the caller's frames; held, so that its id stays unique.
    frames: dict[int, tuple[int, Any]] = {}
    for step in recording.steps:
        at_s = step.now - header.opened_at
        if at_s > until_s:
            break
        for now in _timeouts(call, step.now):
            _note(trace, now - header.opened_at, call.receive_timeout(now))
        what = _what(recording, step, at_s > silent_from_s)
        if what is None:
            continue
        for one in what:
            if isinstance(one, openai.AudioDelta):
                received += len(one.delta)
        if what and isinstance(what[0], twilio.Media):
            frames[id(what[0].media.payload)] = (len(trace.at_s), what[0])
        actions = getattr(call, step.method)(*what, step.now)
        _note(trace, at_s, actions)
        if what and isinstance(what[0], twilio.Media):
            _measure(trace, call, at_s, received)
        _note_given(trace, frames, actions)
    return trace


def _timeouts(call: Call, until: float) -> Iterator[float]:
    """Yield the call's own deadlines; the recorded ones belong to another run."""
    while call.deadline is not None and call.deadline <= until:
        yield max(call.deadline, call.now)


def _what(recording: Recording, step: Step, is_silent: bool) -> list[Any] | None:
    """Return a step's message; None for what belongs to another run."""
    if step.method == "receive_timeout":
        return None
    what = recording.arguments(step)
    if not is_silent or not isinstance(what[0], twilio.Media | twilio.Mark):
        return what
    if isinstance(what[0], twilio.Mark):
        return None
    media = replace(what[0].media, payload=_quiet(len(what[0].media.payload), step.now))
    return [replace(what[0], media=media)]


def _quiet(size: int, now: float) -> bytes:
    """Return a piece of the fan noise as in the recorded call."""
    fan = _mixed(b"\xff" * 80_000)
    at = int(now / FRAME_S) * FRAME_BYTES % (len(fan) - size)
    return fan[at : at + size]


def _note(trace: Trace, at_s: float, actions: list[Any]) -> None:
    for action in actions:
        trace.marks.append((at_s, type(action).__name__))


def _note_given(trace: Trace, frames: dict[int, Any], actions: list[Any]) -> None:
    """Note which of the caller's frames the model received, and when silence."""
    for action in actions:
        if not isinstance(action, openai.AppendAudio):
            continue
        if id(action.audio) in frames:
            trace.voice[frames[id(action.audio)][0]] = GIVEN_AT
        elif action.audio is SILENCE:
            _fill(trace.voice, trace.silence)


def _fill(voice: list[float], silence: list[float]) -> None:
    """Note a frame of silence, which replaces the oldest frame that waits."""
    both = enumerate(zip(voice, silence, strict=True))
    silence[max(at for at, pair in both if GIVEN_AT in pair) + 1] = GIVEN_AT


def _measure(trace: Trace, call: Call, at_s: float, received: int) -> None:
    gate, playout, now = call.uplink.gate, call.playout, call.now
    far = playout.far_dbfs(now)
    is_playing = playout.is_playing(now)
    row = (
        at_s,
        dbfs(gate.rms),
        dbfs(gate.floor_rms),
        NAN,
        NAN,
        NAN if far == NOTHING_DBFS else float(far),
        received / FRAME_BYTES * FRAME_S,
        playout.frames_sent * FRAME_S if is_playing else NAN,
        playout.heard_frames(now) * FRAME_S if is_playing else NAN,
        playout.is_held,
    )
    columns: list[list[Any]] = list(trace)
    for column, value in zip(columns, row, strict=False):
        column.append(value)


def _mixed(near: bytes) -> bytes:
    """Return a voice mixed with the fan, in mu-law."""
    fan = np.frombuffer(decode(clip("noise-fan").audio), np.int16)
    voice = np.frombuffer(decode(near), np.int16)
    mixed = voice + NOISE_GAIN * np.resize(fan, len(voice))
    return encode(
        np.clip(mixed, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16).tobytes()
    )


# --- pictures ---


def draw_gate(path: Path) -> None:
    """Draw a voice beside a fan: level, floor, score, state, and forwarded frames."""
    quiet = SILENCE * 60
    made = _gated(_mixed(quiet + clip("human-en-command-1").audio + quiet))
    time = [at * FRAME_S for at in range(len(made["level"]))]
    figure, (level, score, state, given) = _figure(4, (3, 1.6, 1.6, 1.2))
    level.plot(time, made["level"], lw=0.8, color=CALLER, label="level")
    level.plot(time, made["floor"], color=FLOOR, label="noise floor")
    level.set(ylabel="dBFS", ylim=(-75, 0))
    level.axvspan(0, 0.6, color="tab:olive", alpha=0.15, lw=0)
    level.annotate("calibration", (0.3, -8), ha="center", fontsize=8)
    score.plot(time, made["score"], lw=0.9, color="tab:green", label="speech score")
    score.set(ylabel="score", ylim=(-0.1, 1.1))
    state.step(time, made["state"], where="post", lw=0.9, color="tab:brown")
    state.set(yticks=(0, 1, 2), yticklabels=("silence", "maybe", "speech"))
    state.set(ylim=(-0.3, 2.4))
    _given(given, time, made["voice"], made["silence"])
    given.set(xlabel="seconds")
    _save(figure, path)


def _gated(audio: bytes) -> dict[str, list[Any]]:
    """Run audio through a call's gate; note at each frame's time what became of it."""
    uplink = Uplink(CallOptions(turn_detection="gate"))
    names = ("level", "floor", "score", "state", "voice", "silence")
    made: dict[str, list[Any]] = {name: [] for name in names}
    frames = [
        bytes(audio[at : at + FRAME_BYTES])
        for at in range(0, len(audio) - FRAME_BYTES + 1, FRAME_BYTES)
    ]
    place = {id(frame): at for at, frame in enumerate(frames)}
    for frame in frames:
        given = uplink.admit(frame, NOTHING_DBFS, False)
        if uplink.is_turn_open and uplink.quiet_ms >= TURN_SILENCE_MS:
            uplink.close_turn()
        gate = uplink.gate
        row = (dbfs(gate.rms), dbfs(gate.floor_rms), gate.score, gate.state)
        for name, value in zip(names, row, strict=False):
            made[name].append(value)
        made["voice"].append(NAN)
        made["silence"].append(NAN)
        for one in given:
            if one is SILENCE:
                _fill(made["voice"], made["silence"])
            else:
                made["voice"][place[id(one)]] = GIVEN_AT
    return made


def draw_turn(path: Path, trace: Trace) -> None:
    """Draw one turn of the caller in `gate` mode, and the answer."""
    figure, (level, given, ai) = _figure(3, (2.5, 1.2, 2.5))
    level.plot(trace.at_s, trace.level, lw=0.8, color=CALLER, label="caller's level")
    level.plot(trace.at_s, trace.floor, color=FLOOR, label="noise floor")
    level.set(ylabel="dBFS", ylim=(-75, 0))
    _given(given, trace.at_s, trace.voice, trace.silence)
    ai.plot(trace.at_s, trace.far, lw=0.8, color=AI, label="AI, as the caller hears it")
    ai.set(ylabel="dBFS", ylim=(-90, 0), xlim=(2.4, 6.1), xlabel="seconds of the call")
    for at_s, name in trace.marks:
        if name == "CommitAudio" and 2.4 < at_s < 6.1:
            _mark((level, given, ai), at_s, "commit, answer asked")
    _save(figure, path)


def draw_barge_in(path: Path, cough: Trace, voice: Trace) -> None:
    """Draw both stages: a short sound holds the AI, a longer voice interrupts it."""
    figure, axes = _figure(4, (2, 1, 2, 2.6), columns=2)
    titles = ("a short sound: the reply goes on", "a voice: the reply is interrupted")
    for column, (trace, title) in enumerate(zip((cough, voice), titles, strict=True)):
        level, given, ai, ledger = (row[column] for row in axes)
        level.plot(trace.at_s, trace.level, lw=0.9, color=CALLER, label="caller")
        level.set(title=title, ylim=(-75, 10))
        _given(given, trace.at_s, trace.voice, trace.silence, is_named=column == 0)
        ai.plot(trace.at_s, trace.far, lw=0.9, color=AI, label="AI, as heard")
        ai.set(ylim=(-90, 10))
        ledger.plot(trace.at_s, trace.sent_s, color="tab:cyan", label="sent")
        ledger.plot(trace.at_s, trace.heard_s, color=AI, label="heard")
        ledger.legend(loc="upper left", fontsize=8)
        ledger.set(xlim=(6.5, 7.5), ylim=(2.3, 4.1), xlabel="seconds of the call")
        for axis in (level, given, ai, ledger):
            _shade(axis, trace)
        for at_s, name in trace.marks:
            if name == "Clear":
                _mark((level, given, ai, ledger), at_s, "clear")
    for row, text in zip(axes, ("dBFS", "given", "dBFS", "s of audio"), strict=True):
        row[0].set(ylabel=text)
        row[1].set(ylabel="")
    _save(figure, path)


def draw_playout(path: Path, trace: Trace) -> None:
    """Draw the ledger of one reply: received, sent, heard."""
    figure, axis = _figure(1, (4,))
    # The whole reply before this one had been sent by then.
    begins_s = trace.received_s[bisect(trace.at_s, 5.0)]
    for column, colour, name in (
        (trace.received_s, "tab:green", "received from the model"),
        (trace.sent_s, "tab:cyan", "sent to the carrier"),
        (trace.heard_s, AI, "heard by the caller"),
    ):
        audio_s = [one - begins_s for one in column]
        axis.step(trace.at_s, audio_s, where="post", color=colour, label=name)
    axis.set(xlim=(5, 7), ylim=(-0.2, 5.4), xlabel="seconds of the call")
    axis.set(ylabel="seconds of the reply")
    _save(figure, path)


def _figure(rows: int, heights: tuple[float, ...], columns: int = 1) -> Any:
    return pyplot().subplots(
        rows,
        columns,
        figsize=(9, sum(heights) * 0.85 + 0.6),
        sharex=True,
        height_ratios=heights,
        squeeze=True,
    )


def _given(
    axis: Any,
    time: list[float],
    voice: list[float],
    silence: list[float],
    *,
    is_named: bool = True,
) -> None:
    """Draw which frames the model receives unchanged, and which as silence."""
    for values, colour, name in (
        (voice, VOICE, "voice"),
        (silence, FILL, "digital silence"),
    ):
        label = name if is_named else None
        axis.plot(time, values, lw=7, color=colour, solid_capstyle="butt", label=label)
    axis.set(yticks=(), ylim=(0, 1), ylabel="given")


def _mark(axes: Any, at_s: float, text: str) -> None:
    for axis in axes:
        axis.axvline(at_s, color="black", lw=1, ls=":")
    axes[0].annotate(
        text,
        (at_s, axes[0].get_ylim()[1] - 9),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=8,
    )


def _shade(axis: Any, trace: Trace) -> None:
    """Show when the feed was held."""
    held = [
        at for at, is_held in zip(trace.at_s, trace.is_held, strict=True) if is_held
    ]
    if held:
        axis.axvspan(held[0], held[-1] + FRAME_S, color="tab:orange", alpha=0.2, lw=0)


def _save(figure: Any, path: Path) -> None:
    for axis in figure.axes:
        if axis.get_legend() is None and axis.get_legend_handles_labels()[0]:
            axis.legend(loc="upper right", fontsize=8)
        axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot().close(figure)


def main(out: Path) -> None:
    """Draw every picture."""
    out.mkdir(parents=True, exist_ok=True)
    # The same runs give the same files.
    pyplot().rcParams["svg.hashsalt"] = "kolbridge"
    recording = read(RECORDED)
    whole = run(recording, 13.0)
    cough = run(recording, 7.6, VOICE_AT_S + COUGH_S)
    draw_gate(out / "gate.svg")
    draw_turn(out / "turn.svg", whole)
    draw_playout(out / "playout.svg", whole)
    draw_barge_in(out / "barge-in.svg", cough, whole)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
