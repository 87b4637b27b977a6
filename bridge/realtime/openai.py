"""The OpenAI Realtime GA protocol: the client events, and the only JSON of that leg.

Names are the vendor's in CamelCase; each type's page is
https://developers.openai.com/api/reference/realtime. `decode` returns an event, returns
None for an event that nothing here reads, or raises ProtocolError. Another vendor's
protocol becomes a sibling of this module.
"""

import re
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from bridge.realtime.openai_events import (
    IGNORED as IGNORED,
    READ as READ,
    AudioDelta as AudioDelta,
    AudioDone as AudioDone,
    Committed as Committed,
    Error as Error,
    ErrorBody as ErrorBody,
    Format as Format,
    Inbound as Inbound,
    Item as Item,
    ItemAdded as ItemAdded,
    OutputItemAdded as OutputItemAdded,
    OutputItemDone as OutputItemDone,
    Response as Response,
    ResponseCreated as ResponseCreated,
    ResponseDone as ResponseDone,
    Session as Session,
    SessionCreated as SessionCreated,
    SessionUpdated as SessionUpdated,
    SpeechStarted as SpeechStarted,
    SpeechStopped as SpeechStopped,
    TranscriptDelta as TranscriptDelta,
    TranscriptDone as TranscriptDone,
    TranscriptionCompleted as TranscriptionCompleted,
    TranscriptionFailed as TranscriptionFailed,
)
from bridge.wire import lenient

# The largest event accepted. Deltas are a few KB; no event that the bridge causes comes
# near this limit.
EVENT_BYTES_MAX = 4 * 1024 * 1024

# An event larger than this is not repaired: each escape in it costs 0.2 us.
MENDED_BYTES_MAX = 64 * 1024
# A JSON escape: a surrogate pair, an unpaired surrogate (RFC 8259, section 8.2), or any
# other escape. Other escapes are matched so that an escaped backslash begins no escape.
_ESCAPE = re.compile(
    rb"\\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}"
    rb"|(\\u[Dd][89A-Fa-f][0-9A-Fa-f]{2})|\\.",
    re.DOTALL,
)

# RecursionError: JSON nested thousands deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ProtocolError(ValueError):
    """An event that does not have the shape its type promises."""


class ClientEvent(
    msgspec.Struct, frozen=True, tag_field="type", kw_only=True, omit_defaults=True
):
    """Any event that the bridge sends; an error about the event names `event_id`."""

    event_id: str | UnsetType = UNSET


class AppendAudio(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag_field="type",
    tag="input_audio_buffer.append",
):
    """A piece of the caller's audio."""

    audio: bytes


class CommitAudio(ClientEvent, frozen=True, tag="input_audio_buffer.commit"):
    """Ends the caller's turn; the server refuses it for less than 100 ms of audio."""


class ClearAudio(ClientEvent, frozen=True, tag="input_audio_buffer.clear"):
    """Forgets the audio that was not committed."""


class ServerVad(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="server_vad"
):
    """Turn detection by loudness, in ms of appended audio."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int
    create_response: bool = True
    interrupt_response: bool = False


class SemanticVad(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"
):
    """Turn detection by what was said."""

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = False


class Transcription(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the caller's speech is transcribed."""

    model: str
    language: str | UnsetType = UNSET


class AudioInput(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's side of the session."""

    format: Format
    transcription: Transcription
    turn_detection: ServerVad | SemanticVad | None


class AudioOutput(msgspec.Struct, frozen=True, kw_only=True):
    """The model's side of the session."""

    format: Format
    voice: str | dict[str, str]


class SessionAudio(msgspec.Struct, frozen=True, kw_only=True):
    """The audio of both sides."""

    input: AudioInput
    output: AudioOutput


class FunctionTool(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function"
):
    """A tool the model may call; the object is flat, `parameters` a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class SessionConfig(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="realtime"
):
    """The whole configuration of the session."""

    output_modalities: tuple[str, ...] = ("audio",)
    instructions: str
    tools: tuple[FunctionTool, ...]
    tool_choice: str = "auto"
    audio: SessionAudio


class TurnDetectionChange(msgspec.Struct, frozen=True):
    """The caller's side of a session, of which only the turn detection changes."""

    turn_detection: ServerVad | SemanticVad


class InputChange(msgspec.Struct, frozen=True, kw_only=True):
    """The audio of a session, of which only the caller's side changes."""

    input: TurnDetectionChange


class SessionChange(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="realtime"
):
    """A change of a configured session; what is not named stays as it is."""

    audio: InputChange


class SessionUpdate(ClientEvent, frozen=True, tag="session.update"):
    """Configures the session; the server refuses it whole when one field is wrong."""

    session: SessionConfig | SessionChange


class InputText(msgspec.Struct, frozen=True, tag_field="type", tag="input_text"):
    """Text of a user or system item."""

    text: str


class InputAudio(msgspec.Struct, frozen=True, tag_field="type", tag="input_audio"):
    """Audio of a user item, in the session's input format."""

    audio: bytes


class OutputText(msgspec.Struct, frozen=True, tag_field="type", tag="output_text"):
    """Text of an assistant item."""

    text: str


class MessageItem(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="message"
):
    """A message that the bridge writes into the conversation."""

    role: Literal["user", "system", "assistant"]
    content: tuple[InputText | InputAudio | OutputText, ...]


class FunctionCallOutput(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    tag="function_call_output",
):
    """A tool's answer; `output` is text, by the bridge's convention JSON."""

    call_id: str
    output: str


class FunctionCall(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"
):
    """A tool call of an earlier session, written into a new one."""

    call_id: str
    name: str
    arguments: str


class CreateItem(ClientEvent, frozen=True, tag="conversation.item.create"):
    """Adds an item at the end of the conversation."""

    item: MessageItem | FunctionCall | FunctionCallOutput


class ConversationItemTruncate(
    ClientEvent, frozen=True, tag="conversation.item.truncate"
):
    """Tells the model how many ms of an item's audio were heard."""

    item_id: str
    content_index: int
    audio_end_ms: int


class ResponseParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The settings of one response; its instructions replace the session's."""

    instructions: str | UnsetType = UNSET
    input: tuple[()] | UnsetType = UNSET
    tool_choice: str | UnsetType = UNSET


class ResponseCreate(ClientEvent, frozen=True, tag="response.create"):
    """Asks the model to answer now."""

    response: ResponseParams | UnsetType = UNSET


class ResponseCancel(ClientEvent, frozen=True, tag="response.cancel"):
    """Stops the running response."""


class _Type(msgspec.Struct):
    type: str


_decoder = msgspec.json.Decoder(Inbound)
_lenient = lenient.Reader(Inbound, "type")
_type_decoder = msgspec.json.Decoder(_Type)
_encoder = msgspec.json.Encoder()


def decode(data: bytes | memoryview) -> Inbound | None:
    """Read one event; None when nothing here reads its type (see `is_known`)."""
    if len(data) > EVENT_BYTES_MAX:
        raise ProtocolError(
            f"expected an event of at most {EVENT_BYTES_MAX} bytes, got {len(data)}"
        )
    try:
        event: Inbound = _decoder.decode(data)
    except _UNREADABLE:
        mended = _mended(data)
        return _decode_leniently(data) if mended is None else decode(mended)
    return event


def _decode_leniently(data: bytes | memoryview) -> Inbound | None:
    kind = event_type(data)
    if kind is not None and kind not in READ:
        return None
    try:
        event: Inbound = _lenient.read(data)
    except _UNREADABLE as error:
        raise ProtocolError(f"malformed event from OpenAI: {error}") from None
    return event


def _mended(data: bytes | memoryview) -> bytes | None:
    """Return the event with U+FFFD for each half a character, or None without any.

    The model's text is cut into deltas at any place, even inside an emoji. An event
    with half an emoji may contain a tool call as well.
    """
    if len(data) > MENDED_BYTES_MAX:
        return None
    raw = bytes(data)
    text = raw.decode("utf-8", "replace").encode()
    mended = _ESCAPE.sub(lambda found: b"\\ufffd" if found[1] else found[0], text)
    return None if mended == raw else mended


def event_type(data: bytes | memoryview) -> str | None:
    """Return an event's type, or None when the type cannot be read."""
    try:
        return _type_decoder.decode(data).type
    except _UNREADABLE:
        return None


def is_known(kind: str | None) -> bool:
    """Tell whether a type is of the protocol, and not one that was added since."""
    return kind in READ or kind in IGNORED


def encode_into(event: Any, buffer: bytearray) -> None:
    """Write `event` as JSON over `buffer`, which ends where the event ends."""
    _encoder.encode_into(event, buffer)
