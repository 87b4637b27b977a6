"""Greeting: the first words of a call, until the caller has heard them.

Theory of operation. The model is asked for the greeting as soon as its session is
ready. Speech that arrives before the caller waits in the ledger. Until the greeting is
over, the caller's audio is not sent to the model, so the wait for the greeting has a
limit. Its time counts while both the caller's stream and a session exist.

    DUE --(asked for)--> ASKED --(heard, replaced, late)--> OVER
     ^__(session lost before the caller came)__|

A call without a greeting begins in OVER. `Greeting` sends no request itself.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow

# The caller must not go unheard because a greeting never comes.
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
        # The caller has yet to hear the greeting.
        self.is_due = is_wanted
        self._timers = OwnTimers(timers, Timer.GREETING)

    def note_asked(self) -> None:
        """Note that the model was asked for the greeting."""
        self._to(State.ASKED)

    def note_lost(self) -> None:
        """Note that the session was lost before the caller came: ask once more."""
        self._to(State.DUE)

    def wait(self, now: float) -> None:
        """Start the time limit: the caller is there and hears nothing yet."""
        if self.is_due:
            self._timers.set(Timer.GREETING, now + GREETING_WAIT_S)

    def pause(self) -> None:
        """Stop the time limit: the caller or the session is gone."""
        self._timers.cancel(Timer.GREETING)

    def end(self) -> None:
        """End the greeting: heard, replaced by other words, or not awaited any more."""
        self._to(State.OVER)
        self._timers.cancel(Timer.GREETING)

    def _to(self, state: State) -> None:
        self.state = follow(_NEXT, self.state, state)
        self.is_due = state is not State.OVER
