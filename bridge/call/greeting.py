"""Greeting: the first words of a call, until the caller has heard them.

Theory of operation. The model is asked for the greeting as soon as its session is
ready; what it has said when the caller comes waits in the ledger. Until the greeting is
over the caller is not listened to, so the wait for it has a limit. The time counts
while the caller and a session are there.

    DUE --(asked for)--> ASKED --(heard, replaced, late)--> OVER
     ^__(session lost before the caller came)__|

A call without a greeting begins in OVER. `Greeting` asks for nothing itself.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow

# A caller is not left unheard for a greeting that never comes.
GREETING_WAIT_S = 8.0


class State(Enum):
    """Where a greeting stands."""

    DUE = "the greeting is to be asked for"
    ASKED = "the greeting is asked for and not heard"
    OVER = "the greeting is heard, not waited for any more, or not wanted"


_NEXT: dict[State, frozenset[State]] = {
    # A server may speak before it is asked.
    State.DUE: frozenset((State.ASKED, State.OVER)),
    State.ASKED: frozenset((State.DUE, State.OVER)),
    State.OVER: frozenset(),
}


class Greeting:
    """The owner of one call's greeting, and of the timer GREETING."""

    def __init__(self, timers: Timers, *, is_wanted: bool) -> None:
        self.state = State.DUE if is_wanted else State.OVER
        # The caller has yet to hear it.
        self.is_due = is_wanted
        self._timers = OwnTimers(timers, Timer.GREETING)

    def note_asked(self) -> None:
        """The model is asked for it."""
        self._to(State.ASKED)

    def note_lost(self) -> None:
        """The session is gone and the caller was not there: it is asked for anew."""
        self._to(State.DUE)

    def wait(self, now: float) -> None:
        """The caller is there and hears nothing: wait for a limited time."""
        if self.is_due:
            self._timers.set(Timer.GREETING, now + GREETING_WAIT_S)

    def pause(self) -> None:
        """The caller or the session is gone: the time does not count."""
        self._timers.cancel(Timer.GREETING)

    def end(self) -> None:
        """It was heard, other words took its place, or it is not waited for."""
        self._to(State.OVER)
        self._timers.cancel(Timer.GREETING)

    def _to(self, state: State) -> None:
        self.state = follow(_NEXT, self.state, state)
        self.is_due = state is not State.OVER
