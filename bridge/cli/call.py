"""`kolbridge call`: places a call with recorded audio to a running bridge."""

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, Caller
from bridge.sandbox.clips import Clip, clip, clip_names
from bridge.sandbox.recording import RecordingError, read_recording
from bridge.sandbox.result import CallResult
from bridge.sandbox.timeline import (
    Digit,
    HangUp,
    Happening,
    InterruptAfter,
    Noise,
    Say,
    StayOnLine,
    Step,
    WaitForAi,
)
from bridge.settings.process import Settings, SettingsError, load

DESCRIPTION = """\
Place a call to a running bridge, as Twilio does: signed webhooks and a media
stream. The caller says the recordings, one after each answer of the AI. The
exit code is 1 if the call fails or nothing is heard of the AI."""
EXAMPLES = """examples:
  kolbridge call hello.wav name.wav --to +12025550123
  kolbridge call caller-en-1 caller-en-2 --to +12025550123 --save call/
  kolbridge call caller-he-1 caller-he-interrupts --to +97225550123 \\
      --noise noise-fan --interrupt-after 1500 --digits 42#

Each recording is played when the AI has finished speaking. AUDIO is a WAV file, a raw
mu-law file (8 kHz), or the name of a packaged recording:
  """
KEYS = frozenset("0123456789*#")


class CallError(ValueError):
    """The call cannot be placed; the text says why."""


def add_parser(subparsers: Any) -> None:
    """Add `call` to the command line."""
    names = ", ".join(name for name in clip_names() if not name.startswith("ai-"))
    parser = subparsers.add_parser(
        "call",
        description=DESCRIPTION,
        epilog=EXAMPLES + names,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "audio", nargs="+", metavar="AUDIO", help="what the caller says, in order"
    )
    parser.add_argument(
        "--to", required=True, metavar="NUMBER", help="number of the business"
    )
    parser.add_argument(
        "--from",
        dest="from_number",
        default="+12025550101",
        metavar="NUMBER",
        help="number of the caller (+12025550101)",
    )
    parser.add_argument(
        "--stir-verstat",
        default="TN-Validation-Passed-A",
        metavar="WORD",
        help="the STIR/SHAKEN result, StirVerstat (TN-Validation-Passed-A)",
    )
    parser.add_argument(
        "--url", help="URL of the bridge (http://HOST:PORT of the settings)"
    )
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="folder for recordings of both sides"
    )
    parser.add_argument("--noise", metavar="AUDIO", help="background noise")
    parser.add_argument(
        "--noise-db", type=float, default=0.0, help="gain of the noise in dB (0)"
    )
    parser.add_argument(
        "--digits", default="", help="keys to press after the last recording"
    )
    parser.add_argument(
        "--interrupt-after",
        type=float,
        metavar="MS",
        help="interrupt each answer after MS, from the second recording on",
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=20,
        metavar="SECONDS",
        help="maximum wait for each answer (20)",
    )
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=180,
        metavar="SECONDS",
        help="maximum call duration (180)",
    )
    parser.add_argument(
        "--stay", action="store_true", help="wait until the bridge hangs up"
    )


def run(args: argparse.Namespace) -> int:
    """Place the call; return 1 if it went wrong, 2 if it could not be placed."""
    try:
        settings = load(os.environ, Path(".env"))
        caller = _caller(args, settings)
        timeline = steps(args)
        if args.save is not None:
            args.save.mkdir(parents=True, exist_ok=True)
    except (CallError, RecordingError, SettingsError, OSError) as error:
        print(f"kolbridge call: {error}", file=sys.stderr)
        return 2
    result = asyncio.run(caller.call(timeline, max_s=args.max_seconds))
    if args.save is not None:
        _save(result, args.save)
    print("\n".join(summary(result)))
    return 0 if is_good(result) else 1


def _caller(args: argparse.Namespace, settings: Settings) -> Caller:
    url = args.url or _own_url(settings)
    if urlsplit(url).scheme not in ("http", "https"):
        raise CallError(f"--url {url}: expected http://… or https://…")
    token = settings.twilio_auth_token
    return Caller(
        url,
        account_sid=settings.twilio_account_sid or SANDBOX_ACCOUNT_SID,
        auth_token=token or "",
        signed=token is not None,
        public_url=settings.public_url,
        from_number=args.from_number,
        to_number=args.to,
        stir_verstat=args.stir_verstat,
        observe=_show,
    )


def _own_url(settings: Settings) -> str:
    """Return the local URL of a service with these settings."""
    everywhere = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
    host = everywhere.get(settings.url_host, settings.url_host)
    return f"http://{host}:{settings.port}"


def steps(args: argparse.Namespace) -> list[Step]:
    """Return the caller's steps; raises CallError or RecordingError."""
    found: list[Step] = []
    if args.noise is not None:
        found.append(Noise(_clip(args.noise), args.noise_db))
    answer = WaitForAi("ends", timeout_ms=args.patience * 1000)
    found.append(answer)
    for number, name in enumerate(args.audio):
        if number and args.interrupt_after is not None:
            found[-1] = InterruptAfter(args.interrupt_after)
        found += [Say(_clip(name)), answer]
    for key in args.digits:
        if key not in KEYS:
            raise CallError(f"--digits {args.digits}: expected 0 to 9, * and #")
        found.append(Digit(key))
    if args.digits:
        found.append(answer)
    found.append(StayOnLine() if args.stay else HangUp())
    return found


def _clip(name: str) -> Clip:
    path = Path(name)
    if not path.exists() and name in clip_names():
        return clip(name)
    return read_recording(path)


def _show(happening: Happening) -> None:
    at_s = happening.at_ms / 1000
    print(f"{at_s:7.2f} s  {happening.kind} {happening.detail}".rstrip(), flush=True)


def _save(result: CallResult, folder: Path) -> None:
    result.save(folder / "call.wav")
    (folder / "said.ulaw").write_bytes(result.near)
    (folder / "heard.ulaw").write_bytes(result.far)


def is_good(result: CallResult) -> bool:
    """Tell whether the bridge answered with its own voice and sent nothing wrong."""
    is_clean = not result.warnings and not result.problems
    return is_clean and bool(result.media) and not result.spoken


def summary(result: CallResult) -> list[str]:
    """Return a summary of a call, line by line."""
    heard_s = sum(piece.size_bytes for piece in result.media) / 8000
    lines = [
        f"call {result.call_sid}: webhook {result.webhook_status}, "
        f"stream {result.handshake_status}, ended by {result.ended_by}, "
        f"{result.duration_ms / 1000:.1f} s",
        f"sent {result.frames_sent} frames; received {len(result.media)} messages "
        f"with {heard_s:.1f} s of audio; marks echoed {len(result.marks)}; "
        f"clears {len(result.clears_ms)}",
    ]
    lines += [f"Twilio says: {sentence}" for sentence in result.spoken]
    lines += [f"warning {text}" for text in result.warnings]
    lines += [f"problem {text}" for text in result.problems]
    if not result.media:
        lines.append("nothing was heard of the AI")
    return lines
