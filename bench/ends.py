"""Both ends of the calls of a load run: Twilio's side and the model's.

They are lean, for they share two cores with what they measure: messages are made from
ready pieces, and only the first twelve characters of an audio payload are looked at.
Those name a frame; every TAG_EVERY-th is named and timed. The caller plays what comes
and counts an underrun when a reply goes on after it had run out.
"""

from base64 import b64encode
from time import monotonic
from typing import Any, NamedTuple

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from bridge.options import FRAME_BYTES

TAG_EVERY = 5
DELTA_FRAMES = 10
PERIOD_FRAMES = 500
# Prime to the period, so that the calls are spread over it.
PERIOD_STEP = 137
BREATH_FRAMES = 15
# The default of TURN_SILENCE_MS.
TURN_SILENCE_FRAMES = 25
# A longer silence at the caller's ear lies between two replies.
UNDERRUN_MAX_S = 1.0
_BASE64_CHARACTERS_A_SECOND = 8_000 * 4 / 3
_VAD = "input_audio_buffer.speech_"
_AUDIO = "response.output_audio."
_ITEM = {"item_id": "turn"}
_FORMAT = {"format": {"type": "audio/pcmu"}}
_SESSION = {"id": "s", "audio": {"input": _FORMAT, "output": _FORMAT}}
_CREATED = orjson.dumps({"type": "session.created", "session": _SESSION})
UPDATED = orjson.dumps({"type": "session.updated", "session": _SESSION})
_TO_MULAW = bytes(
    0xF0 | int(chr(code), 16) if chr(code) in "0123456789abcdef" else 0xFF
    for code in range(256)
)
_TAG_BYTES, _TAG_CHARACTERS = 9, 12
_SILENT = b"/" * _TAG_CHARACTERS
_APPEND = b'{"type":"input_audio_buffer.append"'
MEDIA = b'{"event":"media"'
_PAYLOAD = b'"payload":'
QUIET = b64encode(b"\xff" * FRAME_BYTES)
_REPLY_REST = b64encode(b"\x60" * (DELTA_FRAMES * FRAME_BYTES - _TAG_BYTES)).decode()


def tag_of(kind: int, call: int, number: int) -> bytes:
    """Return nine mu-law samples, next to silent, that name a frame; in base64."""
    name = b"%01x%04x%04x" % (kind, call & 0xFFFF, number & 0xFFFF)
    return b64encode(name.translate(_TO_MULAW))


def audio_of(data: bytes, name: bytes) -> bytes:
    """Return the first characters of the base64 text that `name` introduces."""
    at = data.find(name)
    at = data.find(b'"', at + len(name)) + 1
    return data[at : at + _TAG_CHARACTERS]


class Shape(NamedTuple):
    """How a call passes its time, over and over: parts of PERIOD_FRAMES."""

    hears: float = 0.5
    speaks: float = 0.5
    # How many frames the model is ahead of the caller's ear. Half a delta is never in
    # doubt: when the next one comes, the bridge wants it.
    ahead: int = DELTA_FRAMES // 2

    @property
    def heard(self) -> int:
        """How many frames of a period are a reply: whole deltas."""
        return round(self.hears * PERIOD_FRAMES) // DELTA_FRAMES * DELTA_FRAMES

    def deltas(self, place: int) -> int:
        """Return how many deltas of a reply have come at this place."""
        due = (place + self.ahead) // DELTA_FRAMES + 1
        return min(due, self.heard // DELTA_FRAMES)

    def is_due(self, place: int) -> bool:
        """Tell whether a delta may come at this place."""
        in_step = not place % DELTA_FRAMES or not (place + self.ahead) % DELTA_FRAMES
        return place < self.heard and in_step

    def place(self, frame: int, call: int) -> int:
        """Return where in its period a call is; the calls do not go in step."""
        return (frame + call * PERIOD_STEP) % PERIOD_FRAMES

    def is_speaking(self, place: int) -> bool:
        """Tell whether the caller speaks; there is a breath between him and a reply.

        What he said over the last words of the reply would be given to the model when
        they are over, and a reply that began over his would be held: late by design,
        and no measure of the bridge.
        """
        began = round(self.hears * PERIOD_FRAMES)
        ends = began + round(self.speaks * PERIOD_FRAMES)
        breath = BREATH_FRAMES if self.hears else 0
        return began + breath <= place < min(ends, PERIOD_FRAMES - breath)


class Run:
    """What one run measures: when each frame was sent, and how long it took."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.sent_at: dict[bytes, float] = {}
        self.uplink_ms: list[float] = []
        self.downlink_ms: list[float] = []
        self.sent_frames = 0
        self.appended_frames = 0
        self.underruns = 0
        self.sessions: list[Session] = []
        # Tools asked for, by their id, and how long their answers took.
        self.asked_at: dict[str, float] = {}
        self.tool_ms: list[float] = []
        self.tool_errors = 0

    def make_session(self) -> "Session":
        """Make the model's end of the next call."""
        return Session(self)

    def make_stream(self, number: int, speech: list[bytes]) -> "Stream":
        """Make the caller's end of a call."""
        return Stream(self, number, speech)

    def forget(self) -> None:
        """Begin a new phase: what was measured before counts no more."""
        self.sent_at.clear()
        self.asked_at.clear()
        self.uplink_ms, self.downlink_ms, self.tool_ms = [], [], []
        self.sent_frames = self.appended_frames = 0
        self.underruns = self.tool_errors = 0

    def answered(self, tool_call_id: str, output: str) -> None:
        """Note that a tool was answered."""
        asked_at = self.asked_at.pop(tool_call_id, None)
        if asked_at is not None:
            self.tool_ms.append((monotonic() - asked_at) * 1e3)
            self.tool_errors += output.startswith('{"error"')

    def arrived(self, tag: bytes, into: list[float]) -> None:
        """Note that a named frame has come out."""
        sent_at = self.sent_at.pop(tag, None)
        if sent_at is not None:
            into.append((monotonic() - sent_at) * 1e3)


class Session(WSListener):  # type: ignore[misc]
    """The model's end of one call."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._replies = 0
        self._asked = 0
        self._reply: str | None = None
        self._deltas = 0
        self._said: int | None = None
        self._appended = 0
        self._silent_frames = TURN_SILENCE_FRAMES + 1
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._run.sessions.append(self)
        transport.send(WSMsgType.TEXT, _CREATED)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        data = frame.get_payload_as_bytes()
        if data.startswith(_APPEND):
            self._run.appended_frames += 1
            audio = audio_of(data, b'"audio":')
            self._run.arrived(audio, self._run.uplink_ms)
            self._detect_turn(audio == _SILENT)
            return
        event = orjson.loads(data)
        if event["type"] == "session.update":
            transport.send(WSMsgType.TEXT, UPDATED)
        elif event["type"] == "response.create":
            self._asked += 1
            self._send(_response(f"asked-{self._asked}"))
        elif event["type"] == "conversation.item.create":
            item = event["item"]
            if item["type"] == "function_call_output":
                self._run.answered(item["call_id"], item["output"])

    def _detect_turn(self, is_silent: bool) -> None:
        """End the caller's turn as server_vad does; a silent turn never begins."""
        self._appended += 1
        if not is_silent:
            if self._silent_frames > TURN_SILENCE_FRAMES:
                self._send([{"type": _VAD + "started", "audio_start_ms": 0, **_ITEM}])
            self._silent_frames = 0
            return
        self._silent_frames += 1
        if self._silent_frames == TURN_SILENCE_FRAMES:
            self._silent_frames += 1
            end = {"audio_end_ms": 20 * (self._appended - TURN_SILENCE_FRAMES)}
            self._send([{"type": _VAD + "stopped", **end, **_ITEM}])

    def go_on(self, number: int, place: int, shape: Shape) -> None:
        """Say what of a reply is due at this place.

        After a pause of the load nothing of it is left at the caller's ear.
        """
        if place == 0 or (self._said is None and not place % DELTA_FRAMES):
            self._said = place // DELTA_FRAMES
        while self._said is not None and self._said < shape.deltas(place):
            self._said += 1
            self.speak(number, self._said * DELTA_FRAMES == shape.heard)

    def pause(self) -> None:
        """Note that the load rests here."""
        self._said = None

    def speak(self, number: int, is_last: bool = True) -> None:
        """Say DELTA_FRAMES frames, all at once, of a reply that goes on or begins."""
        self._deltas += 1
        tag = tag_of(2, number, self._deltas)
        name, is_first = self._name_reply(number, is_last)
        part = {"response_id": f"r{name}", "item_id": f"i{name}"}
        delta = {"delta": tag.decode() + _REPLY_REST, "content_index": 0, **part}
        whole = _response(name, {"type": _AUDIO + "delta", **delta})
        self._run.sent_at[tag] = monotonic()
        self._send(whole[0 if is_first else 1 : 2])
        if is_last:
            self._send([{"type": _AUDIO + "done", **part}, whole[2]])

    def _name_reply(self, number: int, is_last: bool) -> tuple[str, bool]:
        """Return the name of the reply that goes on, and whether it begins here."""
        is_first = self._reply is None
        self._replies += is_first
        name = f"{number}-{self._replies}"
        self._reply = None if is_last else name
        return name, is_first

    def call_tool(self, tool_call_id: str, name: str, arguments: str) -> None:
        """Ask for a tool, within the reply that is being said or in one of its own."""
        item = {
            "id": f"i{tool_call_id}",
            "type": "function_call",
            "call_id": tool_call_id,
            "name": name,
            "arguments": arguments,
        }
        done = {"type": "response.output_item.done", "item": item}
        self._run.asked_at[tool_call_id] = monotonic()
        reply = self._reply or tool_call_id
        whole = _response(reply, {**done, "response_id": f"r{reply}"})
        self._send(whole[1:2] if self._reply else whole)

    def _send(self, events: list[dict[str, Any]]) -> None:
        assert self.transport is not None
        for event in events:
            self.transport.send(WSMsgType.TEXT, orjson.dumps(event))


def _response(name: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    done = {"id": f"r{name}", "status": "completed"}
    return [
        {"type": "response.created", "response": {"id": f"r{name}"}},
        *events,
        {"type": "response.done", "response": done},
    ]


class Stream(WSListener):  # type: ignore[misc]
    """The caller's end of one call: `speech` in base64, a text a frame."""

    def __init__(self, run: Run, number: int, speech: list[bytes]) -> None:
        self._run = run
        self._number = number
        self._speech = speech
        self.frames = 0
        self._plays_until = 0.0
        self.sid = f"MZ{number:032}"
        self.transport: WSTransport | None = None
        self._form = (
            b'{"event":"media","sequenceNumber":"%%d","streamSid":"%s","media":{"track"'
            b':"inbound","chunk":"%%d","timestamp":"%%d","payload":"%%s"}}'
            % self.sid.encode()
        )

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        data = frame.get_payload_as_bytes()
        if data.startswith(MEDIA):
            at = data.find(b'"', data.find(_PAYLOAD) + len(_PAYLOAD)) + 1
            now = monotonic()
            self._run.arrived(data[at : at + _TAG_CHARACTERS], self._run.downlink_ms)
            self._play((data.find(b'"', at) - at) / _BASE64_CHARACTERS_A_SECOND, now)
            return
        message = orjson.loads(data)
        if message["event"] == "mark":
            self.send({"event": "mark", "mark": message["mark"]})

    def pause(self) -> None:
        """Note that the load rests here: what runs out now is no underrun."""
        self._plays_until = 0.0

    def _play(self, seconds: float, now: float) -> None:
        """Queue audio at the caller's ear; note if its predecessor had run out."""
        if 0 < now - self._plays_until < UNDERRUN_MAX_S:
            self._run.underruns += 1
        self._plays_until = max(self._plays_until, now) + seconds

    def send(self, message: dict[str, Any]) -> None:
        """Send one message of Twilio's."""
        if self.transport is not None:
            data = orjson.dumps({"streamSid": self.sid, **message})
            self.transport.send(WSMsgType.TEXT, data)

    def send_frame(self, is_speaking: bool) -> None:
        """Send the next 20 ms: speech, or the silence of a quiet line."""
        self.frames += 1
        number = self.frames
        payload = QUIET
        if is_speaking:
            self._run.sent_frames += 1
            payload = self._named(number, self._speech[number % len(self._speech)])
        if self.transport is not None:
            data = self._form % (number, number, number * 20, payload)
            self.transport.send(WSMsgType.TEXT, data)

    def _named(self, number: int, payload: bytes) -> bytes:
        """Return a frame of speech, named and noted if it is its turn."""
        if number % TAG_EVERY:
            return payload
        tag = tag_of(1, self._number, number)
        self._run.sent_at[tag] = monotonic()
        return tag + payload[_TAG_CHARACTERS:]
