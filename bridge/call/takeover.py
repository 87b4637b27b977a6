"""Takeover: whether an operator speaks with the caller in the place of the AI.

Theory of operation. An operator is a person of the business at the console. While the
takeover is on, nothing makes the AI speak and nothing but a limit ends the call. The
operator's audio comes all the time, silence included. If none has come for LOST_S, the
operator is gone, and the AI must lead the call again.

    OFF --(taken over)--> ON --(handed back, operator gone, goodbye)--> OFF
"""

from bridge.call.plan import Fail
from bridge.call.timers import OwnTimers, Timer, Timers

# A page in the background and a change of network both take less.
LOST_S = 5.0


class Takeover:
    """The owner of one call's takeover, and of the timer OPERATOR."""

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.OPERATOR)
        self.is_on = False
        self.frames = 0
        # The failure of the model that ends the call once it is handed back.
        self.failure: Fail | None = None
        self._began_at = 0.0
        self._heard_at = 0.0

    def begin(self, now: float) -> None:
        """Note that the operator speaks from here on."""
        assert not self.is_on, "an operator has the call"
        self.is_on = True
        self.frames = 0
        self.failure = None
        self._began_at = self._heard_at = now
        self._timers.set(Timer.OPERATOR, now + LOST_S)

    def lasted_s(self, now: float) -> float:
        """Return how long the takeover has lasted."""
        return now - self._began_at

    def end(self, now: float) -> float:
        """Note that the operator speaks no more; return how long the takeover was."""
        assert self.is_on, "no operator has the call"
        self.is_on = False
        self._timers.cancel(Timer.OPERATOR)
        return self.lasted_s(now)

    def note_audio(self, now: float) -> None:
        """Note that audio of the operator has come."""
        self._heard_at = now

    def note_sent(self, frames: int) -> None:
        """Note that frames of the operator's audio were sent to the caller."""
        self.frames += frames

    def is_lost(self, now: float) -> bool:
        """Tell whether the operator is gone, when OPERATOR is due; else look again."""
        lost_at = self._heard_at + LOST_S
        if self.is_on and now < lost_at:
            self._timers.set(Timer.OPERATOR, lost_at)
            return False
        return self.is_on
