"""Handshake: how a session with the model is opened, and for how long it is tried.

Theory of operation. The bridge opens a socket. The server sends `session.created`,
receives the configuration, and confirms it. Each of these steps has STEP_S. After a try
that is refused, closed or late, the bridge pauses and tries again, until the time of
the whole handshake is over or the server has given a permanent error.

    OPENING --(session.created)--> CONFIGURING --(session.updated)--> READY
       ^ \\__________________________/                                   |
       |            | refused, closed, late                             | lost
       +---------- PAUSING                            begin() <---------+

The first handshake runs while Twilio rings, a later one while the caller waits; the
owner says how long each may take. `Handshake` opens no socket: `bridge.call.sessions`
requests that.
"""

from enum import Enum

from bridge.call.plan import Refusal
from bridge.call.session_config import FATAL_CODES
from bridge.call.transitions import follow

# Connecting, the upgrade and the first event together take some hundred ms. So does the
# configuration.
STEP_S = 4.0
# The pauses between tries, in s; the last one serves for all further tries.
PAUSES_S = (0.25, 0.5, 1.0, 2.0)
# The longest pause that a Retry-After may ask for; the caller would not wait longer.
RETRY_AFTER_S_MAX = 5.0
# Another try does not help: the request, the key, the account or the model is wrong.
FINAL_STATUSES = frozenset((400, 401, 402, 403, 404))


class State(Enum):
    """Where a handshake stands."""

    OPENING = "a socket is being opened"
    CONFIGURING = "the session is being configured"
    PAUSING = "the next try waits"
    READY = "the session is configured"
    CLOSED = "no session is wanted any more"


_NEXT: dict[State, frozenset[State]] = {
    # A server may confirm a session it never announced, or answer after its time.
    State.OPENING: frozenset(set(State) - {State.OPENING}),
    State.CONFIGURING: frozenset((State.READY, State.PAUSING, State.CLOSED)),
    State.PAUSING: frozenset(set(State) - {State.PAUSING}),
    State.READY: frozenset((State.OPENING, State.CLOSED)),
    State.CLOSED: frozenset(),
}


class Handshake:
    """The owner of one call's handshakes; times in s on the call's clock."""

    def __init__(self, now: float, within_s: float) -> None:
        self.state = State.OPENING
        # When the step, or the pause, is over.
        self.deadline: float | None = None
        self._until = 0.0
        self._tries = 0
        self._start(now, within_s)

    def begin(self, now: float, within_s: float) -> None:
        """Start again after a session is lost; tries may go on for `within_s`."""
        self._to(State.OPENING)
        self._start(now, within_s)

    def note_created(self, now: float) -> None:
        """Note that the session exists, with the server's defaults."""
        self._to(State.CONFIGURING)
        self._limit_step(now)

    def note_ready(self) -> None:
        """Note that the server has confirmed the configuration."""
        self._to(State.READY)
        self.deadline = None

    def pause(self, now: float, retry_after_s: float = 0.0) -> bool:
        """Note that a try failed; tell whether there is time for another one."""
        least_s = PAUSES_S[min(self._tries, len(PAUSES_S)) - 1]
        until = now + max(least_s, min(retry_after_s, RETRY_AFTER_S_MAX))
        if until >= self._until:
            return False
        self._to(State.PAUSING)
        self.deadline = until
        return True

    def try_again(self, now: float) -> None:
        """Note that the pause is over and a socket is being opened."""
        self._to(State.OPENING)
        self._tries += 1
        self._limit_step(now)

    def limit(self, until: float) -> None:
        """Let tries go on until then, whatever was said before."""
        self._until = until
        if self.deadline is not None:
            self.deadline = min(self.deadline, until)

    def close(self) -> None:
        """End all tries."""
        if self.state is not State.CLOSED:
            self._to(State.CLOSED)
        self.deadline = None

    def _start(self, now: float, within_s: float) -> None:
        self._until = now + within_s
        self._tries = 1
        self._limit_step(now)

    def _limit_step(self, now: float) -> None:
        self.deadline = min(now + STEP_S, self._until)

    def _to(self, state: State) -> None:
        self.state = follow(_NEXT, self.state, state)


def is_final(refusal: Refusal) -> bool:
    """Tell whether every further try would be refused, too."""
    names = FATAL_CODES.intersection(refusal.names)
    return refusal.status in FINAL_STATUSES or bool(names)
