"""The settings of one call: the process's defaults, overridden by the business.

`bridge.settings.message_options` has those of a written conversation. A field's name
is its environment variable in lower case. Its annotation holds the allowed range and
the words for that range in an error. This module owns those ranges and the one way to
read a value that came as text. It reads no environment and no file.
"""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from dsp.g711 import FRAME_MS

# The least similarity, by difflib's ratio, of a wrong name to the name it may mean.
NEAR_RATIO = 0.6
VOICES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
_SWITCH = {"on": True, "yes": True, "off": False, "no": False}

Switch = Annotated[bool, Meta(description="on or off (also 1/0, true/false)")]
Voice = Annotated[
    str,
    Meta(
        pattern=f"^({'|'.join(VOICES)}|voice_[A-Za-z0-9_-]+)$",
        description=f"one of {', '.join(VOICES)}, or a custom voice (voice_…)",
    ),
]
TurnDetection = Annotated[
    Literal["server_vad", "semantic_vad", "gate"],
    Meta(description="server_vad, semantic_vad or gate"),
]
CallerTrust = Annotated[
    Literal["number", "attested"], Meta(description="number or attested")
]
NumberAccount = Annotated[
    str,
    Meta(
        pattern="^(AC[0-9a-fA-F]{32})?$",
        description="AC and 32 hexadecimal digits, or nothing",
    ),
]
OutputFormat = Annotated[
    Literal["audio/pcmu", "audio/pcm"], Meta(description="audio/pcmu or audio/pcm")
]
FrameMs = Annotated[
    Literal[20], Meta(description="20 (the one size that is a whole Twilio frame)")
]
Name = Annotated[str, Meta(min_length=1, max_length=64, description="a name")]
LanguageTag = Annotated[
    str,
    Meta(
        pattern="^[a-z]{2}(-[A-Z]{2})?$",
        description="two letters as in ISO 639-1, and a country if it matters (pt-PT)",
    ),
]
Db = Annotated[float, Meta(ge=0, le=60, description="a number of dB from 0 to 60")]
Rms = Annotated[
    float, Meta(ge=0, le=32_767, description="a 16-bit linear level from 0 to 32767")
]

LimitCount = Annotated[
    int,
    Meta(
        ge=0,
        le=1_000_000,
        description="a whole number from 1 to 1000000, or 0 for no limit",
    ),
]
LimitCost = Annotated[
    float,
    Meta(
        ge=0,
        le=1_000_000,
        description="an amount of the price table's money up to 1000000, or 0 for no "
        "limit",
    ),
]


def _count(low: int, high: int) -> Meta:
    return Meta(ge=low, le=high, description=f"a whole number from {low} to {high}")


def _ms(low: int, high: int) -> Meta:
    return Meta(
        ge=low, le=high, description=f"a whole number of ms from {low} to {high}"
    )


class OptionError(ValueError):
    """Settings cannot have these values; each of `lines` names a setting, its value and
    what is allowed."""

    def __init__(self, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings that may differ from business to business."""

    def contradictions(self) -> Iterator[str]:
        """Yield an error for each value that does not fit to another."""
        return iter(())


SomeOptions = TypeVar("SomeOptions", bound=Options)


class CallOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a call that may differ from business to business."""

    openai_model: Name = "gpt-realtime-2.1"
    openai_voice: Voice = "shimmer"
    openai_output_format: OutputFormat = "audio/pcmu"
    openai_transcription_model: Name = "gpt-transcribe"
    openai_session_seconds: Annotated[int, _count(60, 7_200)] = 3_600

    turn_detection: TurnDetection = "server_vad"
    turn_silence_ms: Annotated[int, _ms(200, 4_000)] = 500

    audio_frame_size_ms: FrameMs = 20
    noise_calibration_ms: Annotated[int, _ms(0, 5_000)] = 600
    audio_preroll_ms: Annotated[int, _ms(0, 1_000)] = 200
    audio_hangover_frames: Annotated[int, _count(0, 50)] = 7
    snr_start_normal: Db = 8.0
    snr_stop_normal: Db = 4.0
    snr_start_music: Db = 12.0
    snr_stop_music: Db = 8.0
    noise_floor_rms: Rms = 120.0
    vad_threshold_rms: Rms = 130.0
    voice_threshold_rms: Rms = 130.0
    min_consecutive_voice_frames: Annotated[int, _count(1, 50)] = 3
    gate_score: Switch = True
    audio_agc: Switch = False

    barge_in_grace_ms: Annotated[int, _ms(0, 5_000)] = 350
    barge_in_cooldown_ms: Annotated[int, _ms(0, 10_000)] = 1_000
    barge_in_ignore_backchannel: Switch = False
    # As messages, 5.6 s of frames are just under `backlog.AUDIO_WAITING_BYTES_MAX`.
    barge_in_ring_ms: Annotated[int, _ms(500, 10_000)] = 5_500
    late_answer_ms: Annotated[int, _ms(0, 5_000)] = 1_500
    playout_lead_ms: Annotated[int, _ms(60, 2_000)] = 300

    idle_prompt_ms: Annotated[int, _ms(3_000, 600_000)] = 12_000
    max_call_seconds: Annotated[int, _count(30, 14_400)] = 1_800
    tool_filler: Switch = False
    keypad_secret: Switch = False
    operator_transcription: Switch = True

    booking_step_minutes: Annotated[int, _count(5, 240)] = 15
    booking_lead_minutes: Annotated[int, _count(0, 43_200)] = 60
    booking_days_max: Annotated[int, _count(1, 366)] = 90

    number_account: NumberAccount = ""
    caller_trust: CallerTrust = "number"
    limit_concurrent_calls: LimitCount = 500
    limit_calls_per_caller_per_hour: LimitCount = 120
    limit_withheld_calls_per_hour: LimitCount = 300
    limit_minutes_per_day: LimitCount = 10_000
    limit_cost_per_day: LimitCost = 500.0
    limit_open_bookings_per_caller: Annotated[int, _count(1, 100)] = 5
    limit_open_bookings_unverified: Annotated[int, _count(1, 100)] = 2
    limit_open_bookings_withheld: Annotated[int, _count(1, 10_000)] = 30

    def contradictions(self) -> Iterator[str]:
        """Yield an error for each contradictory pair: a gate that closes above its
        opening level, a ring too short for the audio of a confirmed interruption."""
        for kind in ("normal", "music"):
            start = getattr(self, f"snr_start_{kind}")
            stop = getattr(self, f"snr_stop_{kind}")
            if stop > start:
                yield (
                    f"SNR_STOP_{kind.upper()}={stop:g}: expected at most "
                    f"SNR_START_{kind.upper()} ({start:g})"
                )
        needed_ms = (
            self.barge_in_grace_ms
            + self.audio_preroll_ms
            + self.min_consecutive_voice_frames * FRAME_MS
        )
        if self.barge_in_ring_ms <= needed_ms:
            yield (
                f"BARGE_IN_RING_MS={self.barge_in_ring_ms}: expected more than grace + "
                f"preroll + confirmation ({needed_ms})"
            )


def merge(options: SomeOptions, overrides: Mapping[str, object]) -> SomeOptions:
    """Return `options` with `overrides` applied.

    Keys are names of fields or of variables. Values are typed, or text as in the
    environment. Raises OptionError, which names each wrong variable, its value and what
    is allowed.
    """
    hints = hints_of(type(options))
    changes: dict[str, Any] = {}
    wrong: list[str] = []
    for name, value in overrides.items():
        field = name.lower()
        try:
            if field not in hints:
                meant = nearest(name.upper(), map(str.upper, hints))
                raise OptionError(f"{name}={value!r}: there is no such setting{meant}")
            changes[field] = read_value(field, hints[field], value)
        except OptionError as error:
            wrong += error.lines
    merged = msgspec.structs.replace(options, **changes)
    wrong += merged.contradictions()
    if wrong:
        raise OptionError(*wrong)
    return merged


def from_variables(options: SomeOptions, given: Mapping[str, str]) -> SomeOptions:
    """Return `options` with those that are set among all variables.

    Raises OptionError.
    """
    fields = options.__struct_fields__
    return merge(
        options,
        {name: given[name.upper()] for name in fields if name.upper() in given},
    )


def merge_valid(
    options: SomeOptions, overrides: Mapping[str, object]
) -> tuple[SomeOptions, tuple[str, ...]]:
    """Apply the valid ones of `overrides` to `options`; return a line for each fault.

    A wrong override does not discard the others, because some of them protect somebody.
    With a wrong CALLER_TRUST no caller is trusted by the number alone.
    """
    try:
        return merge(options, overrides), ()
    except OptionError as error:
        wrong = tuple(error.lines)
    for name, value in overrides.items():
        try:
            options = merge(options, {name: value})
        except OptionError:
            is_trust = name.lower() == "caller_trust"
            if is_trust and isinstance(options, CallOptions):
                options = msgspec.structs.replace(options, caller_trust="attested")
    return options, wrong


@cache
def hints_of(kind: type[Options]) -> dict[str, Any]:
    """Return the type of each field, with its range."""
    return get_type_hints(kind, include_extras=True)


def nearest(name: str, known: Iterable[str]) -> str:
    """Ask for the name that may have been meant; return "" if none is similar."""
    near = get_close_matches(name, list(known), 1, NEAR_RATIO)
    return f": is {near[0]} meant?" if near else ""


def read_value(field: str, hint: Any, value: object) -> Any:
    """Read one value, typed or text, as `hint` says; the error uses its description."""
    plain: object = value
    if isinstance(value, str):
        plain = value.strip()
        if _base(hint) is bool:
            plain = _SWITCH.get(value.strip().lower(), plain)
        elif _base(hint) is Literal[20]:
            plain = int(value) if value.strip().isdecimal() else value
    try:
        return msgspec.convert(plain, hint, strict=False)
    except msgspec.ValidationError:
        raise OptionError(
            f"{field.upper()}={value!r}: expected {describe(hint)}"
        ) from None


def describe(hint: Any) -> str:
    """Return the description of a field's allowed values."""
    for part in get_args(hint)[1:]:
        if isinstance(part, Meta) and part.description:
            return part.description
    return str(getattr(hint, "__name__", hint))


def _base(hint: Any) -> Any:
    args = get_args(hint)
    return args[0] if args else hint
