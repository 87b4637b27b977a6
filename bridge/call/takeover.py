"""Takeover: whether an operator speaks with the caller in the place of the AI.

Theory of operation. An operator is a person of the business at the console. While the
takeover is on, nothing makes the AI speak and nothing but a limit ends the call. The
operator's audio comes all the time, silence included. If none has come for PAUSE_S, the
operator cannot be heard. After LOST_S the operator is gone, and the AI must lead the
call again.

    OFF --(taken over)--> ON --(goodbye)--> OFF
                          ON --(handed back, operator gone)--> HANDING_BACK --> OFF

While the call is handed back, the operator speaks no more, and the AI does not yet: it
waits for the operator's last words, at most WORDS_WAIT_S. An operator may take the call
again meanwhile.
"""

from enum import Enum

from bridge.call.plan import Fail
from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow

# A page in the background and a change of network both take less.
LOST_S = 5.0
# As long as the pause that ends a portion of an operator's voice.
PAUSE_S = 0.6
# Most of what was said is known when a call is handed back. A caller takes a longer
# silence for a lost call.
WORDS_WAIT_S = 1.0


class State(Enum):
    """Who has the call."""

    OFF = "off"
    ON = "on"
    HANDING_BACK = "handing back"


_NEXT: dict[State, frozenset[State]] = {
    State.OFF: frozenset((State.ON,)),
    State.ON: frozenset((State.HANDING_BACK, State.OFF)),
    State.HANDING_BACK: frozenset((State.ON, State.OFF)),
}


class Takeover:
    """The owner of one call's takeover, and of the timer OPERATOR."""

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.OPERATOR)
        self.state = State.OFF
        self.frames = 0
        # What the operator who has handed the call back notes; None if they are gone.
        self.note: str | None = None
        # The failure of the model that ends the call with this takeover.
        self.failure: Fail | None = None
        self._began_at = 0.0
        self._heard_at = self._ended_at = 0.0

    @property
    def is_on(self) -> bool:
        """Tell whether the AI is silent for an operator."""
        return self.state is not State.OFF

    @property
    def is_speaking(self) -> bool:
        """Tell whether the caller hears the operator."""
        return self.state is State.ON

    @property
    def is_handing_back(self) -> bool:
        """Tell whether the operator's last words are waited for."""
        return self.state is State.HANDING_BACK

    @property
    def note_left(self) -> str | None:
        """The note of a hand back that waits for words; None if there is none."""
        return self.note if self.is_handing_back else None

    def begin(self, now: float) -> None:
        """Note that an operator speaks from here on."""
        self.frames = 0
        self._began_at = now
        self.go_on(now)

    def go_on(self, now: float) -> None:
        """Note that the operator speaks: again, if the call was being handed back."""
        self.state = follow(_NEXT, self.state, State.ON)
        self._heard_at = now
        self._timers.set(Timer.OPERATOR, now + PAUSE_S)

    def lasted_s(self, now: float) -> float:
        """Return how long the operator has spoken, or had spoken."""
        return (self._ended_at if self.is_handing_back else now) - self._began_at

    def hand_back(self, note: str | None, now: float) -> None:
        """Note that the operator speaks no more: handed back, or gone (None)."""
        self.state = follow(_NEXT, self.state, State.HANDING_BACK)
        self.note = note
        self._ended_at = now
        self._timers.set(Timer.OPERATOR, now + WORDS_WAIT_S)

    def end(self, now: float) -> float:
        """Note that the takeover is over; return how long the operator spoke."""
        lasted_s = self.lasted_s(now)
        self.state = follow(_NEXT, self.state, State.OFF)
        self._timers.cancel(Timer.OPERATOR)
        return lasted_s

    def note_audio(self, now: float) -> None:
        """Note that audio of the operator has come."""
        self._heard_at = now

    def note_sent(self, frames: int) -> None:
        """Note that frames of the operator's audio were sent to the caller."""
        self.frames += frames

    def is_lost(self, now: float) -> bool:
        """Tell whether the operator is gone, when OPERATOR is due; else look again."""
        lost_at = self._heard_at + LOST_S
        if self.is_speaking and now < lost_at:
            is_paused = self.is_paused(now)
            look_at = lost_at if is_paused else self._heard_at + PAUSE_S
            self._timers.set(Timer.OPERATOR, look_at)
            return False
        return self.is_speaking

    def is_paused(self, now: float) -> bool:
        """Tell whether no audio of the operator comes, not even silence."""
        return self.is_speaking and now >= self._heard_at + PAUSE_S
