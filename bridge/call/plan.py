"""What a call is made from and what it leaves behind: plain data, no behaviour.

`CallPlan` comes from the database and the settings. The metrics read `Counters`.
`CallRecord` is written when the call has ended.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from bridge.call.transcript import KeptTurn
from bridge.realtime import openai
from bridge.settings.options import CallOptions
from bridge.telephony import twilio

# How many characters of a text from the server are logged.
ERROR_CHARS_MAX = 500


class Leg(Enum):
    """The two WebSockets of a call, and that of the standby session."""

    TWILIO = "twilio"
    OPENAI = "openai"
    STANDBY = "standby"


class Phase(Enum):
    """Where a call stands."""

    WAITING = "waiting"
    TALKING = "talking"
    ENDING = "ending"
    ENDED = "ended"


class ToolRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call, with its arguments and its result."""

    tool_call_id: str
    name: str
    arguments: str
    result: str
    ok: bool
    duration_ms: float
    at_s: float


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What another process needs to go on with a call, as of one moment.

    Times are in s since the call was opened. `tools` has a result for every tool that
    was called, also where the result is not known. `is_answer_due`: the caller, or a
    tool, has yet to be answered.
    """

    at_s: float
    answered_at_s: float | None
    stream_sid: str
    is_greeted: bool
    is_answer_due: bool
    turns: tuple[KeptTurn, ...]
    tools: tuple[ToolRecord, ...]
    digits: str
    keypad_rows: int
    missing_fields: tuple[str, ...]
    has_warned: bool
    limits_told: tuple[str, ...]
    usage: dict[str, float]
    counters: dict[str, int]
    # Frames received, sent, forwarded, dropped, and sent as silence.
    frames: tuple[int, int, int, int, int]
    greeting_ms: float | None
    answer_ms: tuple[float, ...]
    barge_in_ms: tuple[float, ...]
    # Why the call was ending: its last words were not heard to their end.
    end_reason: str = ""
    # An operator was speaking in the place of the AI, and is gone with the process.
    is_taken_over: bool = False
    # What that operator noted, and how long they spoke, if they had handed it back.
    operator_note: str | None = None
    operator_s: float = 0.0
    operator_turns: int = 0


class CallPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one call needs to know before it begins.

    `resumed` is where another process has left the call; `generation` is that of its
    owner, 1 for the first.
    """

    call_sid: str
    business_id: str
    business_name: str
    # In E.164 if it is a number, else as the network sent it.
    from_number: str
    to_number: str
    language: str
    instructions: str
    greeting: str
    # The instructions as stored: the part all calls share, and the part of this call.
    prompt: str = ""
    prompt_facts: str = ""
    tools: tuple[openai.FunctionTool, ...] = ()
    missing_fields: tuple[str, ...] = ()
    # How far the caller's number was trusted at the beginning: identity.Worth.
    caller_worth: str = "verified"
    # The number of a lead whose record lacks this call: the database was unreachable.
    lead_due: str = ""
    # Placed from the console, not by a caller.
    is_test: bool = False
    options: CallOptions = CallOptions()
    resumed: Checkpoint | None = None
    generation: int = 1


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a socket to the model could not be opened.

    `status` is that of the HTTP response, 0 if there was none; `names` holds the error
    codes that the server gave.
    """

    reason: str
    status: int = 0
    retry_after_s: float = 0.0
    names: tuple[str, ...] = ()


class Log(NamedTuple):
    """A line for the log; a `speech` line holds what was said and may be left out."""

    level: str
    text: str
    speech: bool = False


class RunTool(NamedTuple):
    """A tool the model asked for; the result comes back as `receive_tool_result`."""

    tool_call_id: str
    name: str
    arguments: str


class Transcribe(NamedTuple):
    """A portion of an operator's voice; its words come as `receive_operator_words`."""

    item_id: str
    audio: bytes


class OpenModel(NamedTuple):
    """A new session is needed: close the model's leg silently, and open another.

    `receive_openai` then begins again with `SessionCreated`.
    """

    reason: str


class OpenStandby(NamedTuple):
    """Open a standby session beside the one that serves.

    Its events come back as `receive_standby`, its loss as that of `Leg.STANDBY`.
    """

    reason: str


class ToStandby(NamedTuple):
    """An event for the standby session."""

    event: openai.ClientEvent


class UseStandby(NamedTuple):
    """The standby session serves from here on: close the first one silently.

    All further events go to it, and its events come back as `receive_openai`.
    """

    reason: str


class CloseStandby(NamedTuple):
    """Close the standby session silently; the session that serves goes on."""

    reason: str


class End(NamedTuple):
    """An owner's decision: the call is over."""

    reason: str


class Fail(NamedTuple):
    """An owner's decision: the call is over, and the caller hears the fallback."""

    reason: str
    text: str


class HangUp(NamedTuple):
    """The call has ended: close both legs. `failed`: the caller hears the fallback."""

    reason: str
    failed: bool


Action = (
    twilio.Outbound
    | openai.ClientEvent
    | openai.AppendAudio
    | Log
    | RunTool
    | Transcribe
    | OpenModel
    | OpenStandby
    | ToStandby
    | UseStandby
    | CloseStandby
    | HangUp
)


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """A tool's answer. `missing_fields` is what the business still has to learn about
    the caller, None if the tool does not say."""

    tool_call_id: str
    name: str
    arguments: str
    output: str
    ok: bool
    duration_ms: float
    missing_fields: tuple[str, ...] | None = None


class OperatorWords(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator said in one portion, as it was transcribed, and what that used.

    `failed`: it could not be transcribed.
    """

    item_id: str
    text: str = ""
    usage: dict[str, Any] = {}
    failed: bool = False


class Whisper(msgspec.Struct, frozen=True, kw_only=True, tag="whisper"):
    """A hint for the model alone. `speaks`: the model speaks in the next pause."""

    text: str
    speaks: bool = False


class TakeOver(msgspec.Struct, frozen=True, kw_only=True, tag="take_over"):
    """The operator speaks with the caller from here on; the AI is silent."""


class HandBack(msgspec.Struct, frozen=True, kw_only=True, tag="hand_back"):
    """The AI speaks with the caller again; `note` is what the operator tells it."""

    note: str = ""


class SayGoodbye(msgspec.Struct, frozen=True, kw_only=True, tag="say_goodbye"):
    """The AI says goodbye, and the call ends; `Call.receive_hangup` takes it."""


OperatorOrder = Whisper | TakeOver | HandBack
LineOrder = OperatorOrder | SayGoodbye


class Counters:
    """The counts of one call; every limit that refuses something has its own."""

    __slots__ = (
        "after_end",
        "barge_ins",
        "barge_ins_false",
        "changed_sessions",
        "digits",
        "failed_answers",
        "failed_standbys",
        "gap_frames",
        "late_deltas",
        "lost_streams",
        "malformed_openai",
        "malformed_twilio",
        "mute_cancelled",
        "mute_empty",
        "mute_filtered",
        "mute_nameless",
        "mute_silent",
        "mute_text",
        "mute_tokens",
        "openai_errors",
        "operator_dropped_frames",
        "operator_hints",
        "operator_untranscribed",
        "refused_tools",
        "reopened_sessions",
        "resumed_streams",
        "retried_handshakes",
        "takeovers",
        "tool_calls",
        "unknown_openai",
        "unknown_twilio",
        "untranscribed_turns",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    gap_frames: int
    barge_ins: int
    barge_ins_false: int
    digits: int
    late_deltas: int
    tool_calls: int
    refused_tools: int
    openai_errors: int
    reopened_sessions: int
    retried_handshakes: int
    changed_sessions: int
    lost_streams: int
    resumed_streams: int
    failed_standbys: int
    failed_answers: int
    mute_cancelled: int
    mute_empty: int
    mute_filtered: int
    mute_nameless: int
    mute_silent: int
    mute_text: int
    mute_tokens: int
    after_end: int
    malformed_twilio: int
    malformed_openai: int
    unknown_twilio: int
    unknown_openai: int
    untranscribed_turns: int
    operator_dropped_frames: int
    operator_hints: int
    operator_untranscribed: int
    takeovers: int


class TurnRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of the transcript; `at_s` from the start of the call."""

    role: str
    item_id: str
    text: str
    interrupted: bool
    heard_ms: int | None
    at_s: float


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a call that has ended; times in s on the call's own clock."""

    plan: CallPlan
    stream_sid: str
    opened_at_s: float
    answered_at_s: float | None
    ended_at_s: float
    end_reason: str
    # Why the last words were said; "" if the call ended without any.
    goodbye_reason: str = ""
    failed: bool
    rx_frames: int
    tx_frames: int
    forwarded_frames: int
    dropped_frames: int
    silence_frames: int
    barge_ins: int
    greeting_ms: float | None
    answer_ms: Sequence[float]
    barge_in_ms: Sequence[float]
    missing_fields: Sequence[str]
    usage: dict[str, float]
    turns: Sequence[TurnRecord]
    tools: Sequence[ToolRecord]
