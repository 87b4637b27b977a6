"""Both ends of a call under load: the caller's stream and the model's session.

They follow the rules of the sandbox's caller and model as far as a load needs, at a
small part of their cost: a call under load costs the sandbox more than the service. A
caller speaks for TURN_FRAMES, hears the reply to its end, and speaks again. The model
ends a turn after a silence of TURN_SILENCE_FRAMES, as `server_vad` does, and replies.
Every NAME_EVERY-th frame of speech and each delta of a reply is named and timed.
"""

import asyncio
import random
from binascii import b2a_base64
from collections.abc import Sequence
from functools import cache
from time import monotonic
from typing import Any

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from bridge.cli.capacity import named_frames
from bridge.cli.capacity.named_frames import DOWNLINK, FIRST_CHAR, NAME_CHARS, UPLINK
from bridge.sandbox.clips import clip
from bridge.sandbox.mulaw import FRAME_BYTES, SILENCE
from bridge.sandbox.timeline import FRAME_MS

FRAME_S = FRAME_MS / 1000
TURN_FRAMES = 200
# Before this the noise gate may not have opened.
FIRST_NAMED_FRAME = 25
NAME_EVERY = 5
# Longer than any pause in the speech: the caller and the reply never overlap.
TURN_SILENCE_FRAMES = 50
# The pauses of callers and model before they speak.
BREATH_S = 0.3
THINKING_FRAMES = 15
# A longer pause of the audio is between two replies.
GAP_S_MAX = 1.0
# A caller who hears no reply for so long speaks again.
PATIENCE_S = 5.0
DELTA_FRAMES = 10
REPLY_DELTAS = 25
_SPEECH = "human-en-reader-1"
# Callers begin at different words.
_SPREAD = 137
_SYLLABLES = ("ba", "de", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "ze")
_QUIET = b2a_base64(SILENCE * FRAME_BYTES, newline=False)
_SILENT = _QUIET[:NAME_CHARS]
_SOUND = b2a_base64(b"\x60" * (FRAME_BYTES * DELTA_FRAMES), newline=False)
_WORDS = [first + last for first in _SYLLABLES for last in _SYLLABLES]
_SENTENCE_WORDS = 12
_MEDIA, _PAYLOAD = b'{"event":"media"', b'"payload":"'
_APPEND, _AUDIO = b'{"type":"input_audio_buffer.append"', b'"audio":"'
_FORMAT = {"format": {"type": "audio/pcmu"}}
_SESSION = {"id": "s", "audio": {"input": _FORMAT, "output": _FORMAT}}


class Tally:
    """What the ends of one process have sent and received.

    Latencies and gaps are those since `forget`; the other counts are of all time.
    """

    def __init__(self) -> None:
        self.uplink_ms: list[float] = []
        self.downlink_ms: list[float] = []
        self.sent_frames = 0
        self.said_frames = 0
        self.heard_frames = 0
        self.gaps = 0
        self.lost_calls = 0

    def forget(self) -> None:
        """Begin to measure anew."""
        self.uplink_ms, self.downlink_ms = [], []
        self.gaps = 0


@cache
def speech() -> Sequence[bytes]:
    """Return the frames of a caller's speech in base64."""
    audio = clip(_SPEECH).audio
    frames = (
        audio[at : at + FRAME_BYTES]
        for at in range(0, len(audio) - FRAME_BYTES, FRAME_BYTES)
    )
    return [
        b2a_base64(named_frames.without_name(frame), newline=False) for frame in frames
    ]


class CallerEnd(WSListener):
    """The caller's end of one call, who begins to speak after `quiet_s`."""

    def __init__(self, tally: Tally, number: int, quiet_s: float) -> None:
        self._tally = tally
        self._sid = f"MZ{number:032}".encode()
        self._speech = speech()
        self._at = number * _SPREAD % len(self._speech)
        self._transport: WSTransport | None = None
        self._frames = 0
        self._said = TURN_FRAMES
        self._speaks_at = monotonic() + quiet_s
        self._plays_until = 0.0
        self.is_leaving = False
        self.is_lost = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the socket."""
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Count a call that the caller has not ended."""
        if not self.is_leaving:
            self.is_lost = True
            self._tally.lost_calls += 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Play audio, and echo a mark when it has been reached."""
        if frame.msg_type is not WSMsgType.TEXT:
            return
        data = frame.get_payload_as_bytes()
        if data.startswith(_MEDIA):
            self._play(data)
            return
        message = msgspec.json.decode(data)
        if message["event"] == "mark":
            wait_s = max(0.0, self._plays_until - monotonic())
            asyncio.get_running_loop().call_later(wait_s, self._echo, message["mark"])

    def _play(self, data: bytes) -> None:
        tally = self._tally
        tally.heard_frames += 1
        at = data.find(_PAYLOAD) + len(_PAYLOAD)
        if data[at] == FIRST_CHAR:
            age_ms = named_frames.age_ms(data[at : at + NAME_CHARS], DOWNLINK)
            if age_ms is not None:
                tally.downlink_ms.append(age_ms)
        now = monotonic()
        tally.gaps += 0 < now - self._plays_until < GAP_S_MAX
        self._plays_until = max(self._plays_until, now) + FRAME_S
        if self._said == TURN_FRAMES:
            self._speaks_at = max(self._speaks_at, self._plays_until + BREATH_S)

    def _echo(self, mark: dict[str, Any]) -> None:
        self.send({"event": "mark", "mark": mark})

    def tick(self) -> None:
        """Send the next 20 ms."""
        if self._transport is None or self.is_lost:
            return
        self._frames += 1
        self._tally.sent_frames += 1
        media = (
            b'{"event":"media","sequenceNumber":"%d","streamSid":"%b","media":{"track":'
            b'"inbound","chunk":"%d","timestamp":"%d","payload":"%b"}}'
        )
        count, timestamp_ms = self._frames, (self._frames - 1) * FRAME_MS
        self._transport.send(
            WSMsgType.TEXT,
            media % (count + 1, self._sid, count, timestamp_ms, self._next()),
        )

    def _next(self) -> bytes:
        """Return the audio of the next frame."""
        if self._said == TURN_FRAMES:
            if monotonic() < self._speaks_at:
                return _QUIET
            self._said = 0
        self._said += 1
        if self._said == TURN_FRAMES:
            self._speaks_at = monotonic() + PATIENCE_S
        self._at = (self._at + 1) % len(self._speech)
        audio = self._speech[self._at]
        if self._said < FIRST_NAMED_FRAME or self._said % NAME_EVERY:
            return audio
        return named_frames.name(UPLINK) + audio[NAME_CHARS:]

    def pause(self, seconds: float) -> None:
        """Shift what is due by a pause of the load, in which no audio is a gap."""
        self._speaks_at += seconds
        self._plays_until = 0.0

    @property
    def stream_sid(self) -> str:
        """The sid of the stream."""
        return self._sid.decode()

    def hang_up(self, stop: dict[str, str]) -> None:
        """Leave as a caller does: send `stop`, then close the socket."""
        self.is_leaving = True
        if self._transport is not None and not self.is_lost:
            self.send({"event": "stop", "sequenceNumber": "9", "stop": stop})
            self._transport.send_close()
            self._transport.disconnect()

    def send(self, message: dict[str, Any]) -> None:
        """Send one message as Twilio."""
        if self._transport is not None:
            whole = {"streamSid": self.stream_sid, **message}
            self._transport.send(WSMsgType.TEXT, msgspec.json.encode(whole))


class ModelEnd(WSListener):
    """The model's end of one call."""

    def __init__(self, tally: Tally, number: int) -> None:
        self._tally = tally
        self._number = number
        self._luck = random.Random(number)
        self._transport: WSTransport | None = None
        self._appended = 0
        self._silent = TURN_SILENCE_FRAMES
        self._turns = 0
        self._replies = 0
        self._begins_in = 0
        self._deltas_left = 0
        self._place = 0
        self._reply = ""
        self.is_closed = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Greet the client."""
        self._transport = transport
        self._send({"type": "session.created", "session": _SESSION})

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note that the call is over."""
        self.is_closed = True

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Hear audio, and answer what must be answered."""
        if frame.msg_type is not WSMsgType.TEXT:
            return
        data = frame.get_payload_as_bytes()
        if data.startswith(_APPEND):
            self._hear(data)
            return
        event = msgspec.json.decode(data)
        if event["type"] == "session.update":
            self._send({"type": "session.updated", "session": _SESSION})
        elif "instructions" in event.get("response", {}):
            self._begin(1)

    def _hear(self, data: bytes) -> None:
        self._appended += 1
        at = data.find(_AUDIO) + len(_AUDIO)
        head = data[at : at + NAME_CHARS]
        if head == _SILENT:
            self._silent += 1
            if self._silent == TURN_SILENCE_FRAMES:
                self._end_turn()
            return
        if self._silent >= TURN_SILENCE_FRAMES:
            self._turns += 1
            started_ms = FRAME_MS * (self._appended - 1)
            self._send_turn("speech_started", audio_start_ms=started_ms)
        self._silent = 0
        if head[0] == FIRST_CHAR:
            age_ms = named_frames.age_ms(head, UPLINK)
            if age_ms is not None:
                self._tally.uplink_ms.append(age_ms)

    def _end_turn(self) -> None:
        ended_ms = FRAME_MS * (self._appended - TURN_SILENCE_FRAMES)
        self._send_turn("speech_stopped", audio_end_ms=ended_ms)
        self._send_turn("committed")
        self._send(
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": f"turn-{self._turns}",
                "content_index": 0,
                "transcript": self._words(),
            }
        )
        if not self._deltas_left:
            self._begins_in = THINKING_FRAMES

    def tick(self) -> None:
        """Go on with the reply: it is half a delta to one and a half ahead."""
        if self._begins_in:
            self._begins_in -= 1
            if not self._begins_in:
                self._begin(REPLY_DELTAS)
        elif self._deltas_left:
            self._place += 1
            if self._place % DELTA_FRAMES == DELTA_FRAMES // 2:
                self._say()

    def _begin(self, deltas: int) -> None:
        """Begin a reply of so many deltas with the first of them."""
        self._replies += 1
        self._reply = f"{self._number}-{self._replies}"
        self._deltas_left, self._place = deltas, 0
        self._send({"type": "response.created", "response": {"id": f"r{self._reply}"}})
        self._say()

    def _say(self) -> None:
        if self._transport is None or self.is_closed:
            return
        self._deltas_left -= 1
        self._tally.said_frames += DELTA_FRAMES
        whole = (
            b'{"type":"response.output_audio.delta","response_id":"r%b","item_id":"i%b"'
            b',"content_index":0,"delta":"%b%b"}'
        )
        reply, audio = self._reply.encode(), _SOUND[NAME_CHARS:]
        delta = whole % (reply, reply, named_frames.name(DOWNLINK), audio)
        self._transport.send(WSMsgType.TEXT, delta)
        if not self._deltas_left:
            self._end_reply()

    def _end_reply(self) -> None:
        part = {
            "response_id": f"r{self._reply}",
            "item_id": f"i{self._reply}",
            "content_index": 0,
        }
        said = {"type": "response.output_audio_transcript.done", **part}
        self._send(said | {"transcript": self._words()})
        self._send({"type": "response.output_audio.done", **part})
        done = {"id": f"r{self._reply}", "status": "completed"}
        self._send({"type": "response.done", "response": done})

    def _words(self) -> str:
        """Return words of which no two sentences have many in common."""
        return " ".join(self._luck.choices(_WORDS, k=_SENTENCE_WORDS))

    def _send_turn(self, what: str, **fields: Any) -> None:
        item_id = f"turn-{self._turns}"
        event = {"type": f"input_audio_buffer.{what}", "item_id": item_id}
        self._send(event | fields)

    def _send(self, event: dict[str, Any]) -> None:
        if self._transport is not None and not self.is_closed:
            self._transport.send(WSMsgType.TEXT, msgspec.json.encode(event))
