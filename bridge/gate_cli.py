"""`kolbridge gate`: recordings through the gate, with figures, a plot and a sweep."""

import argparse
import sys
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bridge.options import FRAME_BYTES, FRAME_MS, CallOptions, OptionError, merge
from bridge.uplink import Uplink
from dsp.g711 import encode, frame_levels
from dsp.gate import SPEECH, STATE_MASK

EXAMPLES = """examples:
  kolbridge gate call.wav                      caller left, AI right
  kolbridge gate caller.ulaw --far ai.ulaw --plot gate.png
  kolbridge gate *.wav --set SNR_START_NORMAL=9 --set AUDIO_HANGOVER_FRAMES=12
  kolbridge gate noise.wav speech.wav --sweep SNR_START_NORMAL=6,8,10,12
  kolbridge gate near.ulaw --far far.ulaw --frames out.txt   one "state sent" a frame
"""


class GateError(ValueError):
    """A recording cannot be used; the text says what was expected."""


class Recording(NamedTuple):
    """One call's caller side in mu-law, and what he heard."""

    name: str
    near: bytes
    far: bytes


class Trace(NamedTuple):
    """The gate frame by frame: states, what was sent, and its measures."""

    states: list[int]
    sent: list[int]
    rms: list[float]
    floor_rms: list[float]
    snr_db: list[float]
    voice: list[bool]


def add_parser(subparsers: Any) -> None:
    """Add `gate` to the command line."""
    parser = subparsers.add_parser(
        "gate",
        help="run recordings through the gate",
        description="AUDIO is raw 8 kHz mu-law, or an 8 kHz 16-bit WAV: mono, or the "
        "caller left and the AI right.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("audio", nargs="+", type=Path, metavar="AUDIO")
    parser.add_argument("--far", type=Path, help="what the caller heard meanwhile")
    parser.add_argument("--frames", type=Path, help="write one 'state sent' a frame")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw a picture")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="values"
    )
    parser.add_argument("--sweep", metavar="NAME=V1,V2,…", help="try values")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Analyse each recording; 0, or 2 with one line that says what was wrong."""
    try:
        options = merge(CallOptions(), dict(_pair(text) for text in args.values))
        recordings = [read(path, args.far) for path in args.audio]
        if args.sweep:
            _sweep(recordings, options, args.sweep)
            return 0
        print(_HEADER)
        for recording in recordings:
            trace = analyse(recording, options)
            print(figures(recording.name, trace))
            if args.frames:
                _write_frames(args.frames, trace)
            if args.plot:
                draw(args.plot, recording, trace)
    except (GateError, OptionError, OSError) as error:
        print(f"kolbridge gate: {error}", file=sys.stderr)
        return 2
    return 0


def read(path: Path, far: Path | None = None) -> Recording:
    """Read one recording; `far` gives the other side of a mono one."""
    near, other = _sides(path)
    if far is not None:
        other = _sides(far)[0]
    return Recording(path.name, near, other.ljust(len(near), b"\xff"))


def _sides(path: Path) -> tuple[bytes, bytes]:
    if path.suffix.lower() != ".wav":
        return path.read_bytes(), b""
    try:
        with wave.open(str(path)) as file:
            form = (file.getframerate(), file.getsampwidth())
            channels = file.getnchannels()
            samples = array("h", file.readframes(file.getnframes()))
    except (wave.Error, EOFError) as error:
        raise GateError(f"{path}: {error}") from None
    if form != (8_000, 2) or channels > 2:
        raise GateError(
            f"{path}: expected 8000 Hz, 16 bit, one or two channels, got {form[0]} Hz, "
            f"{8 * form[1]} bit, {channels} channels"
        )
    if sys.byteorder == "big":
        samples.byteswap()
    sides = [encode(samples[at::channels].tobytes()) for at in range(channels)]
    return sides[0], sides[1] if channels == 2 else b""


def analyse(recording: Recording, options: CallOptions) -> Trace:
    """Run a recording through a gate; `sent` counts the preroll a later frame sends."""
    gate = Uplink(options).gate
    levels = frame_levels(recording.far)
    trace = Trace([], [], [], [], [], [])
    preroll = options.audio_preroll_ms // FRAME_MS
    for at, frame in enumerate(_frames(recording.near)):
        code = gate.analyze(frame, levels[at] - 127.0)
        state = code & STATE_MASK
        if state == SPEECH and (not trace.states or trace.states[-1] != SPEECH):
            first = max(0, at - preroll)
            trace.sent[first:] = [1] * (at - first)
        trace.states.append(state)
        trace.sent.append(int(state == SPEECH))
        trace.rms.append(gate.rms)
        trace.floor_rms.append(gate.floor_rms)
        trace.snr_db.append(gate.snr_db)
        trace.voice.append(bool(code & ~STATE_MASK & 4))
    return trace


_HEADER = (
    f"{'recording':32}{'seconds':>8}{'open %':>8}{'sent %':>8}{'opened':>8}"
    f"{'voice %':>8}{'floor':>8}{'snr max':>8}"
)


def figures(name: str, trace: Trace) -> str:
    """Return one line of figures."""
    count = max(1, len(trace.states))
    is_open = [state == SPEECH for state in trace.states]
    opened = sum(
        now and not before
        for before, now in zip([False, *is_open], is_open, strict=False)
    )
    return (
        f"{name[:31]:32}{len(trace.states) * FRAME_MS / 1e3:8.1f}"
        f"{100 * sum(is_open) / count:8.1f}{100 * sum(trace.sent) / count:8.1f}"
        f"{opened:8}{100 * sum(trace.voice) / count:8.1f}"
        f"{(trace.floor_rms or [0.0])[-1]:8.0f}{max(trace.snr_db, default=0.0):8.1f}"
    )


def _sweep(recordings: list[Recording], options: CallOptions, sweep: str) -> None:
    name, values = _pair(sweep)
    print(f"{name:>24}  {_HEADER}")
    for value in values.split(","):
        tried = merge(options, {name: value})
        for recording in recordings:
            print(f"{value:>24}  {figures(recording.name, analyse(recording, tried))}")


def _write_frames(path: Path, trace: Trace) -> None:
    lines = (
        f"{state} {sent}\n"
        for state, sent in zip(trace.states, trace.sent, strict=True)
    )
    path.write_text("".join(lines))


def draw(path: Path, recording: Recording, trace: Trace) -> None:
    """Draw level, floor, SNR, states and what was sent."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        raise GateError("--plot needs pip install 'kolbridge[analysis]'") from None
    time = [at * FRAME_MS / 1e3 for at in range(len(trace.states))]
    figure, (level, snr, gate) = pyplot.subplots(3, 1, figsize=(14, 7), sharex=True)
    level.semilogy(time, [max(value, 1) for value in trace.rms], lw=0.7, label="level")
    level.semilogy(time, trace.floor_rms, label="noise floor")
    level.set(ylabel="RMS", title=recording.name)
    snr.plot(time, trace.snr_db, lw=0.7, color="tab:green", label="SNR")
    snr.set(ylabel="dB", ylim=(-10, None))
    gate.fill_between(time, trace.states, step="post", alpha=0.4, label="state")
    gate.plot(
        time,
        [2.3 if sent else float("nan") for sent in trace.sent],
        lw=4,
        color="tab:red",
        label="sent",
    )
    gate.set(yticks=(0, 1, 2), yticklabels=("silence", "maybe", "speech"))
    gate.set(xlabel="seconds")
    for axis in (level, snr, gate):
        axis.legend(loc="upper right")
        axis.grid(alpha=0.25)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"expected NAME=VALUE, got {text!r}")
    return name, value


def _frames(audio: bytes) -> Iterator[bytes]:
    whole = len(audio) - len(audio) % FRAME_BYTES
    return (audio[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES))
