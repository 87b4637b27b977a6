"""CallRecordBuilder: what a call says in the log and writes in its record.

The builder is told of everything and decides nothing. A line is written once per event
and never once per frame. Operators search for its text, so the text does not change.
"""

from typing import Any

from bridge.call.plan import (
    ERROR_CHARS_MAX,
    CallPlan,
    Checkpoint,
    Log,
    OperatorWords,
    ToolRecord,
    ToolResult,
)
from bridge.call.transcript import Transcript
from bridge.realtime import openai
from bridge.settings.prices import TRANSCRIPTION
from dsp.g711 import FRAME_BYTES, FRAME_MS
from dsp.gate import NoiseGate

# A call has at most a few hundred turns; the lists of latencies are bounded.
LATENCIES_MAX = 1_000
# More kinds of refusals than the protocol knows of.
REFUSALS_MAX = 32
# A portion of an operator's voice is at most 15 s of speech: some 300 characters.
OPERATOR_WORDS_CHARS_MAX = 2_000
# The API counts some ten kinds of tokens, nested twice.
USAGE_KINDS_MAX = 64
USAGE_DEPTH_MAX = 4
# A response has at most some hundred thousand tokens; a larger number is an error.
TOKENS_MAX = 1_000_000_000


class CallRecordBuilder:
    """The owner of what is logged and recorded of one call."""

    def __init__(self, plan: CallPlan, now: float) -> None:
        self.opened_at = now
        self.answered_at: float | None = None
        # When the caller was connected to this process.
        self._connected_at: float | None = None
        self._hangover_s = plan.options.audio_hangover_frames * FRAME_MS / 1e3
        self._spoke_at: float | None = None
        self._is_answer_due = False
        self._refusals: set[str] = set()
        self._rx_bytes = 0
        self._rx_chunks = 0
        # The next frame is the first of a response.
        self.is_frame_due = False
        self._is_total_due = False
        self.tools: list[ToolRecord] = []
        self.keypad_rows = 0
        self.operator_turns = 0
        self.stream_sid = ""
        self.transcript = Transcript()
        self.usage: dict[str, float] = {}
        self.greeting_ms: float | None = None
        self.answer_ms: list[float] = []
        self.barge_in_ms: list[float] = []
        self.dropped_usage = 0
        self.dropped_latencies = 0
        # The limits that have a line in the log.
        self.limits_told: set[str] = set()
        # Frames that another process had counted: as `Checkpoint.frames`.
        self.frames_before = (0, 0, 0, 0, 0)

    def at_s(self, now: float) -> float:
        """Return the time since the call was opened."""
        return round(now - self.opened_at, 3)

    @property
    def learnt(self) -> int:
        """A count that grows with every turn and tool: equal counts, equal record."""
        return len(self.tools) + self.transcript.changes

    @property
    def is_answered(self) -> bool:
        """Tell whether a stream ever began."""
        return self.answered_at is not None

    @property
    def active_at(self) -> float:
        """When the caller last spoke or pressed a key, or was connected."""
        return max(self._spoke_at or 0.0, self._connected_at or self.opened_at)

    def restore(self, saved: Checkpoint, now: float) -> None:
        """Go on with the record of a call that another process has left."""
        self.opened_at = now - saved.at_s
        if saved.answered_at_s is not None:
            self.answered_at = self.opened_at + saved.answered_at_s
        self.stream_sid = saved.stream_sid
        self.tools = list(saved.tools)
        self.keypad_rows = saved.keypad_rows
        self.operator_turns = saved.operator_turns
        self.limits_told = set(saved.limits_told)
        self.usage = dict(saved.usage)
        self.greeting_ms = saved.greeting_ms
        self.answer_ms, self.barge_in_ms = (
            list(saved.answer_ms),
            list(saved.barge_in_ms),
        )
        self.frames_before = saved.frames
        self.transcript.restore(saved.turns)

    # --- the caller ---

    def answered(self, stream_sid: str, now: float) -> None:
        """Note that the stream has begun."""
        self.stream_sid = stream_sid
        self._connected_at = now
        if self.answered_at is None:
            self.answered_at = now

    def resumed(self, stream_sid: str) -> None:
        """Note that another stream has replaced a lost one."""
        self.stream_sid = stream_sid

    def caller_spoke(self, now: float) -> None:
        """Note that the gate is open, or that a key was pressed."""
        self._spoke_at = now
        self._is_answer_due = True

    def committed(self, event: openai.Committed, now: float) -> None:
        """Note that a turn of the caller has become an item."""
        self.transcript.place(
            "caller", event.item_id, self.at_s(now), event.previous_item_id
        )

    def caller_said(self, event: openai.TranscriptionCompleted, now: float) -> Log:
        """Take a transcript of the caller; its cost is billed separately."""
        self._add_tokens(TRANSCRIPTION, event.usage or {})
        turn = self.transcript.set_text(
            "caller", event.item_id, event.transcript, self.at_s(now)
        )
        return Log("info", f"[REALTIME] Caller said: {turn.text}", speech=True)

    def digits_pressed(self, digits: str, now: float) -> None:
        """Note a row of digits that went to the model."""
        self.keypad_rows += 1
        item_id = f"keypad-{self.keypad_rows}"
        self.transcript.set_text("keypad", item_id, " ".join(digits), self.at_s(now))

    def operator_told(self, text: str, now: float) -> None:
        """Note what the model was told by or of an operator."""
        self.transcript.set_text("told", self._operator_id(), text, self.at_s(now))

    def operator_speaks(self, began_at: float) -> str:
        """Place what an operator said, whose words have yet to come; return its id."""
        item_id = self._operator_id()
        self.transcript.place("operator", item_id, self.at_s(began_at))
        return item_id

    def operator_said(self, words: OperatorWords, now: float) -> None:
        """Take the words of an operator; they cost what a caller's cost."""
        self._add_tokens(TRANSCRIPTION, words.usage)
        if words.failed:
            self.transcript.close(words.item_id)
            return
        text = words.text.strip()[:OPERATOR_WORDS_CHARS_MAX]
        self.transcript.set_text("operator", words.item_id, text, self.at_s(now))

    def _operator_id(self) -> str:
        self.operator_turns += 1
        return f"operator-{self.operator_turns}"

    # --- the model ---

    def ai_said(self, event: openai.TranscriptDone, now: float) -> Log:
        """Take the whole transcript of a part; of a cut turn, the words heard."""
        part = event.content_index
        turn = self.transcript.set_text(
            "ai", event.item_id, event.transcript, self.at_s(now), part
        )
        cut = " (interrupted)" if turn.interrupted else ""
        said = turn.parts.get(part, "")
        return Log("info", f"[REALTIME] AI said: {said}{cut}", speech=True)

    def response_began(self) -> None:
        """Note that the next chunk and frame are the first of a response."""
        self._rx_bytes = self._rx_chunks = 0
        self.is_frame_due = True

    def refusal_line(self, code: str, text: str) -> Log | None:
        """Return the line for the first refusal of a kind; all are counted."""
        if code in self._refusals or len(self._refusals) >= REFUSALS_MAX:
            return None
        self._refusals.add(code)
        return Log("warning", f"[REALTIME] Error {text[:ERROR_CHARS_MAX]}")

    def audio_line(self, chunk_bytes: int) -> Log | None:
        """Return the line for the first chunk of a response."""
        self._rx_bytes += chunk_bytes
        self._rx_chunks += 1
        if self._rx_chunks > 1:
            return None
        return _chunk_line(f"bytes={chunk_bytes}")

    def audio_total_line(self) -> Log | None:
        """Return the line with a response's totals, if it had audio."""
        if not self._rx_chunks:
            return None
        return _chunk_line(f"bytes={self._rx_bytes} (total of {self._rx_chunks})")

    def frame_line(self, total_frames: int, now: float) -> Log | None:
        """Return the line for the first frame of a response, and time it."""
        if not self.is_frame_due:
            return None
        self.is_frame_due = False
        self._is_total_due = True
        self._time_answer(now)
        return _frame_line(FRAME_BYTES, total_frames)

    def frame_total_line(self, total_frames: int) -> Log | None:
        """Return the line with the totals, once all of a response was sent."""
        if not self._is_total_due:
            return None
        self._is_total_due = False
        return _frame_line(total_frames * FRAME_BYTES, total_frames)

    def greeted(self, now: float) -> Log:
        """Return the line for the first frame of the first words, timed from `start`.

        The first words of a call that another process has left are no greeting.
        """
        assert self._connected_at is not None, "greeted before anybody was there"
        after_ms = (now - self._connected_at) * 1e3
        self._is_answer_due = False
        if self.greeting_ms is not None:
            return Log(
                "info", f"[REALTIME] Speaks again: {after_ms:.0f} ms after start"
            )
        self.greeting_ms = after_ms
        return Log("info", f"[REALTIME] Greeting begins: {after_ms:.0f} ms after start")

    def _time_answer(self, now: float) -> None:
        if self._is_answer_due and self._spoke_at is not None:
            ended_at = self._spoke_at - self._hangover_s
            self._keep_latency(self.answer_ms, (now - ended_at) * 1e3)
        self._is_answer_due = False

    def barged_in(self, latency_ms: float) -> None:
        """Note an interruption, `ms` after the caller began to speak."""
        self._keep_latency(self.barge_in_ms, latency_ms)

    def _keep_latency(self, kept: list[float], latency_ms: float) -> None:
        if len(kept) < LATENCIES_MAX:
            kept.append(latency_ms)
        else:
            self.dropped_latencies += 1

    def response_ended(self, response: openai.Response) -> None:
        """Add up what a response cost, in tokens by kind."""
        self._add_tokens("", response.usage or {})

    def _add_tokens(self, prefix: str, usage: dict[str, Any]) -> None:
        for name, value in usage.items():
            kind = prefix + name[:ERROR_CHARS_MAX]
            if isinstance(value, dict) and prefix.count(".") < USAGE_DEPTH_MAX:
                self._add_tokens(f"{kind}.", value)
            elif isinstance(value, int | float) and 0 <= value < TOKENS_MAX:
                if kind in self.usage or len(self.usage) < USAGE_KINDS_MAX:
                    self.usage[kind] = self.usage.get(kind, 0) + value
                else:
                    self.dropped_usage += 1

    def tool_answered(self, result: ToolResult, now: float) -> None:
        """Note a tool's result."""
        self.tools.append(
            ToolRecord(
                tool_call_id=result.tool_call_id,
                name=result.name,
                arguments=result.arguments,
                result=result.output,
                ok=result.ok,
                duration_ms=result.duration_ms,
                at_s=self.at_s(now),
            )
        )


def voice_line(gate: NoiseGate) -> Log:
    """Return the line for a voiced frame."""
    text = f"rms={gate.rms:.0f} snr={gate.snr_db:.1f} (voice detected)"
    return Log("info", f"[REAL_VOICE] {text}")


def _chunk_line(text: str) -> Log:
    return Log("info", f"[REALTIME] got audio chunk from OpenAI: {text}")


def _frame_line(sent_bytes: int, total_frames: int) -> Log:
    text = f"bytes={sent_bytes}, total_sent={total_frames}"
    return Log("info", f"[REALTIME] sent media frame to Twilio: {text}")
