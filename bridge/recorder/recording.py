"""A recorded call as a file: every input of a `Call`, and every answer of the `Call`.

One zip per call. `call.jsonl` is a `Header` and then one `Step` per message, with times
on the bridge's own clock. It holds no audio: a piece of audio is a size, a hash and,
where audio is kept, a place in `caller.ulaw`, `operator.ulaw` or `model.ulaw`
(`model.pcm` where the session's output is PCM). Audio in the call's answers is always a
size and a hash alone.

Phone numbers are masked as in the log, secrets and stream tokens are removed, and the
digits of the keypad are written as 0. Input and answers are both masked, so that a call
replayed from the file gives the answers in the file.
"""

import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from bridge.call.plan import (
    Action,
    CallPlan,
    CloseStandby,
    HangUp,
    Leg,
    Log,
    OpenModel,
    OpenStandby,
    OperatorOrder,
    OperatorWords,
    Refusal,
    RunTool,
    ToolResult,
    ToStandby,
    Transcribe,
    UseStandby,
)
from bridge.call.streams import Transport
from bridge.realtime import openai
from bridge.telemetry.masking import clean, mask_phone
from bridge.telephony import twilio

VERSION = 2
# Version 1 is read, too: it has a step's `method` under the key `door`.
VERSIONS_READ = (1, VERSION)
SUFFIX = ".zip"
STEPS_FILE = "call.jsonl"
CALLER_FILE = "caller.ulaw"
OPERATOR_FILE = "operator.ulaw"
AUDIO_FILES = (CALLER_FILE, "model.ulaw", "model.pcm", OPERATOR_FILE)
# A recording of the longest call, four hours, is some 90 MB of text, a million messages
# and 115 MB of audio a side.
STEPS_BYTES_MAX = 192 * 1024 * 1024
STEPS_MAX = 2_000_000
AUDIO_BYTES_MAX = 256 * 1024 * 1024
_HASH_BYTES = 8
# Actions that are tuples, by the name they have in a file.
_TUPLES: dict[type, str] = {
    Log: "log",
    RunTool: "run_tool",
    Transcribe: "transcribe",
    OpenModel: "open_model",
    OpenStandby: "open_standby",
    ToStandby: "to_standby",
    UseStandby: "use_standby",
    CloseStandby: "close_standby",
    HangUp: "hang_up",
}
# The arguments of each method of a `Call` that takes an input, before the time.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "receive_twilio": (twilio.Inbound,),
    "receive_openai": (openai.Inbound,),
    "receive_standby": (openai.Inbound,),
    "receive_timeout": (),
    "receive_tool_result": (ToolResult,),
    "receive_disconnect": (Leg, str | Refusal),
    "receive_transport": (Transport,),
    "receive_limit": (str, float),
    "receive_malformed": (Leg, str),
    "receive_unknown": (Leg, str),
    "receive_hangup": (str,),
    "receive_operator": (OperatorOrder,),
    "receive_operator_audio": (bytes,),
    "receive_operator_words": (OperatorWords,),
}
# NotImplementedError and RuntimeError: a zip compressed or locked in another way.
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    UnicodeDecodeError,
    msgspec.DecodeError,
)
_KEYPAD = "Keypad: "
_ZEROS = str.maketrans("123456789", "000000000")


class RecordingError(ValueError):
    """A file that is no valid recording; the text says what was expected."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is of; `dropped` counts messages dropped by its limits.

    `opened_at` is on the clock of the steps. `began_at` is the same moment in s since
    1970, on the machine's clock; 0 where an older version wrote the file.
    """

    version: int = VERSION
    plan: CallPlan
    opened_at: float
    began_at: float = 0.0
    has_audio: bool
    dropped: int = 0


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message and its answer, as plain data.

    `actions` is None where the bridge itself failed at this message.
    """

    now: float
    method: str
    what: list[Any] = []
    politely: bool = False
    actions: list[Any] | None = None


class Recording(msgspec.Struct, frozen=True):
    """A recording as it was read: its steps, and its audio by file."""

    header: Header
    steps: list[Step]
    audio: dict[str, bytes]

    @property
    def why_not_replayed(self) -> str:
        """Return why the recording cannot be replayed, or an empty text."""
        if self.header.dropped:
            return f"{self.header.dropped} of its messages were dropped"
        return "" if self.header.has_audio else "it was recorded without audio"

    def arguments(self, step: Step) -> list[Any]:
        """Return a step's message as the `Call` takes it; needs the audio."""
        kinds, what = ARGUMENTS[step.method], step.what
        try:
            if what and isinstance(what[0], dict):
                what = [self._with_audio(step.method, what[0]), *what[1:]]
            return [
                msgspec.convert(one, kind, builtin_types=(bytes,))
                for one, kind in zip(what, kinds, strict=True)
            ]
        except (msgspec.ValidationError, ValueError, KeyError, TypeError) as error:
            text = f"{type(error).__name__}: {error}"
            raise RecordingError(f"{step.method} at {step.now}: {text}") from None

    def _with_audio(
        self, method: str, message: dict[str, Any]
    ) -> dict[str, Any] | bytes:
        if method == "receive_operator_audio":
            return self._find(OPERATOR_FILE, message)
        if method == "receive_twilio" and message.get("event") == "media":
            body = message["media"]
            payload = self._find(CALLER_FILE, body["payload"])
            return {**message, "media": {**body, "payload": payload}}
        if message.get("type") == "response.output_audio.delta":
            delta = self._find(model_file(self.header.plan), message["delta"])
            return {**message, "delta": delta}
        return message

    def _find(self, name: str, where: dict[str, Any]) -> bytes:
        piece = self.audio[name][where["at"] : where["at"] + where["bytes"]]
        if fingerprint(piece) != {key: where[key] for key in ("bytes", "hash")}:
            raise RecordingError(f"{name} is not the audio of {STEPS_FILE}")
        return piece


class Writer:
    """Writes the messages of a `Call` to a file; masks what no file may show."""

    def __init__(
        self, header: Header, *, secrets: Iterable[str] = (), keeps_audio: bool
    ) -> None:
        self._header = header
        self._hide = partial(clean, secrets=tuple(secrets))
        self._model_file = model_file(header.plan)
        self._files = {
            "receive_twilio": CALLER_FILE,
            "receive_operator_audio": OPERATOR_FILE,
        }
        names = (CALLER_FILE, self._model_file, OPERATOR_FILE)
        self.audio = {name: bytearray() for name in names}
        # How much audio of each side was taken.
        self._taken = dict.fromkeys(self.audio, 0)
        self._keeps_audio = keeps_audio

    def step(
        self,
        method: Callable[..., list[Action]],
        what: tuple[Any, ...],
        now: float,
        actions: list[Action] | None,
    ) -> Step:
        """Return one message and its answer as they are written."""
        is_polite = False
        if isinstance(method, partial):
            is_polite = method.keywords.get("politely", False)
            method = method.func
        keep = fingerprint
        if self._keeps_audio:
            name = self._files.get(method.__name__, self._model_file)
            keep = partial(self._keep, name)
        return Step(
            now=now,
            method=method.__name__,
            what=[_plain(_public(one), self._hide, keep) for one in what],
            politely=is_polite,
            actions=None
            if actions is None
            else [show(one, self._hide) for one in twilio.messages_of(actions)],
        )

    def write(self, path: Path, steps: Iterable[Step]) -> None:
        """Write the file, whole or not at all; raises OSError."""
        with new_zip(path) as file:
            with file.open(STEPS_FILE, "w") as lines:
                lines.write(self.header_line(self._header) + b"\n")
                for step in steps:
                    lines.write(msgspec.json.encode(step) + b"\n")
            for name, audio in self.audio.items():
                if self._keeps_audio and (audio or name != OPERATOR_FILE):
                    file.writestr(name, bytes(audio))

    def header_line(self, header: Header) -> bytes:
        """Return a header as it is written."""
        return msgspec.json.encode(self._cleaned(header))

    def forget_audio(self, name: str) -> None:
        """Forget the audio of one side's steps: it is written."""
        self._taken[name] += len(self.audio[name])
        self.audio[name].clear()

    def _cleaned(self, header: Header) -> Header:
        plan = header.plan
        shown = _plain(_untyped(plan), self._hide, fingerprint)
        if plan.resumed is not None:
            # As many as were typed: a row of zeros is no number.
            shown["resumed"]["digits"] = plan.resumed.digits.translate(_ZEROS)
        shown["from_number"] = mask_phone(plan.from_number)
        shown["to_number"] = mask_phone(plan.to_number)
        return msgspec.structs.replace(
            header, plan=msgspec.convert(shown, CallPlan, str_keys=True)
        )

    def _keep(self, name: str, audio: bytes) -> dict[str, Any]:
        at = self._taken[name] + len(self.audio[name])
        self.audio[name] += audio
        return {"at": at, **fingerprint(audio)}


@contextmanager
def new_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Give a new zip to write to, which has its name once it is whole."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def read(path: Path) -> Recording:
    """Read a recording; raises RecordingError or OSError."""
    try:
        with zipfile.ZipFile(path) as file:
            lines = _unpack(path, file, STEPS_FILE, STEPS_BYTES_MAX).split(b"\n")
            if len(lines) > STEPS_MAX:
                raise RecordingError(f"{path}: expected at most {STEPS_MAX} messages")
            audio = {
                name: _unpack(path, file, name, AUDIO_BYTES_MAX)
                for name in AUDIO_FILES
                if name in file.namelist()
            }
        header = msgspec.json.decode(lines[0], type=Header)
        if header.version not in VERSIONS_READ:
            raise RecordingError(
                f"{path}: expected version 1 or {VERSION}, got {header.version}"
            )
        steps = [_step(line, header.version) for line in lines[1:] if line]
    except _UNREADABLE as error:
        raise RecordingError(f"{path}: expected a recorded call: {error}") from None
    unknown = {step.method for step in steps} - ARGUMENTS.keys()
    if unknown:
        raise RecordingError(f"{path}: a call has no {', '.join(sorted(unknown))}")
    return Recording(msgspec.structs.replace(header, version=VERSION), steps, audio)


def _step(line: bytes, version: int) -> Step:
    if version == VERSION:
        return msgspec.json.decode(line, type=Step)
    plain = msgspec.json.decode(line, type=dict[str, Any])
    plain["method"] = plain.pop("door")
    return msgspec.convert(plain, Step)


def _unpack(path: Path, file: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a part of a recording; raises RecordingError above `most` bytes."""
    if file.getinfo(name).file_size > most:
        raise RecordingError(f"{path}: {name}: expected at most {most} bytes")
    return file.read(name)


def rewrite(path: Path, recording: Recording, steps: Iterable[Step]) -> None:
    """Write a recording that was read with other answers; its audio stays."""
    writer = Writer(recording.header, keeps_audio=recording.header.has_audio)
    writer.audio.update((name, bytearray(one)) for name, one in recording.audio.items())
    writer.write(path, steps)


def model_file(plan: CallPlan) -> str:
    """Return the name of the model's audio, which says its format."""
    is_pcm = plan.options.openai_output_format == "audio/pcm"
    return "model.pcm" if is_pcm else "model.ulaw"


def fingerprint(audio: bytes) -> dict[str, Any]:
    """Return the size and hash that stand for a piece of audio."""
    name = blake2b(audio, digest_size=_HASH_BYTES).hexdigest()
    return {"bytes": len(audio), "hash": name}


def show(
    action: Action | twilio.OutboundMedia, hide: Callable[[str], str] = clean
) -> Any:
    """Return an action as plain data, its audio by fingerprint."""
    shown = _plain(_public(action), hide, fingerprint)
    name = _TUPLES.get(type(action))
    return shown if name is None else {name: shown}


def _untyped(plan: CallPlan) -> Any:
    """Return a plan as plain data, without the rows that the caller typed before."""
    plain = msgspec.to_builtins(plan, str_keys=True)
    saved = plain["resumed"]
    if saved is not None:
        for turn in saved["turns"]:
            if turn["role"] == "keypad":
                parts = turn["parts"].items()
                turn["parts"] = {key: one.translate(_ZEROS) for key, one in parts}
    return plain


def _public(message: Any) -> Any:
    """Return a message as plain data, without the parameters that hold the token."""
    plain = msgspec.to_builtins(message, builtin_types=(bytes,))
    if type(message) is twilio.Start:
        plain["start"].pop("customParameters", None)
    return plain


def _plain(
    value: Any, hide: Callable[[str], str], keep: Callable[[bytes], Any], key: str = ""
) -> Any:
    """Walk through plain data: hide in texts, keep audio, leave names of things."""
    if isinstance(value, str):
        return value if _is_name(key) else hide(_without_digits(key, value))
    if isinstance(value, bytes):
        return keep(value)
    if isinstance(value, dict):
        return {name: _plain(one, hide, keep, name) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one, hide, keep, key) for one in value]
    return value


def _is_name(key: str) -> bool:
    """Tell names, which must stay as they are to be found again, from texts."""
    return key == "name" or key.lower().endswith("id")


def _without_digits(key: str, text: str) -> str:
    """Hide what a caller types: it may be the number of a card."""
    is_typed = key == "digit" or (key == "text" and text.startswith(_KEYPAD))
    return text.translate(_ZEROS) if is_typed else text
