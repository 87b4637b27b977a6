"""What a session hears: the input buffer, its turns, and the words of the caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bridge.sandbox.conversation import Item, Part
from bridge.sandbox.formats import FORMATS
from bridge.sandbox.rules import Refused
from bridge.sandbox.vad import SLICE_MS, Edge, Vad

if TYPE_CHECKING:
    from bridge.sandbox.session import Session

COMMIT_MS_MIN = 100


class Hearing:
    """The input audio buffer of one session; time is counted in written audio."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._buffer = bytearray()
        self._buffer_start_ms = 0.0
        self._written_ms = 0.0
        self._turn_id: str | None = None
        self._turn_start_ms = 0
        self._turns = 0
        self._idle: asyncio.TimerHandle | None = None
        self._vad: Vad | None = None
        self._format = FORMATS["audio/pcm"]
        self._configured: tuple[Any, Any] | None = None
        self.configure()

    def configure(self) -> None:
        """Follow the session's format and turn detection, if they have changed."""
        audio = self._session.config["audio"]["input"]
        wanted = (audio["format"], audio["turn_detection"])
        if wanted == self._configured:
            return
        self._configured = wanted
        self._format = FORMATS[audio["format"]["type"]]
        self._turn_id = None
        self._drop_buffer()
        self._vad = None
        if audio["turn_detection"] is not None:
            self._vad = Vad(
                audio["turn_detection"],
                self._format.level_dbfs,
                SLICE_MS * self._format.bytes_per_ms,
                round(self._written_ms),
            )

    def write(self, audio: bytes) -> None:
        """Append audio; turns may begin and end in it."""
        self._buffer += audio
        self._written_ms += len(audio) / self._format.bytes_per_ms
        if self._vad is not None:
            for edge in self._vad.feed(audio):
                self._on_edge(edge)

    def commit(self) -> None:
        """Make an item of what was written since the last commit."""
        buffered_ms = len(self._buffer) / self._format.bytes_per_ms
        if buffered_ms < COMMIT_MS_MIN:
            raise Refused(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at "
                f"least 100ms of audio, but buffer only has {buffered_ms:.2f}ms of "
                "audio.",
            )
        if self._vad is not None:
            self._vad.close_turn()
        item_id = self._turn_id or self._session.new_id("item")
        self._commit(item_id, self._buffer_start_ms, self._written_ms)

    def clear(self) -> None:
        """Drop what is not committed."""
        self._turn_id = None
        self._drop_buffer()
        if self._vad is not None:
            self._vad.close_turn()

    def _offset(self, at_ms: float) -> int:
        offset_ms = at_ms - self._buffer_start_ms
        return max(0, round(offset_ms * self._format.bytes_per_ms))

    def _drop_buffer(self) -> None:
        self._buffer.clear()
        self._buffer_start_ms = self._written_ms

    # --- turns ---

    def _on_edge(self, edge: Edge) -> None:
        session = self._session
        settings = session.config["audio"]["input"]["turn_detection"]
        if edge.is_start:
            self.disarm_idle()
            self._turn_id = session.new_id("item")
            self._turn_start_ms = edge.at_ms
            session.send(
                "input_audio_buffer.speech_started",
                audio_start_ms=edge.at_ms,
                item_id=self._turn_id,
            )
            if settings["interrupt_response"] and session.active is not None:
                session.cancel(session.active, "turn_detected")
            return
        assert self._turn_id is not None, "a turn ended that never began"
        session.send(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=edge.at_ms,
            item_id=self._turn_id,
        )
        self._commit(self._turn_id, self._turn_start_ms, edge.at_ms)
        if settings["create_response"]:
            self._answer()

    def _answer(self) -> None:
        if self._session.active is None:
            self._session.respond({})
        else:
            # "may fail to answer a turn that ends while a response runs"
            self._session.unanswered_turns += 1

    def _commit(self, item_id: str, start_ms: float, end_ms: float) -> None:
        """Make an item of a span of audio; audio written after it stays."""
        self._turn_id = None
        start, end = self._offset(start_ms), self._offset(end_ms)
        audio = bytes(self._buffer[start:end])
        del self._buffer[:end]
        self._buffer_start_ms = end_ms
        part = {"type": "input_audio", "transcript": None}
        item = Item(
            {
                "id": item_id,
                "object": "realtime.item",
                "type": "message",
                "status": "completed",
                "role": "user",
                "content": [part],
            },
            [Part(audio, len(audio) / self._format.bytes_per_ms)],
        )
        self._session.add_heard(item)
        if self._session.config["audio"]["input"]["transcription"] is not None:
            number, self._turns = self._turns, self._turns + 1
            self._session.later(
                self._session.options.transcription_ms / 1000,
                lambda: self._transcribe(item, number),
            )

    # --- words ---

    def _transcribe(self, item: Item, number: int) -> None:
        send = self._session.send
        stem = "conversation.item.input_audio_transcription"
        place = {"item_id": item.id, "content_index": 0}
        words = self._session.script.caller_said(number)
        if words is None:
            error = {
                "type": "transcription_error",
                "code": "audio_unintelligible",
                "message": "The audio could not be transcribed.",
                "param": None,
            }
            send(f"{stem}.failed", **place, error=error)
            return
        middle = len(words) // 2
        for delta in filter(None, (words[:middle], words[middle:])):
            send(f"{stem}.delta", **place, delta=delta)
        item.fields["content"][0]["transcript"] = words
        send(f"{stem}.completed", **place, transcript=words, usage=_usage(item, words))

    # --- the silent caller ---

    def arm_idle(self, audio_ms: float) -> None:
        """Count the idle timeout from the end of a response's playing time."""
        self.disarm_idle()
        settings = self._session.config["audio"]["input"]["turn_detection"] or {}
        idle_ms = settings.get("idle_timeout_ms")
        if idle_ms is not None:
            wait_s = (audio_ms + idle_ms) / 1000 * self._session.options.idle_scale
            start_ms = round(self._written_ms)
            self._idle = self._session.later(wait_s, lambda: self._on_idle(start_ms))

    def disarm_idle(self) -> None:
        """Stop the idle timeout."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _on_idle(self, start_ms: int) -> None:
        self._idle = None
        item_id = self._session.new_id("item")
        self._session.send(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=start_ms,
            audio_end_ms=round(self._written_ms),
            item_id=item_id,
        )
        if self._vad is not None:
            self._vad.close_turn()
        self._commit(item_id, self._buffer_start_ms, self._written_ms)
        self._answer()


def _usage(item: Item, words: str) -> dict[str, Any]:
    heard, written = round(item.audio_ms / 100), len(words.split())
    return {
        "type": "tokens",
        "total_tokens": heard + written,
        "input_tokens": heard,
        "output_tokens": written,
        "input_token_details": {"text_tokens": 0, "audio_tokens": heard},
    }
