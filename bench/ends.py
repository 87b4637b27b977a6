"""Both ends of the calls of a load run: Twilio's side and the model's.

The ends are lean, because they share two cores with the program under load. Work per
frame is compiled (`bench/fast`); rare work is here. The first twelve characters of an
audio payload name a frame. Every TAG_EVERY-th frame is named and timed: from before it
is sent until the kernel has received its result. The caller plays the received audio,
and counts an underrun if a reply continues after its audio had run out.
"""

from base64 import b64encode
from time import monotonic
from typing import Any, NamedTuple

import orjson

from bench.fast.frames import (
    CallerEnd,
    ModelEnd,
    Tally,
    tag_of,
)
from bench.fast.wires import Wires
from dsp.g711 import FRAME_BYTES

DELTA_FRAMES = 10
PERIOD_FRAMES = 500
# Coprime with the period, so that the calls are spread over it.
PERIOD_STEP = 137
BREATH_FRAMES = 15
_VAD = "input_audio_buffer.speech_"
_AUDIO = "response.output_audio."
_ITEM = {"item_id": "turn"}
_FORMAT = {"format": {"type": "audio/pcmu"}}
_SESSION = {"id": "s", "audio": {"input": _FORMAT, "output": _FORMAT}}
_CREATED = orjson.dumps({"type": "session.created", "session": _SESSION})
UPDATED = orjson.dumps({"type": "session.updated", "session": _SESSION})
_TAG_BYTES = 9
MEDIA = b'{"event":"media"'
QUIET = b64encode(b"\xff" * FRAME_BYTES)
_SOUND = b64encode(b"\x60" * FRAME_BYTES).decode()
_REPLY_REST = b64encode(b"\x60" * (DELTA_FRAMES * FRAME_BYTES - _TAG_BYTES)).decode()


class Plan(NamedTuple):
    """For each place of a period: whether the caller speaks, and a delta is due."""

    speaking: bytes
    due: bytes


class Shape(NamedTuple):
    """How a call divides its time, in parts of a period of PERIOD_FRAMES."""

    hears: float = 0.5
    speaks: float = 0.5
    # How many frames the model is ahead of the caller's playout. With half a delta the
    # bridge always sends on a delta when it arrives.
    ahead: int = DELTA_FRAMES // 2

    @property
    def heard(self) -> int:
        """The frames of a period that are a reply, in whole deltas."""
        return round(self.hears * PERIOD_FRAMES) // DELTA_FRAMES * DELTA_FRAMES

    def deltas(self, place: int) -> int:
        """Return how many deltas of a reply have come at this place."""
        due = (place + self.ahead) // DELTA_FRAMES + 1
        return min(due, self.heard // DELTA_FRAMES)

    def is_due(self, place: int) -> bool:
        """Tell whether a delta may come at this place."""
        in_step = not place % DELTA_FRAMES or not (place + self.ahead) % DELTA_FRAMES
        return place < self.heard and in_step

    def plan(self) -> Plan:
        """Return the plan of each place."""
        places = range(PERIOD_FRAMES)
        return Plan(
            bytes(map(self.is_speaking, places)), bytes(map(self.is_due, places))
        )

    def place(self, frame: int, call: int) -> int:
        """Return the place of a call in its period; the calls are out of step."""
        return (frame + call * PERIOD_STEP) % PERIOD_FRAMES

    def is_speaking(self, place: int) -> bool:
        """Tell whether the caller speaks; a pause lies between them and a reply.

        Speech during a reply's last words would reach the model only after the reply,
        and a reply that began during the caller's speech would be held. Both are delays
        by design, and would not measure the bridge.
        """
        began = round(self.hears * PERIOD_FRAMES)
        ends = began + round(self.speaks * PERIOD_FRAMES)
        breath = BREATH_FRAMES if self.hears else 0
        return began + breath <= place < min(ends, PERIOD_FRAMES - breath)


class Run(Tally):  # type: ignore[misc]
    """The measurements of one run; `wires` are all its sockets."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.wires = Wires()
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
        """Begin a new phase; discard the measurements so far."""
        super().forget()
        self.asked_at.clear()
        self.tool_ms = []
        self.tool_errors = 0

    def answered(self, tool_call_id: str, output: str) -> None:
        """Note that a tool was answered."""
        asked_at = self.asked_at.pop(tool_call_id, None)
        if asked_at is not None:
            self.tool_ms.append((monotonic() - asked_at) * 1e3)
            self.tool_errors += output.startswith('{"error"')


class Session(ModelEnd):  # type: ignore[misc]
    """The model's end of one call."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._run = run
        self._replies = 0
        self._asked = 0
        self._reply: str | None = None
        self._deltas = 0
        self._said: int | None = None

    def opened(self) -> None:
        self._run.sessions.append(self)
        self.wire.send(_CREATED)

    def receive(self, data: bytes, at: float) -> None:
        """Take an event that is no audio."""
        event = orjson.loads(data)
        if event["type"] == "session.update":
            self.wire.send(UPDATED)
        elif event["type"] == "response.create":
            # The next reply answers a tool's output.
            if "instructions" in event.get("response", {}):
                self._say_as_told()
        elif event["type"] == "conversation.item.create":
            item = event["item"]
            if item["type"] == "function_call_output":
                self._run.answered(item["call_id"], item["output"])

    def turn_begins(self) -> None:
        """Say that the caller speaks."""
        self._send([{"type": _VAD + "started", "audio_start_ms": 0, **_ITEM}])

    def turn_ends(self, audio_ms: int) -> None:
        """Say that the caller's turn ended after so much audio."""
        self._send([{"type": _VAD + "stopped", "audio_end_ms": audio_ms, **_ITEM}])

    def go_on(self, number: int, place: int, shape: Shape) -> None:
        """Say the part of a reply that is due at this place.

        After a pause of the load the caller's playout is empty.
        """
        if place == 0 or (self._said is None and not place % DELTA_FRAMES):
            self._said = place // DELTA_FRAMES
        while self._said is not None and self._said < shape.deltas(place):
            self._said += 1
            self.speak(number, self._said * DELTA_FRAMES == shape.heard)

    def pause(self) -> None:
        """Note that the load pauses here."""
        self._said = None

    def rest(self) -> None:
        """End the current reply: a model that pauses within a reply counts as lost."""
        if self._reply is not None:
            self._end_reply(self._reply)
            self._reply = None

    def speak(self, number: int, is_last: bool = True) -> None:
        """Say DELTA_FRAMES frames at once, in the current reply or a new one."""
        self._deltas += 1
        tag = tag_of(2, number, self._deltas)
        name, is_first = self._name_reply(number, is_last)
        delta = {"delta": tag.decode() + _REPLY_REST, "content_index": 0, **_part(name)}
        whole = _response(name, {"type": _AUDIO + "delta", **delta})
        self._run.sent_at[tag] = monotonic()
        self._send(whole[0 if is_first else 1 : 2])
        if is_last:
            self._end_reply(name)

    def _say_as_told(self) -> None:
        """Say a greeting or a goodbye, as briefly as possible."""
        self._asked += 1
        name = f"asked-{self._asked}"
        delta = {"delta": _SOUND, "content_index": 0, **_part(name)}
        done = {"type": _AUDIO + "done", "content_index": 0, **_part(name)}
        self._send(_response(name, {"type": _AUDIO + "delta", **delta}, done))

    def _end_reply(self, name: str) -> None:
        self._send(_response(name, {"type": _AUDIO + "done", **_part(name)})[1:])

    def _name_reply(self, number: int, is_last: bool) -> tuple[str, bool]:
        """Return the name of the current reply, and whether it begins here."""
        is_first = self._reply is None
        self._replies += is_first
        name = f"{number}-{self._replies}"
        self._reply = None if is_last else name
        return name, is_first

    def call_tool(self, tool_call_id: str, name: str, arguments: str) -> None:
        """Ask for a tool, within the current reply or in a response of its own."""
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
        for event in events:
            self.wire.send(orjson.dumps(event))


def _part(name: str) -> dict[str, str]:
    return {"response_id": f"r{name}", "item_id": f"i{name}"}


def _response(name: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    done = {"id": f"r{name}", "status": "completed"}
    return [
        {"type": "response.created", "response": {"id": f"r{name}"}},
        *events,
        {"type": "response.done", "response": done},
    ]


class Stream(CallerEnd):  # type: ignore[misc]
    """The caller's end of one call; `speech` is in base64, one string a frame."""

    def __init__(self, run: Run, number: int, speech: list[bytes]) -> None:
        self.sid = f"MZ{number:032}"
        super().__init__(run, number, speech, QUIET, self.sid)

    def receive(self, data: bytes, at: float) -> None:
        """Take a message that is no audio; echo marks."""
        message = orjson.loads(data)
        if message["event"] == "mark":
            self.send({"event": "mark", "mark": message["mark"]})

    def send(self, message: dict[str, Any]) -> None:
        """Send one message as Twilio."""
        if self.wire is not None:
            self.wire.send(orjson.dumps({"streamSid": self.sid, **message}))
