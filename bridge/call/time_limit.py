"""Time limit: how long a call may last, and when its caller is warned.

The business sets the longest duration of a call. If the business reaches one of its
limits during the call, less time is left: the caller is warned at once, and has at
least LIMIT_S_MIN.
"""

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.settings.options import CallOptions

# The caller is warned a minute before the call must end, or at three quarters of its
# time, whichever is later.
WARNING_S = 60.0
WARNING_SHARE = 0.75
# A caller who is warned of a limit has at least this long, whatever it costs.
LIMIT_S_MIN = 30.0
# How often a pause for the warning is looked for.
LOOK_S = 0.2


class TimeLimit:
    """The owner of one call's time, and of the timers WARNING and DURATION."""

    def __init__(self, timers: Timers, options: CallOptions) -> None:
        self._timers = OwnTimers(timers, Timer.WARNING, Timer.DURATION)
        self._limit_s = float(options.max_call_seconds)
        self._ends_at = 0.0
        self.has_warned = False
        # The limit of the business that ends the call before its time is up.
        self.limit = ""

    @property
    def reason(self) -> str:
        """Why the call ends when its time is up."""
        return self.limit or "max_duration"

    def begin(self, now: float) -> None:
        """Count the call's time from now on."""
        self._ends_at = now + self._limit_s
        warn_s = max(self._limit_s - WARNING_S, self._limit_s * WARNING_SHARE)
        self._timers.set(Timer.WARNING, now + warn_s)
        self._timers.set(Timer.DURATION, self._ends_at)

    def shorten(self, limit: str, left_s: float, now: float) -> float:
        """Leave the call `left_s` because of `limit`; return the time it really has."""
        assert not self.limit, f"{self.limit} ends the call already"
        self.limit = limit
        left_s = max(left_s, LIMIT_S_MIN)
        self._ends_at = min(self._ends_at, now + left_s)
        self._timers.set(Timer.WARNING, now)
        self._timers.set(Timer.DURATION, self._ends_at)
        return left_s

    def put_off(self, now: float) -> None:
        """Delay the warning until a pause: somebody is speaking."""
        self._timers.set(Timer.WARNING, now + LOOK_S)

    def note_warned(self) -> None:
        """Note that the caller was warned."""
        self.has_warned = True
