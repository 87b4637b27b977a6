"""Barge-in: whether voice over the AI is an interruption.

Theory of operation. There are two stages. On the first evidence of voice over the AI
the feed is held, while the lead plays out. Voice that goes on and is certain
(dsp/evidence.pxd) within HOLD_S confirms the barge-in; otherwise the reply goes on from
the next byte. Neither stage happens in the first moments of the AI's speech, or soon
after the caller has interrupted. The business sets both times.

`BargeIn` decides; `bridge.call.interruption` holds the feed and stops the AI.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.media.playout import Playout
from bridge.media.uplink import Uplink
from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_MS

# The evidence on which the feed is held, and how long it has to become a barge-in.
EVIDENCE_FRAMES = 3
HOLD_S = 0.3
# "Mm-hm" and "yes" last less than 300 ms, and the count begins with a faint frame
# before the voice; a caller who wants the floor goes on speaking. Of 670 pieces of
# speech of 200 to 290 ms over the AI, a threshold of 15 frames let 15 pass, and one of
# 16 frames none.
BACKCHANNEL_FRAMES = 320 // FRAME_MS


class Verdict(Enum):
    """What voice over the AI amounts to."""

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
        """The number of voice frames that make an interruption."""
        options = self._options
        if options.barge_in_ignore_backchannel:
            return max(options.min_consecutive_voice_frames, BACKCHANNEL_FRAMES)
        return options.min_consecutive_voice_frames

    def too_soon(
        self, now: float, audible_since: float
    ) -> tuple[str, float, int] | None:
        """Return the rule that forbids an interruption yet; None if none does.

        The tuple also holds how many ms of the rule's time have passed, and that time
        in ms.
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
        """Judge the caller's voice over the AI's."""
        if self.too_soon(now, playout.audible_since) is not None:
            return Verdict.NOTHING
        voiced = uplink.voice.own_frames
        if voiced >= self.frames_needed and uplink.is_certain:
            self._confirmed_at = now
            self.forget()
            return Verdict.CONFIRMED
        if voiced >= EVIDENCE_FRAMES and not playout.is_held:
            self._timers.set(Timer.HOLD, now + HOLD_S)
            return Verdict.EVIDENCE
        return Verdict.NOTHING

    def forget(self) -> None:
        """Stop waiting for more evidence: the AI is stopped, or the caller is gone."""
        self._timers.cancel(Timer.HOLD)
