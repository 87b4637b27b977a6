"""The governor: takes no new calls while the event loop is late for those that run.

Theory of operation. A timer asks to be called every TICK_S; how much later that happens
is the loop's lag, and what any frame that came meanwhile had to wait. The last
WINDOW_TICKS count. Their 99th percentile is over a bound when more than one in a
hundred is: two counters decide, and nothing is sorted. The door closes when the
percentile is over the budget, and opens when it is not over REOPEN_SHARE of it, for
there must be room for the call that comes.

It owns no clock and no timer: `bridge.pulse` gives it what it measures.
"""

from collections import deque
from enum import Enum

TICK_S = 0.02
# Ten seconds of a loop that is on time; five late ticks in them change nothing.
WINDOW_TICKS = 500
LATE_TICKS_MAX = WINDOW_TICKS // 100
# Below half of the budget there is room for more than one call.
REOPEN_SHARE = 0.5


class Change(Enum):
    """What a measurement did to the door."""

    CLOSED = "closed"
    REOPENED = "reopened"


class Governor:
    """The lag of one event loop, and whether it may be given more calls."""

    def __init__(self, budget_ms: float) -> None:
        self.budget_ms = budget_ms
        self.is_closed = False
        self._lags_ms: deque[float] = deque(maxlen=WINDOW_TICKS)
        # Ticks of the window over the budget, and over what it takes to open again.
        self._late = 0
        self._slow = 0

    def note(self, lag_ms: float) -> Change | None:
        """Take one measurement; return what it changed."""
        if len(self._lags_ms) == WINDOW_TICKS:
            self._count(self._lags_ms[0], -1)
        self._lags_ms.append(lag_ms)
        self._count(lag_ms, 1)
        if not self.is_closed and self._late > LATE_TICKS_MAX:
            self.is_closed = True
            return Change.CLOSED
        if self.is_closed and self._slow <= LATE_TICKS_MAX:
            self.is_closed = False
            return Change.REOPENED
        return None

    @property
    def lag_ms_p99(self) -> float:
        """The lag that one tick of the window in a hundred passes."""
        worst = sorted(self._lags_ms, reverse=True)
        return worst[LATE_TICKS_MAX] if len(worst) > LATE_TICKS_MAX else 0.0

    def _count(self, lag_ms: float, by: int) -> None:
        self._late += by * (lag_ms > self.budget_ms)
        self._slow += by * (lag_ms > self.budget_ms * REOPEN_SHARE)
