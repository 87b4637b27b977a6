"""The events that an OpenAI Realtime (GA) session sends, with the fields that are read.

Names are the vendor's in CamelCase; each type's page is
https://developers.openai.com/api/reference/realtime. `bridge.realtime.openai` decodes
them. A field that a call can do without has a default, which applies where the field is
missing, null or of another type (`bridge.wire.lenient`).
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

# The API's own ids and names have at most 64 characters. The bridge keeps these and
# sends them back.
ID_CHARS_MAX = 256
Id = Annotated[str, Meta(max_length=ID_CHARS_MAX)]
# A session ends after an hour, and its audio is counted in ms; an item has few parts.
# A number over these limits is not one of the protocol, and may exceed a machine word.
OFFSET_MS_MAX = 10**9
INDEX_MAX = 65_535
OffsetMs = Annotated[int, Meta(ge=0, le=OFFSET_MS_MAX)]
Index = Annotated[int, Meta(ge=0, le=INDEX_MAX)]


class ServerEvent(msgspec.Struct, frozen=True, tag_field="type"):
    """Any event that the server sends."""


class Format(msgspec.Struct, frozen=True, omit_defaults=True):
    """An audio format; only `audio/pcm` has a rate, and only 24000."""

    type: Id
    rate: int | UnsetType = UNSET


class _EchoedSide(msgspec.Struct, frozen=True):
    format: Format | None = None
    voice: Any = None


class _EchoedAudio(msgspec.Struct, frozen=True):
    input: _EchoedSide = _EchoedSide()
    output: _EchoedSide = _EchoedSide()


class Session(msgspec.Struct, frozen=True):
    """The session as the server echoes it."""

    id: Id = ""
    audio: _EchoedAudio = _EchoedAudio()


class SessionCreated(ServerEvent, frozen=True, tag="session.created"):
    """The socket is a session, with the server's defaults."""

    session: Session = Session()


class SessionUpdated(ServerEvent, frozen=True, tag="session.updated"):
    """The bridge's configuration is in force; audio may be sent from here on."""

    session: Session = Session()


class SpeechStarted(
    ServerEvent, frozen=True, tag="input_audio_buffer.speech_started", gc=False
):
    """The server heard speech begin; offsets are in ms of all audio appended."""

    item_id: Id
    audio_start_ms: OffsetMs


class SpeechStopped(
    ServerEvent, frozen=True, tag="input_audio_buffer.speech_stopped", gc=False
):
    """The server heard the turn end."""

    item_id: Id
    audio_end_ms: OffsetMs


class Committed(ServerEvent, frozen=True, tag="input_audio_buffer.committed", gc=False):
    """The caller's turn is an item of the conversation now."""

    item_id: Id
    previous_item_id: Id | None = None


class TranscriptionCompleted(
    ServerEvent,
    frozen=True,
    tag="conversation.item.input_audio_transcription.completed",
):
    """The caller's words; the event comes any time after the commit."""

    item_id: Id
    transcript: str = ""
    usage: dict[str, Any] | None = None


class TranscriptionFailed(
    ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.failed"
):
    """The caller's words could not be transcribed; the model heard the audio."""

    item_id: Id


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """An item of the conversation; its `id` may be missing."""

    id: Id = ""
    type: Id
    status: Id | None = None
    role: Id | None = None
    name: Id | None = None
    call_id: Id | None = None
    arguments: str | None = None


class ItemAdded(ServerEvent, frozen=True, tag="conversation.item.added"):
    """The conversation has a new item, made by the bridge or by the server."""


class OutputItemAdded(ServerEvent, frozen=True, tag="response.output_item.added"):
    """A response has begun an item."""

    response_id: Id
    item: Item


class OutputItemDone(ServerEvent, frozen=True, tag="response.output_item.done"):
    """An item of a response is complete; a function call has its arguments here."""

    response_id: Id
    item: Item


class AudioDelta(ServerEvent, frozen=True, tag="response.output_audio.delta", gc=False):
    """A piece of the model's speech.

    The speech arrives faster than real time: received does not mean heard.
    """

    response_id: Id
    item_id: Id
    content_index: Index
    delta: bytes


class AudioDone(ServerEvent, frozen=True, tag="response.output_audio.done", gc=False):
    """This part of the item gets no more audio."""

    response_id: Id
    item_id: Id
    content_index: Index = 0


class TranscriptDelta(
    ServerEvent, frozen=True, tag="response.output_audio_transcript.delta", gc=False
):
    """A piece of the text of the model's speech."""

    response_id: Id
    item_id: Id
    delta: str
    content_index: Index = 0


class TranscriptDone(
    ServerEvent, frozen=True, tag="response.output_audio_transcript.done"
):
    """The whole text of the model's speech in this part of the item."""

    response_id: Id
    item_id: Id
    transcript: str
    content_index: Index = 0


class ErrorBody(msgspec.Struct, frozen=True):
    """An error; `code` may be any text, `event_id` names the client event at fault."""

    message: str = ""
    type: Id | None = None
    code: Id | None = None
    param: Id | None = None
    event_id: Id | None = None


class StatusDetails(msgspec.Struct, frozen=True):
    """Why a response ended."""

    reason: Id | None = None
    error: ErrorBody | None = None


class OutputPart(msgspec.Struct, frozen=True):
    """A part of a response's output, as far as it tells audio from text."""

    type: Id = ""


class OutputItem(msgspec.Struct, frozen=True):
    """An item of a response's output."""

    type: Id = ""
    content: tuple[OutputPart, ...] | None = None


class Response(msgspec.Struct, frozen=True):
    """A response; `conversation_id` is null when it is out of band.

    All fields may be missing, the id too: then the event is about the running response.
    """

    id: Id = ""
    status: Id = "in_progress"
    status_details: StatusDetails | None = None
    conversation_id: Id | None = None
    output: tuple[OutputItem, ...] | None = None
    usage: dict[str, Any] | None = None

    @property
    def has_text(self) -> bool:
        """Whether a part of the output is text, which no caller hears."""
        parts = (part for item in self.output or () for part in item.content or ())
        return any(part.type in ("output_text", "text") for part in parts)


class ResponseCreated(ServerEvent, frozen=True, tag="response.created"):
    """The model has begun to answer."""

    response: Response = Response()


class ResponseDone(ServerEvent, frozen=True, tag="response.done"):
    """The model's answer has ended, for whatever reason."""

    response: Response = Response()


class Error(ServerEvent, frozen=True, tag="error"):
    """The server refused something; most errors leave the session usable."""

    error: ErrorBody = ErrorBody()


Inbound = (
    SessionCreated
    | SessionUpdated
    | SpeechStarted
    | SpeechStopped
    | Committed
    | TranscriptionCompleted
    | TranscriptionFailed
    | ItemAdded
    | OutputItemAdded
    | OutputItemDone
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | TranscriptDone
    | ResponseCreated
    | ResponseDone
    | Error
)
READ = frozenset(
    kind.__struct_config__.tag
    for kind in Inbound.__args__
    if kind.__struct_config__.tag
)
# Event types of the protocol that nothing here reads: they do not count as unknown.
IGNORED = frozenset(
    (
        "conversation.created",
        "conversation.item.created",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.retrieved",
        "conversation.item.deleted",
        "conversation.item.truncated",
        "conversation.item.input_audio_transcription.segment",
        "input_audio_buffer.cleared",
        "input_audio_buffer.timeout_triggered",
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_text.delta",
        "response.output_text.done",
        "rate_limits.updated",
    )
)
