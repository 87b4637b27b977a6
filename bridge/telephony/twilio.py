"""Twilio Media Streams messages, in and out, and the only JSON of that leg.

Names and shapes are those of https://www.twilio.com/docs/voice/media-streams/
websocket-messages. Only fields that are read are declared; a field that a call can do
without has a default (`bridge.wire.lenient`). `decode` returns a message, returns None
for an unknown event (vendors add events), or raises ProtocolError, and nothing else.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from bridge.wire import lenient
from dsp.g711 import FRAME_BYTES

# The largest message accepted. Twilio sends about 330 bytes for 20 ms; a second of
# audio in one message is 10.7 KB in base64.
MESSAGE_BYTES_MAX = 16_384

# Ms from the stream's start. A Twilio call lasts at most a day, which is 9e7 ms.
TIMESTAMP_DIGITS_MAX = 10

# RecursionError: JSON nested thousands deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class ProtocolError(ValueError):
    """A message that does not have the shape its event promises."""


class MediaFormat(msgspec.Struct, frozen=True, rename="camel"):
    """`start.mediaFormat`; always mu-law, 8000 Hz, one channel."""

    encoding: str
    sample_rate: int
    channels: int


class StartBody(msgspec.Struct, frozen=True, rename="camel"):
    """The body of `start`."""

    stream_sid: str
    account_sid: str
    call_sid: str
    media_format: MediaFormat
    custom_parameters: dict[str, str] = {}


class MediaBody(msgspec.Struct, frozen=True, gc=False):
    """The body of `media`: `timestamp` in ms from the stream's start, as text."""

    payload: bytes
    timestamp: str = ""
    track: str = "inbound"

    def at_ms(self) -> int:
        """Return the timestamp as a number; raises ProtocolError if it is not one."""
        text = self.timestamp
        if len(text) > TIMESTAMP_DIGITS_MAX or not (text.isascii() and text.isdigit()):
            raise ProtocolError(
                f"expected a timestamp of at most {TIMESTAMP_DIGITS_MAX} digits, "
                f"got {text[:16]!r}"
            )
        return int(text)


class DtmfBody(msgspec.Struct, frozen=True, gc=False):
    """The body of `dtmf`."""

    digit: Literal[
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "#", "A", "B", "C", "D"
    ]


class MarkBody(msgspec.Struct, frozen=True, gc=False):
    """The body of `mark`, both ways."""

    name: str


class Message(msgspec.Struct, frozen=True, tag_field="event", rename="camel"):
    """Anything Twilio sends."""


class Connected(Message, frozen=True, tag="connected"):
    """The socket is open; `start` follows."""


class Start(Message, frozen=True, tag="start"):
    """The stream begins; everything sent back needs its `stream_sid`."""

    stream_sid: str
    start: StartBody


class Media(Message, frozen=True, tag="media", gc=False):
    """A piece of the caller's audio, mu-law; 20 ms in practice, but not guaranteed."""

    media: MediaBody


class Dtmf(Message, frozen=True, tag="dtmf", gc=False):
    """One key of the caller's keypad."""

    dtmf: DtmfBody


class Mark(Message, frozen=True, tag="mark", gc=False):
    """Everything queued before this mark has been played, or was cleared."""

    mark: MarkBody


class Stop(Message, frozen=True, tag="stop"):
    """The call has ended; the socket closes next."""


class _Event(msgspec.Struct):
    event: str


class OutboundBody(msgspec.Struct, frozen=True, gc=False):
    """The body of outbound media: mu-law, 8 kHz, no header."""

    payload: bytes


class OutboundMedia(
    msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="media"
):
    """Audio for the caller; the fields are event, streamSid, media, in this order."""

    stream_sid: str = msgspec.field(name="streamSid")
    media: OutboundBody


class OutboundAudio(msgspec.Struct, frozen=True, gc=False):
    """Whole frames for the caller, 20 ms each: one `OutboundMedia` per frame."""

    stream_sid: str
    frames: bytes

    def messages(self) -> Iterator[OutboundMedia]:
        """Return the messages, in order."""
        for at in range(0, len(self.frames), FRAME_BYTES):
            body = OutboundBody(self.frames[at : at + FRAME_BYTES])
            yield OutboundMedia(self.stream_sid, body)


class OutboundMark(
    msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="mark"
):
    """Asks Twilio to echo the name when all audio before it has played."""

    stream_sid: str = msgspec.field(name="streamSid")
    mark: MarkBody


class Clear(msgspec.Struct, frozen=True, gc=False, tag_field="event", tag="clear"):
    """Orders Twilio to forget the audio it has not played."""

    stream_sid: str = msgspec.field(name="streamSid")


Inbound = Connected | Start | Media | Dtmf | Mark | Stop
Outbound = OutboundAudio | OutboundMark | Clear

_decoder = msgspec.json.Decoder(Inbound)
_lenient = lenient.Reader(Inbound, "event")
_event_decoder = msgspec.json.Decoder(_Event)
_encoder = msgspec.json.Encoder()
_KNOWN = frozenset(("connected", "start", "media", "dtmf", "mark", "stop"))


def decode(data: bytes | memoryview) -> Inbound | None:
    """Read one text message; None when its event is unknown."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise ProtocolError(
            f"expected a message of at most {MESSAGE_BYTES_MAX} bytes, got {len(data)}"
        )
    try:
        message: Inbound = _decoder.decode(data)
    except _UNREADABLE:
        return _decode_leniently(data)
    return message


def _decode_leniently(data: bytes | memoryview) -> Inbound | None:
    if _is_unknown(data):
        return None
    try:
        message: Inbound = _lenient.read(data)
    except _UNREADABLE as error:
        raise ProtocolError(f"malformed message from Twilio: {error}") from None
    return message


def _is_unknown(data: bytes | memoryview) -> bool:
    try:
        return _event_decoder.decode(data).event not in _KNOWN
    except _UNREADABLE:
        return False


def encode_into(message: Any, buffer: bytearray) -> None:
    """Write `message` as JSON over `buffer`, which ends where the message ends."""
    _encoder.encode_into(message, buffer)


def media_begins(stream_sid: str) -> bytes:
    """Return the stream's media message up to its audio; `"}}` ends the message."""
    empty = _encoder.encode(OutboundMedia(stream_sid, OutboundBody(b"")))
    return empty.removesuffix(b'"}}')


def messages_of(actions: Iterable[Any]) -> Iterator[Any]:
    """Yield the actions, with audio replaced by the messages that carry it."""
    for action in actions:
        if type(action) is OutboundAudio:
            yield from action.messages()
        else:
            yield action
