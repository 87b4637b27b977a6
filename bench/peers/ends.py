"""Both ends of a call to a peer: those of `bench.ends`, with frames marked by level.

Peers cut audio into pieces of their own size, and one of them recodes it, so that no
name within a frame's bytes survives. Here a frame is marked by its level: 20 ms of a
full-scale 1 kHz square wave, while all other audio stays below half of full scale. A
mark that has not come out when the next of its call and direction is sent counts as
lost.

The model sends more fields than that of the load run: client libraries check all.
"""

from base64 import b64decode, b64encode
from time import monotonic
from typing import Any

import orjson

from bench.ends import DELTA_FRAMES, Run, Session, Stream
from dsp.g711 import FRAME_BYTES

UPLINK_MARK_FRAMES = 15
DOWNLINK_MARK_DELTAS = 4
# Mu-law's topmost segment begins at 16,764 of 32,767. Speech stays below the second
# highest, so that no resampler's overshoot reaches the mark.
_LOUD_MULAW = bytes((*range(0x10), *range(0x80, 0x90)))
_CLIP = bytes(
    (code & 0x80) | max(code & 0x7F, 0x20) if code & 0x7F < 0x20 else code
    for code in range(256)
)
_QUIET_MULAW = bytes(sorted(set(range(256)) - set(_LOUD_MULAW)))
# The upper bytes of 16-bit samples, little-endian: 18,432 and more, either sign.
_QUIET_PCM = bytes((*range(0x48), *range(0xB8, 0x100)))
_MARK_MULAW = (b"\x80" * 4 + b"\x00" * 4) * (FRAME_BYTES // 8)
_REST_FRAMES = DELTA_FRAMES - 1
_MARK_PCM = (b"\xff\x7f" * 12 + b"\x01\x80" * 12) * (FRAME_BYTES // 8)
_SOFT_MULAW, _SOFT_PCM = b"\x60" * FRAME_BYTES, b"\xf4\x01" * 3 * FRAME_BYTES
# A delta's audio by the session's output format: marked and unmarked.
_DELTAS = {
    "audio/pcmu": (
        b64encode(_MARK_MULAW + _SOFT_MULAW * _REST_FRAMES).decode(),
        b64encode(_SOFT_MULAW * DELTA_FRAMES).decode(),
    ),
    "audio/pcm": (
        b64encode(_MARK_PCM + _SOFT_PCM * _REST_FRAMES).decode(),
        b64encode(_SOFT_PCM * DELTA_FRAMES).decode(),
    ),
}
_LOUD_FRAME = b64encode(_MARK_MULAW)
_APPEND = b"input_audio_buffer.append"
_MEDIA = b'"media"'
_SESSION = {"type": "realtime", "id": "sess_1", "object": "realtime.session"}
_FORMATS = {
    "input": {"format": {"type": "audio/pcmu"}},
    "output": {"format": {"type": "audio/pcmu"}},
}


def text_of(data: bytes, name: bytes) -> bytes:
    """Return the JSON string of a field as it stands; base64 needs no unescaping."""
    at = data.index(b'"', data.index(name) + len(name)) + 1
    return data[at : data.index(b'"', at)]


class PeerRun(Run):
    """A run whose frames are recognised by their level."""

    def __init__(self, calls: int) -> None:
        super().__init__(calls)
        self.lost = 0
        self.uplink = [Marks(self, "uplink_ms") for _ in range(calls)]
        self.downlink = [Marks(self, "downlink_ms") for _ in range(calls)]

    def make_session(self) -> "PeerSession":
        """Make the model's end of the next call."""
        return PeerSession(self)

    def make_stream(self, number: int, speech: list[bytes]) -> "PeerStream":
        """Make the caller's end of a call; its speech stays below a mark's level."""
        clipped = [b64encode(b64decode(one).translate(_CLIP)) for one in speech]
        return PeerStream(self, number, clipped)

    def forget(self) -> None:
        """Begin a new phase."""
        super().forget()
        self.lost = 0


class Marks:
    """The marks of one call in one direction."""

    def __init__(self, run: PeerRun, into: str) -> None:
        self._run = run
        self._into = into
        self._sent_at: float | None = None
        self._was_loud = False

    def sent(self) -> None:
        """Note that a mark goes out."""
        self._run.lost += self._sent_at is not None
        self._sent_at = monotonic()

    def heard(self, is_loud: bool, at: float) -> None:
        """Take the next piece of audio; a mark is at its first loud piece."""
        if is_loud and not self._was_loud and self._sent_at is not None:
            late_ms = (at - self._sent_at) * 1e3
            getattr(self._run, self._into).append(late_ms)
            self._sent_at = None
        self._was_loud = is_loud


class PeerSession(Session):
    """The model's end of one call, with every field that a client may look for."""

    _run: PeerRun

    def __init__(self, run: PeerRun) -> None:
        super().__init__(run)
        self.reads_all = True
        self._uplink = run.uplink[len(run.sessions)]
        self._is_pcm_in = False
        self._output = "audio/pcmu"
        self._events = 0

    def opened(self) -> None:
        self._run.sessions.append(self)
        session = {**_SESSION, "model": "gpt-realtime", "audio": _FORMATS}
        self._send([{"type": "session.created", "session": session}])

    def receive(self, data: bytes, at: float) -> None:
        if _APPEND in data:
            self._on_append(b64decode(text_of(data, b'"audio"')), at)
        else:
            self._on_event(orjson.loads(data))

    def _on_append(self, audio: bytes, at: float) -> None:
        self._run.appended_frames += 1
        if self._is_pcm_in:
            self._uplink.heard(bool(audio[1::2].translate(None, _QUIET_PCM)), at)
        else:
            self._uplink.heard(bool(audio.translate(None, _QUIET_MULAW)), at)

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["type"] == "session.update":
            audio = event["session"].get("audio") or {}
            self._is_pcm_in = _format_of(audio.get("input")) == "audio/pcm"
            self._output = _format_of(audio.get("output"))
            session = {**_SESSION, **event["session"]}
            self._send([{"type": "session.updated", "session": session}])
        elif event["type"] == "response.create":
            self._asked += 1
            name = f"asked-{self._asked}"
            self._send([_created(name), _done(name)])

    def speak(self, number: int, is_last: bool = True) -> None:
        """Say DELTA_FRAMES frames at once, in the current reply or a new one."""
        name, is_first = self._name_reply(number, is_last)
        item = {"id": f"item_{name}", "type": "message", "role": "assistant"}
        part = {"response_id": f"resp_{name}", "output_index": 0}
        place = {**part, "item_id": item["id"], "content_index": 0}
        if is_first:
            begun = {**item, "status": "in_progress", "content": []}
            added = {"type": "response.output_item.added", **part, "item": begun}
            self._send([_created(name), added])
        is_marked = self._deltas % DOWNLINK_MARK_DELTAS == 0
        self._deltas += 1
        audio = _DELTAS[self._output][0 if is_marked else 1]
        if is_marked:
            self._run.downlink[number].sent()
        self._send([{"type": "response.output_audio.delta", **place, "delta": audio}])
        if is_last:
            content = [{"type": "output_audio", "transcript": ""}]
            ended = {**item, "status": "completed", "content": content}
            over = {"type": "response.output_item.done", **part, "item": ended}
            audio_done = {"type": "response.output_audio.done", **place}
            self._send([audio_done, over, _done(name)])

    def _send(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._events += 1
            event["event_id"] = f"event_{self._events}"
        super()._send(events)


def _format_of(side: dict[str, Any] | None) -> str:
    """Return the format that a session sets on one side; the API's default is PCM."""
    given: dict[str, str] = (side or {}).get("format") or {}
    return given.get("type", "audio/pcm")


def _created(name: str) -> dict[str, Any]:
    return {"type": "response.created", "response": _response(name, "in_progress")}


def _done(name: str) -> dict[str, Any]:
    return {"type": "response.done", "response": _response(name, "completed")}


def _response(name: str, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{name}",
        "object": "realtime.response",
        "status": status,
        "output": [],
    }


class PeerStream(Stream):
    """The caller's end of one call."""

    _run: PeerRun

    def __init__(self, run: PeerRun, number: int, speech: list[bytes]) -> None:
        super().__init__(run, number, speech)
        self._run = run
        self.reads_all = True
        self._downlink = run.downlink[number]

    def receive(self, data: bytes, at: float) -> None:
        if _MEDIA not in data:
            super().receive(data, at)
            return
        audio = b64decode(text_of(data, b'"payload"'))
        self._downlink.heard(bool(audio.translate(None, _QUIET_MULAW)), at)

    def named(self, payload: bytes) -> bytes:
        """Return a frame of speech, or a mark in its place if one is due."""
        if (self.frames + self.number) % UPLINK_MARK_FRAMES:
            return payload
        self._run.uplink[self.number].sent()
        return _LOUD_FRAME
