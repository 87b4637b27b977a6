"""Barge-in: whether voice over the AI is an interruption.

Theory of operation. Two stages. On first evidence of voice over the AI the feed is
held, while the lead plays out; voice that goes on and is certain (dsp/evidence.pxd)
within HOLD_S confirms it, and otherwise the reply goes on from the very next byte.
Neither happens in the first moments of the AI's speech, nor soon after the caller has
interrupted: the business sets both.

`BargeIn` weighs; `bridge.call.interruption` holds and silences.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.media.playout import Playout
from bridge.media.uplink import Uplink
from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_MS

# Evidence that makes us hold the feed, and how long it has to become a barge-in.
EVIDENCE_FRAMES = 3
HOLD_S = 0.3
# "Mm-hm" and "yes" are under 300 ms, and a voice is counted from a faint frame before
# it; a caller who wants the floor goes on. Of 670 pieces of speech of 200 to 290 ms
# over the AI 15 frames let 15 through, 16 none.
BACKCHANNEL_FRAMES = 320 // FRAME_MS


class Verdict(Enum):
    """What voice over the AI is worth."""

    NOTHING = "too little, or too soon"
    EVIDENCE = "the feed is to be held until HOLD"
    CONFIRMED = "the caller interrupts"


class BargeIn:
    """The owner of when the caller may interrupt, and of the timer HOLD."""

    def __init__(self, timers: Timers, options: CallOptions) -> None:
        self._timers = OwnTimers(timers, Timer.HOLD)
        self._options = options
        self._confirmed_at = float("-inf")

    @property
    def frames_needed(self) -> int:
        """How much voice makes an interruption."""
        options = self._options
        if options.barge_in_ignore_backchannel:
            return max(options.min_consecutive_voice_frames, BACKCHANNEL_FRAMES)
        return options.min_consecutive_voice_frames

    def too_soon(
        self, now: float, audible_since: float
    ) -> tuple[str, float, int] | None:
        """Return the rule by which no voice may interrupt yet; None where one may.

        With it: how many ms of the rule's time have passed, and that time in ms.
        """
        options = self._options
        audible_ms = (now - audible_since) * 1e3
        if audible_ms < options.barge_in_grace_ms:
            return "grace", audible_ms, options.barge_in_grace_ms
        cooled_ms = (now - self._confirmed_at) * 1e3
        if cooled_ms < options.barge_in_cooldown_ms:
            return "cooldown", cooled_ms, options.barge_in_cooldown_ms
        return None

    def weigh(self, now: float, uplink: Uplink, playout: Playout) -> Verdict:
        """Weigh the caller's voice over the AI's."""
        if self.too_soon(now, playout.audible_since) is not None:
            return Verdict.NOTHING
        voiced = uplink.voice_frames
        if voiced >= self.frames_needed and uplink.is_certain:
            self._confirmed_at = now
            self.forget()
            return Verdict.CONFIRMED
        if voiced >= EVIDENCE_FRAMES and not playout.is_held:
            self._timers.set(Timer.HOLD, now + HOLD_S)
            return Verdict.EVIDENCE
        return Verdict.NOTHING

    def forget(self) -> None:
        """Nothing waits for more evidence: the AI is silenced, or nobody is there."""
        self._timers.cancel(Timer.HOLD)
