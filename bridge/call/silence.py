"""Silence: a caller who says nothing is prompted once, and then the call ends.

The time counts from when the caller last spoke, or has heard the AI to its end. While
the model or a tool is at work, the caller is waiting and their silence does not count.
A caller who has answered the question is asked again after another silence.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.settings.options import CallOptions

# How often the call checks whether the model or a tool is still at work.
LOOK_S = 1.0


class Verdict(Enum):
    """What a silence calls for."""

    WAIT = "it has not lasted, or the caller waits for an answer"
    ASK = "the caller is to be asked whether they are there"
    END = "the caller was asked, and has said nothing"


class Silence:
    """The owner of how long one caller has said nothing, and of the timer IDLE."""

    def __init__(self, timers: Timers, options: CallOptions) -> None:
        self._timers = OwnTimers(timers, Timer.IDLE)
        self._idle_s = options.idle_prompt_ms / 1e3
        self._asked_at: float | None = None

    def begin(self, now: float) -> None:
        """Start the timer: the conversation begins, or goes on with another stream."""
        self._timers.set(Timer.IDLE, now + self._idle_s)

    def pause(self) -> None:
        """Stop the timer: the caller has no stream."""
        self._timers.cancel(Timer.IDLE)

    def look(
        self, now: float, spoke_at: float, audible_until: float, *, is_at_work: bool
    ) -> Verdict:
        """Judge the silence since `spoke_at` and `audible_until`, when IDLE is due."""
        over_at = max(spoke_at, audible_until) + self._idle_s
        if now < over_at or is_at_work:
            self._timers.set(Timer.IDLE, max(over_at, now + LOOK_S))
            return Verdict.WAIT
        if self._asked_at is not None and self._asked_at >= spoke_at:
            return Verdict.END
        self._asked_at = now
        self._timers.set(Timer.IDLE, now + self._idle_s)
        return Verdict.ASK
