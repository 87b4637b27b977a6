"""The timers of one call, and its deadline: the earliest of them."""

from enum import Enum
from math import inf


class Timer(Enum):
    """Why a call wants to be woken."""

    STREAM = "the stream never came"
    SESSION = "the session is not ready, or is tried again"
    SIGN = "the session has not confirmed a turn"
    FEED = "the next burst is due"
    GREETING = "the greeting has not been heard"
    HOLD = "evidence has not become a barge-in"
    KEYPAD = "no further digit"
    ANSWER = "a turn is unanswered"
    STALL = "an answer does not go on"
    FLOOR = "the caller may have ended"
    OPERATOR = "the operator may be gone"
    RETRY = "a failed response is asked for again"
    ERROR = "an error may have cost an answer"
    IDLE = "nobody speaks"
    FILLER = "a tool takes its time"
    RENEW = "the session grows old"
    STANDBY = "the next session is not ready"
    WARNING = "the call will soon have lasted long enough"
    DURATION = "the call has lasted long enough"
    LAST_WORDS = "the last words have been heard"

    # The __hash__ of Enum runs Python code at each dict lookup; this one does not.
    __hash__ = object.__hash__


class Timers:
    """The times of one call's timers, at most one for each `Timer`."""

    def __init__(self) -> None:
        self._at: dict[Timer, float] = {}
        self.deadline: float | None = None

    def set(self, timer: Timer, at: float | None) -> None:
        """Set the timer's time, or cancel it with None."""
        if at is None:
            self._at.pop(timer, None)
        else:
            self._at[timer] = at
        self.deadline = min(self._at.values(), default=None)

    def cancel(self, *timers: Timer) -> None:
        """Forget these timers."""
        for timer in timers:
            self._at.pop(timer, None)
        self.deadline = min(self._at.values(), default=None)

    def clear(self) -> None:
        """Forget all timers."""
        self._at.clear()
        self.deadline = None

    def due(self, now: float) -> list[Timer]:
        """Return the timers that are due, earliest first."""
        due = [(at, timer) for timer, at in self._at.items() if at <= now]
        if len(due) > 1:
            due.sort(key=lambda one: (one[0], one[1].name))
        return [timer for _, timer in due]

    def take(self, timer: Timer, now: float) -> bool:
        """Remove a timer that is due; False if it has been cancelled or put off.

        When several are due in one tick, the first one's action may cancel another.
        """
        if self._at.get(timer, inf) > now:
            return False
        self.cancel(timer)
        return True


class OwnTimers:
    """Those of a call's timers that one owner may set; it cannot reach the others."""

    def __init__(self, timers: Timers, *own: Timer) -> None:
        self._timers = timers
        self._own = frozenset(own)

    def set(self, timer: Timer, at: float | None) -> None:
        """Set the timer's time, or cancel it with None."""
        assert timer in self._own, f"{timer} has another owner"
        self._timers.set(timer, at)

    def cancel(self, *timers: Timer) -> None:
        """Forget these timers."""
        assert self._own.issuperset(timers), f"{timers} have another owner"
        self._timers.cancel(*timers)
