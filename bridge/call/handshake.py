"""Handshake: how a session with the model is opened, and for how long it is tried.

Theory of operation. A socket is opened, the server says `session.created`, is told what
we want, and confirms it. Each of these steps has STEP_S; a try that is refused, closed
or late is followed by a pause and another one, until the time of the whole is over or
the server has said that no try will ever be any good.

    OPENING --(session.created)--> CONFIGURING --(session.updated)--> READY
       ^ \\__________________________/                                   |
       |            | refused, closed, late                             | lost
       +---------- PAUSING                            begin() <---------+

A first handshake runs while Twilio rings, another one while a caller waits; the owner
says how long each may take. `Handshake` opens nothing: `bridge.call.sessions` asks for
that.
"""

from enum import Enum

from bridge.call.plan import Refusal
from bridge.call.session_config import FATAL_CODES
from bridge.call.transitions import follow

# Connecting, the upgrade and the first event take some hundred ms together, and so does
# configuring.
STEP_S = 4.0
# The pauses between tries, in s; the last one for all that follow.
PAUSES_S = (0.25, 0.5, 1.0, 2.0)
# What a server may ask for in Retry-After; more would be no use to a caller.
RETRY_AFTER_S_MAX = 5.0
# What another try does not change: the request, the key, the account, the model.
FINAL_STATUSES = frozenset((400, 401, 402, 403, 404))


class State(Enum):
    """Where a handshake stands."""

    OPENING = "a socket is being opened"
    CONFIGURING = "the session is told what we want"
    PAUSING = "the next try waits"
    READY = "the session is as we want it"
    CLOSED = "no session is wanted any more"


_NEXT: dict[State, frozenset[State]] = {
    # A server may confirm what it has not announced, or be heard of when it was late.
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
        # When the call must be told that the step, or the pause, is over.
        self.deadline: float | None = None
        self._until = 0.0
        self._tries = 0
        self._start(now, within_s)

    def begin(self, now: float, within_s: float) -> None:
        """A session is gone: another one is opened, and may be tried for so long."""
        self._to(State.OPENING)
        self._start(now, within_s)

    def note_created(self, now: float) -> None:
        """The socket is a session with the server's defaults."""
        self._to(State.CONFIGURING)
        self._limit_step(now)

    def note_ready(self) -> None:
        """The server has confirmed what we want."""
        self._to(State.READY)
        self.deadline = None

    def pause(self, now: float, retry_after_s: float = 0.0) -> bool:
        """A try came to nothing; tell whether there is time for another one."""
        least_s = PAUSES_S[min(self._tries, len(PAUSES_S)) - 1]
        until = now + max(least_s, min(retry_after_s, RETRY_AFTER_S_MAX))
        if until >= self._until:
            return False
        self._to(State.PAUSING)
        self.deadline = until
        return True

    def try_again(self, now: float) -> None:
        """The pause is over: a socket is being opened."""
        self._to(State.OPENING)
        self._tries += 1
        self._limit_step(now)

    def close(self) -> None:
        """Nothing more is tried."""
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
    """Tell whether no other try will be any good."""
    names = FATAL_CODES.intersection(refusal.names)
    return refusal.status in FINAL_STATUSES or bool(names)
