"""Streams: the media streams of one call, one at a time.

Theory of operation. When the caller hangs up, Twilio sends `stop`, and reports the
status `completed`. A stream that ends without `stop` shows only that a connection
between Twilio and the bridge broke: a proxy was restarted, or a network failed. Twilio
then ends the stream's <Connect> and requests the next TwiML, with the call's status. If
the caller is still there, the answer opens another stream of the same call.

    AWAITED --(start)--> HERE --(gone)--> LOST --(Twilio asks)--> WANTED
                          ^___(start)______|___(start)______________|

If Twilio does not ask within ASK_S, the call ends with the reason that the caller is
gone. If Twilio asks, and no stream comes within RETURN_S, the bridge has lost the
caller: the call failed. `Streams` does not know `Call`. It takes facts and the time,
sets its own timer, and returns orders: a line for the log, what the rest of the call
must now do, or the call's end.
"""

from enum import Enum

from bridge.call.plan import Counters, End, Fail, Log
from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.call.transitions import follow

# The webhook's answer reaches Twilio, and Twilio the bridge, within a second or two.
STREAM_WAIT_S = 30.0
# Twilio asks within a second of a stream's end; both ends learn of a reset at once.
ASK_S = 3.0
# Twilio opens a stream within a second or two of the answer.
RETURN_S = 10.0
# More losses than this in one call have a lasting cause.
LOSSES_MAX = 5
TRANSPORT_LOST = "transport_lost"
CALLER_LOST = "caller_leg_lost"


class Transport(Enum):
    """What becomes known of the caller's connection outside its messages."""

    GONE = "the stream ended without a word"
    WANTED = "Twilio says that the caller is there, and asks what comes next"


class State(Enum):
    """Where the caller's stream stands."""

    AWAITED = "the first one has not begun"
    HERE = "there is one"
    LOST = "it is gone without a word"
    WANTED = "it is gone, and Twilio was told to open another"


_NEXT: dict[State, frozenset[State]] = {
    State.AWAITED: frozenset((State.HERE,)),
    State.HERE: frozenset((State.LOST,)),
    State.LOST: frozenset((State.HERE, State.WANTED)),
    # Twilio may ask again.
    State.WANTED: frozenset((State.HERE, State.WANTED)),
}


class Notice(Enum):
    """What happened to the caller's stream: the rest of the call has to act on it."""

    BEGAN = "the caller is there"
    LOST = "nothing reaches the caller until there is another"
    RESUMED = "the caller is there again"


Order = Log | Notice | End | Fail


class Streams:
    """The owner of one call's streams; times in s on the call's clock."""

    def __init__(self, counters: Counters, timers: Timers, now: float) -> None:
        self.state = State.AWAITED
        # The stream_sid of the present stream; empty while there is none.
        self.sid = ""
        self.losses = 0
        self._lost_at = 0.0
        self._counters = counters
        self._timers = OwnTimers(timers, Timer.STREAM)
        self._timers.set(Timer.STREAM, now + STREAM_WAIT_S)

    def on_start(self, sid: str, now: float) -> list[Order]:
        """Note that a stream begins: the caller is there, or there again."""
        is_first = self.state is State.AWAITED
        self._to(State.HERE)
        self.sid = sid
        self._timers.cancel(Timer.STREAM)
        if is_first:
            return [Notice.BEGAN]
        self._counters.resumed_streams += 1
        text = f"[STREAM] Resumed after {now - self._lost_at:.1f} s"
        return [Log("info", text), Notice.RESUMED]

    def on_gone(self, now: float, *, is_ending: bool) -> list[Order]:
        """Note that the stream ended without `stop`; last words are not repeated."""
        if self.state is not State.HERE:
            return []
        if is_ending:
            return [End(CALLER_LOST)]
        self.losses += 1
        self._counters.lost_streams += 1
        if self.losses > LOSSES_MAX:
            return [Fail(TRANSPORT_LOST, f"more than {LOSSES_MAX} streams lost")]
        self._to(State.LOST)
        self.sid = ""
        self._lost_at = now
        self._timers.set(Timer.STREAM, now + ASK_S)
        return [Notice.LOST]

    def on_wanted(self, now: float, *, is_ending: bool) -> list[Order]:
        """Note that Twilio asks on behalf of the caller: another stream will come."""
        orders = self.on_gone(now, is_ending=is_ending)
        if self.state in (State.LOST, State.WANTED):
            self._to(State.WANTED)
            self._timers.set(Timer.STREAM, now + RETURN_S)
        return orders

    def on_late(self) -> list[Order]:
        """End the call: no stream came in time, or none came back."""
        if self.state is State.AWAITED:
            return [End("no_stream")]
        if self.state is State.WANTED:
            return [Fail(TRANSPORT_LOST, "the caller's stream did not come back")]
        return [End(CALLER_LOST)]

    def _to(self, state: State) -> None:
        self.state = follow(_NEXT, self.state, state)
