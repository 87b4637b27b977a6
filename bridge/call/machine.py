"""Call: one phone call as a state machine, without sockets, clock or tasks.

Theory of operation. The owner of the sockets passes every message, event, timeout, tool
result and loss to one `receive_*` method, with the time. It performs the actions that
the method returns, in order, before it passes the next input. `deadline` is the only
timer: `receive_timeout` is to be called at that time.

    WAITING --(stream and session ready)--> TALKING --(last words)--> ENDING --> ENDED

A call may leave any phase for ENDED. ENDED is final: inputs that arrive later are only
counted. While the ledger says that the AI is audible, the caller's audio is withheld
from the model. `bridge.call.state` holds the owners of the call's facts. This module
passes each input to the function that decides about it.
"""

from collections.abc import Callable
from typing import Any

from bridge.call import (
    answers,
    bad_messages,
    checkpoint,
    dtmf,
    goodbye,
    hangup,
    interruption,
    last_turn,
    model_events,
    operator_orders,
    resumption,
    session_rollover,
    speech,
    timeouts,
    totals,
    turns,
)
from bridge.call.call_record import voice_line
from bridge.call.plan import (
    Action,
    CallPlan,
    CallRecord,
    Checkpoint,
    Leg,
    OperatorOrder,
    OperatorWords,
    Phase,
    Refusal,
    ToolResult,
)
from bridge.call.state import CallState
from bridge.call.streams import Transport
from bridge.media.fast_path import GIVEN, NOTABLE
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES
from dsp.resample import PcmEncoder

# Longer gaps in Twilio's timestamps are filled only up to this length.
GAP_FRAMES_MAX = 25


class Call(CallState):
    """One phone call; every `receive_*` returns the actions to perform, in order."""

    def __init__(self, plan: CallPlan, now: float) -> None:
        super().__init__(plan, now)
        is_pcm = plan.options.openai_output_format == "audio/pcm"
        self._pcm = PcmEncoder() if is_pcm else None
        self._pcm_part = "", 0  # whose audio the encoder holds the rest of
        if plan.resumed is not None:
            checkpoint.restore(self, plan.resumed)

    @property
    def deadline(self) -> float | None:
        """When `receive_timeout` must be called, if nothing else comes before."""
        return self.timers.deadline

    # --- inputs ---

    def receive_twilio(self, message: twilio.Inbound, now: float) -> list[Action]:
        """Take one message from Twilio."""
        return self._receive(_ON_TWILIO[type(message)], message, now)

    def receive_heard(self, now: float) -> list[Action]:
        """Weigh a frame that the fast path has read and found NOTABLE."""
        return self._receive(Call._weigh_frame, None, now)

    def receive_openai(self, event: openai.Inbound, now: float) -> list[Action]:
        """Take one event from the model."""
        self.sessions.note_sign()
        return self._receive(_ON_OPENAI[type(event)], event, now)

    def receive_standby(self, event: openai.Inbound, now: float) -> list[Action]:
        """Take one event from the standby session."""
        return self._receive(session_rollover.on_standby_event, event, now)

    def receive_timeout(self, now: float) -> list[Action]:
        """Act on the timers that are due: `deadline` has passed."""
        return self._receive(timeouts.on_timeout, None, now)

    def receive_tool_result(self, result: ToolResult, now: float) -> list[Action]:
        """Take the result of a tool."""
        return self._receive(model_events.on_tool_result, result, now)

    def receive_disconnect(
        self, leg: Leg, reason: str | Refusal, now: float
    ) -> list[Action]:
        """Take the loss of a leg, or the failure to open it."""
        return self._receive(session_rollover.on_disconnect, (leg, reason), now)

    def receive_transport(self, what: Transport, now: float) -> list[Action]:
        """Take a change of the caller's connection that is not a message."""
        return self._receive(resumption.on_transport, what, now)

    def receive_malformed(self, leg: Leg, error: str, now: float) -> list[Action]:
        """Count a message that could not be read; too many end the call."""
        return self._receive(session_rollover.on_malformed, (leg, error), now)

    def receive_unknown(self, leg: Leg, kind: str, now: float) -> list[Action]:
        """Count a message of a type that is not known."""
        return self._receive(bad_messages.on_unknown, (leg, kind), now)

    def receive_hangup(
        self, reason: str, now: float, *, politely: bool = False
    ) -> list[Action]:
        """End the call, at once or with a spoken goodbye."""
        end = goodbye.end_politely if politely else hangup.end
        return self._receive(end, reason, now)

    def receive_operator(self, order: OperatorOrder, now: float) -> list[Action]:
        """Take what an operator orders: a hint, to take over, to hand back."""
        return self._receive(operator_orders.on_order, order, now)

    def receive_operator_audio(self, frames: bytes, now: float) -> list[Action]:
        """Take what an operator who has taken over says, in whole frames."""
        return self._receive(operator_orders.on_audio, frames, now)

    def receive_operator_words(self, words: OperatorWords, now: float) -> list[Action]:
        """Take what an operator said in one portion, as it was transcribed."""
        return self._receive(operator_orders.on_words, words, now)

    def break_off(self) -> None:
        """End the call after a bug in the bridge: no action is left or begun."""
        self.phase = Phase.ENDED  # from any phase
        self.timers.clear()
        self.fast_path.is_open = False
        self.actions = []
        self.ending.fail()
        self.ending.finish("internal_error")

    def receive_limit(self, limit: str, left_s: float, now: float) -> list[Action]:
        """Take a limit of the business that ends the call in `left_s` seconds."""
        return self._receive(goodbye.on_limit, (limit, left_s), now)

    def record(self, now: float) -> CallRecord:
        """Return the record of this call."""
        return totals.record(self, now)

    def checkpoint(self, now: float) -> Checkpoint:
        """Return what another process needs to go on with this call."""
        return checkpoint.take(self, now)

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
        self.fast_path.is_open = self.is_listening
        actions, self.actions = self.actions, []
        return actions

    @property
    def awaits_words(self) -> bool:
        """Tell whether the call is over, except for transcripts that may still come."""
        return last_turn.is_awaited(self)

    # --- what the caller says ---

    def _on_media(self, message: twilio.Media) -> None:
        payload = message.media.payload
        if message.media.timestamp:
            try:
                at_ms = message.media.at_ms()
            except twilio.ProtocolError as error:
                bad_messages.on_malformed(self, (Leg.TWILIO, str(error)))
                return
            self._fill_gap(at_ms, len(payload))
        if len(payload) == FRAME_BYTES and not self.uplink.remainder:
            self._on_frame(payload)
            return
        for frame in self.uplink.cut(payload):
            self._on_frame(frame)

    def _on_frame(self, frame: bytes) -> None:
        heard = self.fast_path.take(frame, self.now, self.is_listening)
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
        if fast_path.is_double_talk(now) and not self.takeover.is_on:
            interruption.consider(self)
        if self.uplink.has_turn_ended():
            turns.end_turn(self)

    def _note_spoken(self) -> None:
        """Note when the gate was last open."""
        if self.fast_path.spoke_at >= 0:
            self.call_record.caller_spoke(self.fast_path.spoke_at)
            self.fast_path.spoke_at = -1.0

    def _fill_gap(self, at_ms: int, payload_bytes: int) -> None:
        """Fill an open turn with silence where the network lost audio."""
        lost = self.fast_path.lost_frames(at_ms)
        self.fast_path.note_timestamp(at_ms, payload_bytes)
        if lost:
            self.counters.gap_frames += lost
            self.uplink.fill_gap(min(lost, GAP_FRAMES_MAX))

    # --- what the caller hears ---

    def _on_audio_delta(self, event: openai.AudioDelta) -> None:
        if self.responses.active_id is None:
            answers.note_sign(self, event.response_id)
        is_unwanted = self.takeover.is_on
        if is_unwanted or self.responses.is_cancelled(event.response_id):
            self.counters.late_deltas += 1
            if self.counters.late_deltas == 1:
                self.info("[REALTIME] Late audio of a cancelled response: dropped")
            return
        if not event.delta:
            return  # an item without audio cannot be truncated
        self.log(self.call_record.audio_line(len(event.delta)))
        delta = event.delta if self._pcm is None else self._encode(self._pcm, event)
        self.recovery.note_audio(delta)
        self.call_record.transcript.note_sound(event.item_id)
        self.playout.push(event.item_id, event.content_index, delta)
        speech.feed(self)

    def _encode(self, pcm: PcmEncoder, event: openai.AudioDelta) -> bytes:
        """Encode a delta; the rest of a part that was cut is dropped."""
        part = event.item_id, event.content_index
        if part != self._pcm_part:
            pcm.flush()
            self._pcm_part = part
        return pcm.encode(event.delta)

    def _on_audio_done(self, event: openai.AudioDone) -> None:
        if self.takeover.is_on or self.responses.is_cancelled(event.response_id):
            return
        if self._pcm is not None:
            self.playout.push(event.item_id, event.content_index, self._pcm.flush())
        self.playout.finish(event.item_id, event.content_index)
        speech.feed(self)

    go_on = speech.go_on


_ON_TWILIO: dict[type, Callable[[Call, Any], None]] = {
    twilio.Connected: lambda call, message: None,  # `start` follows
    twilio.Start: resumption.on_start,
    twilio.Media: Call._on_media,
    twilio.Dtmf: dtmf.on_digit,
    twilio.Mark: speech.on_mark,
    twilio.Stop: hangup.on_stop,
}
_ON_OPENAI: dict[type, Callable[[Call, Any], None]] = {
    openai.AudioDelta: Call._on_audio_delta,
    openai.AudioDone: Call._on_audio_done,
    **session_rollover.HANDLERS,
    **model_events.HANDLERS,
}
