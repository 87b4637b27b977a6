"""One bidirectional media stream, from Twilio's end of the WebSocket.

The stream sends `connected`, `start`, a frame every 20 ms and `stop`, and plays the
media it receives on a playout clock. It gives the warnings that Twilio would give
(31950, 31951); a test then fails.
"""

from __future__ import annotations

import asyncio
import binascii
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from bridge.sandbox import mulaw
from bridge.sandbox.playout import UTTERANCE_GAP_MS, Echo, PhonePlayout
from bridge.sandbox.result import CallResult, MediaIn
from bridge.sandbox.rules import Refused, anything, record, tagged, text
from bridge.sandbox.timeline import FRAME_MS, Happening, Raw, Timeline

_sid = {"event": anything, "streamSid": text()}
_TO_TWILIO = tagged(
    "event",
    {
        "media": record({**_sid, "media": record({"payload": text()}, {})}, {}),
        "mark": record({**_sid, "mark": record({"name": text(None, ".+")}, {})}, {}),
        "clear": record(_sid, {}),
    },
)
_WARNINGS_MAX = 100
# RFC 6455, 7.1.5: the connection ended without a close frame.
_CLOSE_CODE_OF_NO_CLOSE = 1006
# How long the far side has to answer the close.
_CLOSE_S = 5.0
# The same, if another document replaces the stream's.
_REPLACED_S = 0.05


@dataclass(frozen=True)
class Line:
    """The network between caller and bridge: lost and late frames, by a seed."""

    loss: float = 0.0
    jitter_ms: float = 0.0
    seed: int = 1


PERFECT_LINE = Line()


class PhoneStream:
    """Runs one stream and fills in a `CallResult`."""

    def __init__(
        self,
        socket: ClientConnection,
        result: CallResult,
        account_sid: str,
        timeline: Timeline,
        line: Line,
        observe: Callable[[Happening], None] | None,
        replaced: asyncio.Event,
    ) -> None:
        self._socket = socket
        self._result = result
        self._account_sid = account_sid
        self._timeline = timeline
        self._line = line
        self._replaced = replaced
        self._observe = observe
        self._rng = random.Random(line.seed)
        self._sequence = 0
        self._outbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._echo_timer: asyncio.TimerHandle | None = None
        self._playout = PhonePlayout(0.0)
        self._near = bytearray()
        self._is_ai_speaking = False
        self._on: dict[str, Callable[[dict[str, Any]], list[Echo]]] = {
            "media": self._on_media,
            "mark": self._on_mark,
            "clear": self._on_clear,
        }

    async def run(self, parameters: Mapping[str, str], max_s: float) -> None:
        """Talk until one side ends the call."""
        result = self._result
        self._put({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self._put_numbered("start", start=self._start_fields(parameters))
        result.started_at = time.monotonic()
        self._playout = PhonePlayout(result.started_at)
        sender = asyncio.create_task(self._send_all())
        reader = asyncio.create_task(self._read_all())
        talker = asyncio.create_task(self._talk(result.started_at))
        replaced = asyncio.create_task(self._replaced.wait())
        tasks: list[asyncio.Task[Any]] = [reader, talker, sender, replaced]
        try:
            await asyncio.wait(
                (reader, talker, replaced),
                timeout=max_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            self._end(reader.done(), talker.done())
            patience_s = _REPLACED_S if replaced.done() else _CLOSE_S
            await asyncio.wait((reader,), timeout=patience_s)
        finally:
            if self._echo_timer is not None:
                self._echo_timer.cancel()
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            self._take_result()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def _end(self, is_closed: bool, has_hung_up: bool) -> None:
        result = self._result
        if is_closed:
            is_lost = self._socket.close_code == _CLOSE_CODE_OF_NO_CLOSE
            result.ended_by = "network" if is_lost else "bridge"
            self._note("hung up on")
            return
        result.ended_by = "caller" if has_hung_up else "nobody"
        if self._replaced.is_set():
            result.ended_by = "update"
            self._note("moved")
        sids = {"accountSid": self._account_sid, "callSid": result.call_sid}
        self._put_numbered("stop", stop=sids)
        for raw in self._timeline.rest():
            self._put_raw(raw)
        self._outbox.put_nowait(None)

    def _take_result(self) -> None:
        result = self._result
        self._advance(time.monotonic())
        result.near = bytes(self._near)
        result.far = bytes(self._playout.heard)
        result.heard.append(result.far)
        result.close_code = self._socket.close_code

    def _start_fields(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        return {
            "streamSid": self._result.stream_sid,
            "accountSid": self._account_sid,
            "callSid": self._result.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {
                "encoding": "audio/x-mulaw",
                "sampleRate": mulaw.RATE_HZ,
                "channels": 1,
            },
            "customParameters": dict(parameters),
        }

    # --- sending ---

    def _put(self, message: dict[str, Any]) -> None:
        self._outbox.put_nowait(msgspec.json.encode(message).decode())

    def _put_numbered(self, event: str, **fields: Any) -> None:
        self._sequence += 1
        self._put(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                "streamSid": self._result.stream_sid,
                **fields,
            }
        )

    def _put_raw(self, raw: Raw) -> None:
        frame = raw.frame
        if callable(frame):
            frame = frame(self._result.stream_sid)
        self._outbox.put_nowait(frame)

    async def _send_all(self) -> None:
        try:
            while (frame := await self._outbox.get()) is not None:
                await self._socket.send(frame)
            await self._socket.close(1000)
        except ConnectionClosed:
            return  # the reader notices and says why

    async def _talk(self, started_at: float) -> None:
        """Send a frame every 20 ms; a late tick does not shift the clock."""
        chunk = 0
        while True:
            late_ms = self._rng.uniform(0, self._line.jitter_ms)
            due = started_at + ((chunk + 1) * FRAME_MS + late_ms) / 1000
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(delay)
            self._advance(time.monotonic())
            tick = self._timeline.next_frame(self._playout)
            self._report_timeline()
            for raw in tick.raw:
                self._put_raw(raw)
            if tick.hangs_up:
                return
            chunk += 1
            self._near += tick.audio
            self._send_frame(chunk, tick.audio)
            if tick.digit is not None:
                dtmf = {"track": "inbound_track", "digit": tick.digit}
                self._put_numbered("dtmf", dtmf=dtmf)

    def _send_frame(self, chunk: int, audio: bytes) -> None:
        if self._rng.random() < self._line.loss:
            self._result.frames_lost += 1
            return
        self._result.frames_sent += 1
        self._put_numbered(
            "media",
            media={
                "track": "inbound",
                "chunk": str(chunk),
                "timestamp": str((chunk - 1) * FRAME_MS),
                "payload": binascii.b2a_base64(audio, newline=False).decode(),
            },
        )

    # --- receiving ---

    async def _read_all(self) -> None:
        try:
            async for frame in self._socket:
                self._receive(frame, time.monotonic())
        except ConnectionClosed:
            return  # without a close; the result has the code 1006

    def _receive(self, frame: str | bytes, now: float) -> None:
        self._result.raw.append(frame)
        if isinstance(frame, bytes):
            self._warn("31950 cannot decode: a binary frame")
            return
        try:
            message = msgspec.json.decode(frame)
            _TO_TWILIO(message, "")
            if message["streamSid"] != self._result.stream_sid:
                raise Refused("", f"wrong streamSid {message['streamSid']!r}")
            echoes = self._on[message["event"]](message)
        except (msgspec.DecodeError, RecursionError):
            self._warn("31951 invalid message: not JSON")
        except Refused as refused:
            self._warn(f"31951 invalid message: {refused.message}")
        else:
            self._echo(echoes)
            self._arm_echo(now)

    def _warn(self, text: str) -> None:
        if len(self._result.warnings) < _WARNINGS_MAX:
            self._result.warnings.append(text)

    def _on_media(self, message: dict[str, Any]) -> list[Echo]:
        try:
            audio = binascii.a2b_base64(message["media"]["payload"], strict_mode=True)
        except ValueError:
            raise Refused("", "the payload is not base64") from None
        if not audio:
            raise Refused("", "the payload is empty")
        echoes = self._playout.receive_media(audio, time.monotonic())
        self._result.media.append(MediaIn(self._playout.at_ms, len(audio)))
        self._report_ai()
        return echoes

    def _on_mark(self, message: dict[str, Any]) -> list[Echo]:
        return self._playout.receive_mark(message["mark"]["name"], time.monotonic())

    def _on_clear(self, message: dict[str, Any]) -> list[Echo]:
        echoes = self._playout.receive_clear(time.monotonic())
        self._result.clears_ms.append(self._playout.at_ms)
        self._note("clear")
        return echoes

    # --- playout ---

    def _advance(self, now: float) -> None:
        self._echo(self._playout.advance(now))
        self._report_ai()

    def _echo(self, echoes: list[Echo]) -> None:
        for echo in echoes:
            self._result.marks.append(echo)
            self._result.frames_at_last_mark = self._result.frames_sent
            self._put_numbered("mark", mark={"name": echo.name})

    def _arm_echo(self, now: float) -> None:
        if self._echo_timer is not None:
            self._echo_timer.cancel()
            self._echo_timer = None
        deadline = self._playout.deadline
        if deadline is not None:
            loop = asyncio.get_running_loop()
            self._echo_timer = loop.call_later(
                max(0.0, deadline - now), self._on_echo_timer
            )

    def _on_echo_timer(self) -> None:
        self._advance(time.monotonic())
        self._arm_echo(time.monotonic())

    def _report_ai(self) -> None:
        is_speaking = self._playout.queued_bytes > 0 or (
            self._is_ai_speaking and self._playout.quiet_ms < UTTERANCE_GAP_MS
        )
        if is_speaking != self._is_ai_speaking:
            self._is_ai_speaking = is_speaking
            ended_ms = self._playout.at_ms - (
                0 if is_speaking else self._playout.quiet_ms
            )
            self._note("ai starts" if is_speaking else "ai ends", at_ms=ended_ms)

    def _note(self, kind: str, at_ms: float | None = None) -> None:
        self._report(Happening(self._playout.at_ms if at_ms is None else at_ms, kind))

    def _report_timeline(self) -> None:
        for happening in self._timeline.happenings:
            self._report(happening)
        self._timeline.happenings.clear()

    def _report(self, happening: Happening) -> None:
        self._result.happenings.append(happening)
        if self._observe is not None:
            self._observe(happening)
