"""Call: one phone call as a state machine, without sockets, clock or tasks.

Theory of operation. Whoever owns the sockets hands every message, event, timer, tool
result and loss to one `receive_*` with the time, and performs every action it returns,
in order, before the next. `deadline` is the one timer: call `receive_timeout` then.

    WAITING --(stream and session ready)--> TALKING --(last words)--> ENDING --> ENDED

A call may leave any phase for ENDED; ENDED is final: what still arrives is counted.
While the AI is audible by the ledger the caller is withheld from the model. Facts have
owners that know no call: `Playout` what was heard, `Responses` which answer runs. The
modules whose functions take a `Call` wire the owners together, and own nothing.
"""

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType

from bridge.call import (
    answers,
    ending,
    interruption,
    keypad,
    last_turn,
    model_events,
    resumption,
    session_rollover,
    timeouts,
    turns,
)
from bridge.call.barge_in import BargeIn
from bridge.call.call_record import CallRecordBuilder, voice_line
from bridge.call.floor import Due, Floor
from bridge.call.greeting import Greeting
from bridge.call.last_words import LastWords
from bridge.call.plan import (
    Action,
    CallPlan,
    CallRecord,
    Counters,
    Leg,
    Log,
    Phase,
    Refusal,
    ToolResult,
)
from bridge.call.recovery import Recovery
from bridge.call.responses import Responses
from bridge.call.sessions import Sessions
from bridge.call.silence import Silence
from bridge.call.streams import Streams, Transport
from bridge.call.time_limit import TimeLimit
from bridge.call.timers import Timer, Timers
from bridge.call.tool_calls import ToolCalls
from bridge.call.transitions import follow
from bridge.media.fast_path import GIVEN, NOTABLE, MediaFastPath
from bridge.media.playout import Frames, Playout
from bridge.media.untranscribed import UntranscribedAudio
from bridge.media.uplink import Uplink
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES
from dsp.resample import PcmEncoder

# Gaps in Twilio's timestamps up to this are filled; longer ones are not worth it.
GAP_FRAMES_MAX = 25
_NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset((Phase.TALKING, Phase.ENDED)),
    Phase.TALKING: frozenset((Phase.ENDING, Phase.ENDED)),
    Phase.ENDING: frozenset((Phase.ENDED,)),
    Phase.ENDED: frozenset(),
}


class Call:
    """One phone call; every `receive_*` returns the actions to perform, in order."""

    def __init__(self, plan: CallPlan, now: float) -> None:
        options = plan.options
        self.plan = plan
        self.now = now
        self.phase = Phase.WAITING
        self.counters = Counters()
        self.timers = Timers()
        self.uplink = Uplink(options)
        self.untranscribed = UntranscribedAudio()
        self.playout = Playout(lead_ms=options.playout_lead_ms)
        self.fast_path = MediaFastPath(self.uplink, self.playout)
        self.ending = ending.Ending(plan)
        self.call_record = CallRecordBuilder(plan, now)
        self.actions: list[Action] = []
        self.sessions = Sessions(plan, self.counters, self.timers, now)
        self.greeting = Greeting(self.timers, is_wanted=bool(plan.greeting))
        self.tool_calls = ToolCalls(self.timers, self.counters, options)
        self.responses = Responses(self.timers)
        self.recovery = Recovery(self.timers)
        self.floor = Floor(self.timers, options)
        self.keypad = keypad.Keypad(self.timers)
        self.silence = Silence(self.timers, options)
        self.time_limit = TimeLimit(self.timers, options)
        self.last_words = LastWords(self.timers)
        self.streams = Streams(self.counters, self.timers, now)
        self.barge_in = BargeIn(self.timers, options)
        is_pcm = options.openai_output_format == "audio/pcm"
        self._pcm = PcmEncoder() if is_pcm else None

    @property
    def deadline(self) -> float | None:
        """When `receive_timeout` must be called, if nothing else comes before."""
        return self.timers.deadline

    @property
    def is_session_ready(self) -> bool:
        """Tell whether the model's session is as we want it."""
        return self.sessions.is_ready

    @property
    def is_talking(self) -> bool:
        """Tell whether the conversation runs."""
        return self.phase is Phase.TALKING

    def enter(self, phase: Phase) -> None:
        """Go on to another phase; one that does not follow is a bug of ours."""
        self.phase = follow(_NEXT, self.phase, phase)

    # --- doors ---

    def receive_twilio(self, message: twilio.Inbound, now: float) -> list[Action]:
        """Take one message from Twilio."""
        return self._receive(_ON_TWILIO[type(message)], message, now)

    def receive_heard(self, now: float) -> list[Action]:
        """Weigh a frame that came by the fast path, which found it NOTABLE."""
        return self._receive(Call._weigh_frame, None, now)

    def receive_openai(self, event: openai.Inbound, now: float) -> list[Action]:
        """Take one event from the model."""
        return self._receive(_ON_OPENAI[type(event)], event, now)

    def receive_standby(self, event: openai.Inbound, now: float) -> list[Action]:
        """Take one event from the session that is to be the next."""
        return self._receive(session_rollover.on_standby_event, event, now)

    def receive_timeout(self, now: float) -> list[Action]:
        """Take the passing of `deadline`."""
        return self._receive(timeouts.on_timeout, None, now)

    def receive_tool_result(self, result: ToolResult, now: float) -> list[Action]:
        """Take a tool's answer."""
        return self._receive(model_events.on_tool_result, result, now)

    def receive_disconnect(
        self, leg: Leg, reason: str | Refusal, now: float
    ) -> list[Action]:
        """Take the loss of a leg, or that it could not be had at all."""
        return self._receive(session_rollover.on_disconnect, (leg, reason), now)

    def receive_transport(self, what: Transport, now: float) -> list[Action]:
        """Take what is heard of the caller's connection, beside its messages."""
        return self._receive(resumption.on_transport, what, now)

    def receive_malformed(self, leg: Leg, error: str, now: float) -> list[Action]:
        """Take a message that could not be read; past a limit it ends the call."""
        return self._receive(session_rollover.on_malformed, (leg, error), now)

    def receive_unknown(self, leg: Leg, kind: str, now: float) -> list[Action]:
        """Take note of a message of a type nobody here knows."""
        return self._receive(ending.on_unknown, (leg, kind), now)

    def receive_hangup(
        self, reason: str, now: float, *, politely: bool = False
    ) -> list[Action]:
        """End the call, at once or with a spoken goodbye."""
        end = ending.end_politely if politely else ending.end
        return self._receive(end, reason, now)

    def break_off(self) -> None:
        """A bug of ours has ended the call: nothing is done any more, or begun."""
        self.phase = Phase.ENDED  # from wherever it was
        self.timers.clear()
        self.fast_path.is_open = False
        self.actions = []
        self.ending.reason = "internal_error"
        self.ending.failed = True

    def receive_limit(self, limit: str, left_s: float, now: float) -> list[Action]:
        """Take a limit of the business that lets the call go on for so long."""
        return self._receive(ending.on_limit, (limit, left_s), now)

    def record(self, now: float) -> CallRecord:
        """Return what is to be written of this call."""
        return self.call_record.record(self, now)

    def _receive(
        self, answer: Callable[["Call", Any], None], what: Any, now: float
    ) -> list[Action]:
        assert now >= self.now, "time went backwards"
        self.now = now
        if self.phase is Phase.ENDED:
            is_lost = answer is session_rollover.on_disconnect
            return last_turn.receive_late(self, what, is_lost=is_lost)
        self._note_spoken()
        answer(self, what)
        self.fast_path.is_open = self._hears
        actions, self.actions = self.actions, []
        return actions

    @property
    def awaits_words(self) -> bool:
        """Tell whether the call is over but for words of the caller's, on their way."""
        return last_turn.is_awaited(self)

    @property
    def _hears(self) -> bool:
        """Tell whether the caller is listened to while the AI is silent."""
        is_ready = self.is_session_ready and not self.greeting.is_due
        return is_ready and self.phase is not Phase.ENDED

    # --- what the caller says ---

    def _on_media(self, message: twilio.Media) -> None:
        payload = message.media.payload
        if message.media.timestamp:
            try:
                at_ms = message.media.at_ms()
            except twilio.ProtocolError as error:
                ending.on_malformed(self, (Leg.TWILIO, str(error)))
                return
            self._fill_gap(at_ms, len(payload))
        if len(payload) == FRAME_BYTES and not self.uplink.remainder:
            self._on_frame(payload)
            return
        for frame in self.uplink.cut(payload):
            self._on_frame(frame)

    def _on_frame(self, frame: bytes) -> None:
        heard = self.fast_path.take(frame, self.now, self._hears)
        self._note_spoken()
        if heard & GIVEN:
            self.actions += map(openai.AppendAudio, self.fast_path.given)
        if heard & NOTABLE:
            self._weigh_frame()

    def _weigh_frame(self, _: None = None) -> None:
        """Act on what the newest frame shows."""
        fast_path, now = self.fast_path, self.now
        if fast_path.is_voice_line_due(now):
            fast_path.note_voice_line(now)
            self.actions.append(voice_line(self.uplink.gate))
        if fast_path.is_double_talk(now):
            interruption.consider(self)
        if self.uplink.has_turn_ended():
            turns.end_turn(self)

    def _note_spoken(self) -> None:
        """Take note of when the gate was open last."""
        if self.fast_path.spoke_at >= 0:
            self.call_record.caller_spoke(self.fast_path.spoke_at)
            self.fast_path.spoke_at = -1.0

    def _fill_gap(self, at_ms: int, payload_bytes: int) -> None:
        """Keep an open turn's time where the network lost audio."""
        lost = self.fast_path.lost_frames(at_ms)
        self.fast_path.note_timestamp(at_ms, payload_bytes)
        if lost:
            self.counters.gap_frames += lost
            self.uplink.fill_gap(min(lost, GAP_FRAMES_MAX))

    # --- what the caller hears ---

    def _on_audio_delta(self, event: openai.AudioDelta) -> None:
        if self.responses.active_id is None:
            answers.note_sign(self, event.response_id)
        if self.responses.is_cancelled(event.response_id):
            self.counters.late_deltas += 1
            if self.counters.late_deltas == 1:
                self.info("[REALTIME] Late audio of a cancelled response: dropped")
            return
        self.log(self.call_record.audio_line(len(event.delta)))
        delta = event.delta if self._pcm is None else self._pcm.encode(event.delta)
        self.recovery.note_audio(delta)
        self.playout.push(event.item_id, event.content_index, delta)
        self.feed()

    def _on_audio_done(self, event: openai.AudioDone) -> None:
        if self.responses.is_cancelled(event.response_id):
            return
        if self._pcm is not None:
            self.playout.push(event.item_id, event.content_index, self._pcm.flush())
        self.playout.finish(event.item_id, event.content_index)
        self.feed()

    def feed(self) -> None:
        """Send what is due; the rest stays in the ledger until `deadline`."""
        stream_sid = self.streams.sid
        if not stream_sid:
            return
        first = self.playout.frames_sent + 1
        for piece in self.playout.feed(self.now):
            if isinstance(piece, Frames):
                self.actions.append(twilio.OutboundAudio(stream_sid, piece.audio))
                if self._is_frame_notable:
                    self._note_frame(first)
                first += len(piece.audio) // FRAME_BYTES
            else:
                body = twilio.MarkBody(piece.name)
                self.actions.append(twilio.OutboundMark(stream_sid, body))
        self.timers.set(Timer.FEED, self.playout.deadline)
        if not self.playout.has_unsent:
            self.log(self.call_record.frame_total_line(self.playout.frames_sent))
            ending.hang_up_when_heard(self)

    def go_on(self, now: float) -> bytes:
        """Return what is due of speech in its midst; all else is a timeout's."""
        if not self.streams.sid or self._is_frame_notable:
            return b""
        audio = self.playout.go_on(now)
        if audio:
            self.timers.set(Timer.FEED, self.playout.deadline)
        return audio

    @property
    def _is_frame_notable(self) -> bool:
        """Tell whether the next frame is the first of the greeting or of a response."""
        return self.greeting.is_due or self.call_record.is_frame_due

    def _note_frame(self, total_frames: int) -> None:
        if self.greeting.is_due:
            self.greeting.end()
            self.log(self.call_record.greeted(self.now))
        self.log(self.call_record.frame_line(total_frames, self.now))

    # --- what we ask for ---

    def request(self, params: openai.ResponseParams | UnsetType = UNSET) -> None:
        """Ask the model to speak, now or when it has ended what it says."""
        self.ask(self.responses.request(self.now, params))

    def ask(self, requests: list[openai.ResponseCreate]) -> None:
        """Send what is to be asked for now; a plain answer is one to all tools."""
        self.actions += requests
        if any(request.response is UNSET for request in requests):
            self.tool_calls.note_answered()

    @property
    def has_caller_floor(self) -> bool:
        """Tell whether the caller speaks, or awaits the server's answer."""
        return self.floor.is_callers(self.uplink, self.responses.answer_by)

    def when_free(self, what: Due) -> None:
        """Do it now, or as soon as the caller leaves us the floor."""
        if self.floor.take(what, self.now, is_callers=self.has_caller_floor):
            answers.ON_FLOOR[what](self)

    def lose_session(self, why: str) -> None:
        """Do without the model's session: it is of no use any more."""
        session_rollover.on_lost(self, why)

    def tell(self, event: openai.ClientEvent) -> None:
        """Send the model what its session must know; a later one is told all anew."""
        if self.is_session_ready:
            self.actions.append(event)

    def log(self, line: Log | None) -> None:
        """Write a line, if there is one to write."""
        if line is not None:
            self.actions.append(line)

    def info(self, text: str) -> None:
        """Write an ordinary line."""
        self.actions.append(Log("info", text))


_ON_TWILIO: dict[type, Callable[[Call, Any], None]] = {
    twilio.Connected: lambda call, message: None,  # `start` follows
    twilio.Start: resumption.on_start,
    twilio.Media: Call._on_media,
    twilio.Dtmf: keypad.on_digit,
    twilio.Mark: ending.on_mark,
    twilio.Stop: ending.on_stop,
}
_ON_OPENAI: dict[type, Callable[[Call, Any], None]] = {
    openai.AudioDelta: Call._on_audio_delta,
    openai.AudioDone: Call._on_audio_done,
    **session_rollover.HANDLERS,
    **model_events.HANDLERS,
}
