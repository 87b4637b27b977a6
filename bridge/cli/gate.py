"""`kolbridge gate`: recordings through the gate, with figures, pictures and trials."""

import argparse
import os
import sys
import wave
from array import array
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from bridge.cli import gate_trial
from bridge.cli.gate_trial import GateError, Recording
from bridge.cli.pictures import NoPicturesError
from bridge.settings.environment import (
    EnvironmentFileError,
    read_dotenv,
    read_environment,
)
from bridge.settings.options import CallOptions, OptionError, from_variables, merge
from dsp.g711 import FRAME_BYTES, encode

DESCRIPTION = """\
Run recordings through the noise gate and print what it decided.

AUDIO is a raw 8 kHz mu-law file (.ulaw, .ul or .raw), an 8 kHz 16-bit WAV file
(mono, or the caller on the left and the AI on the right channel), or a folder of
such files.
NAME.far.ulaw beside NAME.ulaw is what the caller heard."""
EXAMPLES = """examples:
  kolbridge gate call.wav                      caller left, AI right
  kolbridge gate caller.ulaw --far ai.ulaw --plot gate.png
  kolbridge gate *.wav --set SNR_START_NORMAL=9 --set AUDIO_HANGOVER_FRAMES=12
  kolbridge gate recordings/ --sweep SNR_START_NORMAL=6,8,10,12 --plot sweep.png
  kolbridge gate recordings/ --ab GATE_SCORE=off     compare with another setting
  kolbridge gate near.ulaw --far far.ulaw --frames out.txt   one "state sent" per frame

A file of the same name that ends in .txt is the ground truth: an Audacity label track
with one line "start end label", in seconds, for each time the near caller speaks. With
ground truth the figures include recall, leak, balanced error and delays.

The settings are those of the environment and of .env, as `kolbridge serve` reads them;
--set, --sweep and --ab change them.
"""
SUFFIXES = (".wav", ".ulaw", ".ul", ".raw")
# How files begin that are no raw audio, and cannot be told from it by their bytes.
_OTHERS = {
    b"%PDF": "a PDF",
    b"ID3": "an MP3",
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b".snd": "an AU file",
    b"FORM": "an AIFF file",
    b"PK\x03\x04": "a zip",
    b"\x1f\x8b": "a gzip",
    b"\x89PNG": "a picture",
}
REFUSED = (GateError, OptionError, EnvironmentFileError, NoPicturesError)


def add_parser(subparsers: Any) -> None:
    """Add `gate` to the command line."""
    parser = subparsers.add_parser(
        "gate",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("audio", nargs="+", type=Path, metavar="AUDIO")
    parser.add_argument("--far", type=Path, help="what the caller heard")
    parser.add_argument(
        "--frames", type=Path, metavar="OUT", help="write one 'state sent' per frame"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="PNG", help="draw the recording, sweep or trial"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="values",
        help="a setting; may be repeated",
    )
    trial = parser.add_mutually_exclusive_group()
    trial.add_argument("--sweep", metavar="NAME=V1,V2,…", help="try each value")
    trial.add_argument(
        "--ab", action="append", metavar="NAME=VALUE", help="compare with this setting"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Analyse each recording; return 0, or 2 after one line that says what is wrong."""
    try:
        options = merge(_options(), dict(_pair(text) for text in args.values))
        recordings = [read(path, args.far) for path in _files(args.audio)]
        if (args.frames or args.plot) and len(recordings) > 1 and not _is_trial(args):
            wanted = "--frames" if args.frames else "--plot"
            raise GateError(f"{wanted} takes one recording, got {len(recordings)}")
        if args.frames:
            write_frames(args.frames, recordings[0], options)
        elif args.sweep:
            _sweep(recordings, options, args.sweep, args.plot)
        elif args.ab:
            _compare(recordings, options, args.ab, args.plot)
        else:
            _show(recordings, options, args.plot)
    except (*REFUSED, OSError) as error:
        print(f"kolbridge gate: {error}", file=sys.stderr)
        return 2
    return 0


def read(path: Path, far: Path | None = None) -> Recording:
    """Read one recording; `far` gives the other side of a mono one."""
    near, other = _sides(path)
    beside = path.with_name(f"{path.stem}.far{path.suffix}")
    if far is not None:
        other = _sides(far)[0]
    elif not other and beside.is_file():
        other = _sides(beside)[0]
    labels = path.with_suffix(".txt")
    truth = gate_trial.read_labels(labels) if labels.is_file() else None
    return Recording(path.name, near, other.ljust(len(near), b"\xff"), truth)


def write_frames(path: Path, recording: Recording, options: CallOptions) -> None:
    """Write one line `state sent` for each whole frame."""
    states, sent = gate_trial.decide(recording, options)
    pairs = zip(states, sent, strict=True)
    path.write_text("".join(f"{state} {given}\n" for state, given in pairs))


def _show(recordings: list[Recording], options: CallOptions, plot: Path | None) -> None:
    print(gate_trial.HEADER)
    parts = []
    for recording in recordings:
        if plot is not None:
            from bridge.cli import gate_plot

            gate_plot.draw(plot, recording, gate_trial.analyse(recording, options))
        parts.append(_figures(recording, options))
        print(gate_trial.line(recording.name, parts[-1]))
    if len(parts) > 1:
        print(gate_trial.line("all", gate_trial.total(parts)))


def _sweep(
    recordings: list[Recording], options: CallOptions, sweep: str, plot: Path | None
) -> None:
    """Try each value; with ground truth, name the one with the least balanced error."""
    name, values = _pair(sweep)
    print(gate_trial.HEADER)
    tried = []
    for value in values.split(","):
        with_value = merge(options, {name: value})
        together = gate_trial.total(_figures(r, with_value) for r in recordings)
        tried.append((value, together))
        print(gate_trial.line(f"{name}={value}", together))
    if plot is not None:
        from bridge.cli import gate_plot

        gate_plot.draw_trade_off(plot, name, tried)
    if tried[0][1].speech and tried[0][1].free:
        best = min(tried, key=lambda pair: gate_trial.balanced_error(pair[1]))[0]
        print("\n# least balanced error on these recordings; paste into .env:")
        print(f"{name}={best}")
    else:
        print("\nno recommendation: none of these recordings has ground truth (.txt)")


def _compare(
    recordings: list[Recording],
    options: CallOptions,
    settings: list[str],
    plot: Path | None,
) -> None:
    """Show each recording with the present settings (A) and the proposed ones (B)."""
    other = merge(options, dict(_pair(text) for text in settings))
    print(f"A: as it is    B: {' '.join(settings)}\n{gate_trial.HEADER}")
    pairs = [(r.name, _figures(r, options), _figures(r, other)) for r in recordings]
    together = [
        gate_trial.total(a for _, a, _ in pairs),
        gate_trial.total(b for _, _, b in pairs),
    ]
    for name, a, b in pairs:
        print(gate_trial.line(f"A {name}", a))
        print(gate_trial.line(f"B {name}", b))
    for side, part in zip("AB", together, strict=True):
        print(gate_trial.line(f"{side} all", part))
    if plot is not None:
        from bridge.cli import gate_plot

        gate_plot.draw_trade_off(
            plot, "A and B", [("A", together[0]), ("B", together[1])]
        )
    if not together[0].speech:
        return
    errors = [gate_trial.balanced_error(part) for part in together]
    if errors[1] < errors[0]:
        print("\n# B has the lesser balanced error; paste into .env:")
        print("\n".join(settings))
    else:
        print("\nB is not better on these recordings: keep what stands")


def _options() -> CallOptions:
    """Return the settings of the environment and `.env`, as `serve` reads them."""
    dotenv = Path(".env")
    in_file = read_dotenv(dotenv) if dotenv.exists() else {}
    given = read_environment(os.environ, in_file)
    options = from_variables(CallOptions(), given)
    names = map(str.upper, CallOptions.__struct_fields__)
    if set_here := [f"{name}={given[name]}" for name in names if name in given]:
        print(f"environment and .env: {' '.join(set_here)}", file=sys.stderr)
    return options


def _figures(recording: Recording, options: CallOptions) -> gate_trial.Figures:
    return gate_trial.figures(recording, *gate_trial.decide(recording, options))


def _is_trial(args: argparse.Namespace) -> bool:
    return bool(args.sweep or args.ab)


def _files(paths: list[Path]) -> Iterator[Path]:
    """Yield the named recordings, and those of a folder in order of their names."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = [
            file
            for file in sorted(path.iterdir())
            if file.suffix.lower() in SUFFIXES and not file.stem.endswith(".far")
        ]
        if not found:
            raise GateError(f"{path}: expected recordings ({', '.join(SUFFIXES)})")
        yield from found


def _sides(path: Path) -> tuple[bytes, bytes]:
    data = path.read_bytes()
    if path.suffix.lower() == ".wav" or data.startswith(b"RIFF"):
        return _sides_of_wav(path, data)
    expected = f"{path}: expected an 8 kHz 16-bit WAV or raw mu-law, got"
    if path.suffix.lower() not in SUFFIXES:
        names = ", ".join(SUFFIXES)
        raise GateError(f"{expected} {path.suffix or 'no suffix'}, none of {names}")
    if len(data) < FRAME_BYTES:
        raise GateError(f"{expected} {len(data)} bytes, less than one frame")
    for begin, name in _OTHERS.items():
        if data.startswith(begin):
            raise GateError(f"{expected} {name}")
    if _is_text(data):
        raise GateError(f"{expected} text: {data[:30].decode(errors='ignore')!r}")
    return data, b""


def _sides_of_wav(path: Path, data: bytes) -> tuple[bytes, bytes]:
    try:
        with wave.open(BytesIO(data)) as file:
            rate, width = file.getframerate(), file.getsampwidth()
            channels = file.getnchannels()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        what = str(error) or "less than its header says"
        raise GateError(f"{path}: expected a 16-bit PCM WAV, got: {what}") from None
    if (rate, width) != (8_000, 2) or channels > 2:
        raise GateError(
            f"{path}: expected 8000 Hz, 16 bit, one or two channels, got {rate} Hz, "
            f"{8 * width} bit, {channels} channels"
        )
    # A file that was cut may end within a sample.
    samples = array("h", frames[: len(frames) // (2 * channels) * 2 * channels])
    if len(samples) < FRAME_BYTES * channels:
        raise GateError(
            f"{path}: expected a frame of 20 ms, got {len(samples)} samples"
        )
    if sys.byteorder == "big":
        samples.byteswap()
    sides = [encode(samples[at::channels].tobytes()) for at in range(channels)]
    return sides[0], sides[1] if channels == 2 else b""


def _is_text(data: bytes) -> bool:
    """Tell text from mu-law, whose bytes of 0x80 and above are no UTF-8."""
    try:
        shown = data.decode()[:4_096]
    except UnicodeDecodeError:
        return False
    return all(one.isprintable() or one.isspace() for one in shown)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"expected NAME=VALUE, got {text!r}")
    return name, value
