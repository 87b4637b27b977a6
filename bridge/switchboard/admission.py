"""Admission by load: refuses a new call that would harm the calls that run.

Theory of operation. Two measures of the event loop decide, and both must allow a call.

*How busy the loop is*: the share of the last BUSY_S in which the loop worked, or waited
while another process had the processor. Load is the cause: near full load every frame
waits for others, and far below full load no frame waits. Opening a call costs as much
as seconds of the call cost later, and that cost is not measured at once. So each
admitted call counts for OPENING_COST_S until OPENING_S have passed. The sum may be up
to `busy_max`.

*How late the loop is*: a timer asks to be called every TICK_S. The delay of that call
is the loop's lag, and any frame that came meanwhile had to wait as long. Lag is the
effect, whatever the cause. The last WINDOW_TICKS ticks count. Their 99th percentile is
over a bound when more than one tick in a hundred is: two counters decide, and nothing
is sorted. The loop becomes late when the percentile is over the budget, and stays late
until the percentile is not over REOPEN_SHARE of the budget.

*What causes the load*: another process on the machine makes a loop wait. The loop is
then late and seems busy whatever the number of its calls, and refusing a caller makes
no frame earlier. So neither measure shuts a loop whose own share of the time (working
or blocked, not waiting for a processor) is below `few_max`: such a loop is far from its
capacity.

When a loop is busy to its limit, calls end and other calls take their places, so that
admission shuts and opens several times a second. Two changes are reported: when this
shutting begins, and when admission has not been shut for SHUT_TOLD_S.

Admission owns no clock and no timer: `bridge.service.loop_monitor` passes it the
measurements.
"""

from collections import deque
from enum import Enum

TICK_S = 0.02
BUSY_S = 1.0
# Measured, `bench/README.md`: 8.2 ms of CPU a call that opens and ends at once.
OPENING_COST_S = 0.008
# From the webhook to the stream, and to a configured session with the model.
OPENING_S = 0.5
SHUT_TOLD_S = 10.0
# Ten seconds of a loop that is on time; five late ticks in them change nothing.
WINDOW_TICKS = 500
LATE_TICKS_MAX = WINDOW_TICKS // 100
# Below half of the budget there is room for more than one call.
REOPEN_SHARE = 0.5
# A quarter of a loop's permitted load is ninety calls of 2.5 ms of work a second each.
FEW_SHARE = 0.25


class Shut(Enum):
    """Why no call is admitted, in the words of the fallback's reason."""

    BUSY = "busy"
    LATE = "lagging"


class Change(Enum):
    """How a measurement changed the admission."""

    CLOSED = "closed"
    REOPENED = "reopened"


def few_max(busy_max: float, workers: int, processors: int) -> float:
    """Return the share of its time below which a worker is far from its capacity.

    If there are more workers than processors, each worker has less than one processor.
    Together the workers must not fill the machine before one of them refuses calls.
    """
    return busy_max * FEW_SHARE * min(1.0, processors / workers)


class Admission:
    """How busy and how late one event loop is, and whether it may take a call.

    Shares are shares of one processor's time, from 0 to 1.
    """

    def __init__(self, budget_ms: float, busy_max: float, few_max: float = 0.0) -> None:
        self.budget_ms = budget_ms
        self.busy_max = busy_max
        self.few_max = few_max
        # The busy share of the last BUSY_S, older times weighted less; and the part of
        # it in which the loop worked or was blocked, and did not wait for a processor.
        self.busy = 0.0
        self.own = 0.0
        # Whether admission is shut, or was shut within the last SHUT_TOLD_S.
        self.is_closed = False
        self._shut_at = 0.0
        self._opened_at: deque[float] = deque()
        self._is_late = False
        self._lags_ms: deque[float] = deque(maxlen=WINDOW_TICKS)
        # Ticks of the window over the budget, and ticks over the bound for reopening.
        self._late = 0
        self._slow = 0

    def shut(self, now: float) -> Shut | None:
        """Return why no call may be admitted; None if a call may be admitted."""
        if self.own + self._opening_share(now) < self.few_max:
            return None
        if self._is_late:
            return Shut.LATE
        return Shut.BUSY if self.busy_expected(now) > self.busy_max else None

    def busy_expected(self, now: float) -> float:
        """Return how busy the loop is, opening calls included; at most 1.

        Because of that maximum, a limit of 1 is never exceeded.
        """
        return min(1.0, self.busy + self._opening_share(now))

    def let_in(self, now: float) -> None:
        """Note that a call opens."""
        self._opened_at.append(now)

    def note(
        self,
        now: float,
        passed_s: float,
        busy_s: float,
        lag_ms: float,
        waited_s: float = 0.0,
    ) -> Change | None:
        """Take the measurements of a tick; return what they changed.

        Since the last tick the loop was busy for `busy_s`; for `waited_s` of that time
        another process had the processor. A loop that is late for longer than it waited
        was delayed by its own work, or blocked.
        """
        if passed_s > 0.0:
            weight = min(1.0, passed_s / BUSY_S)
            own_s = max(0.0, max(busy_s, lag_ms / 1e3) - waited_s)
            self.busy += weight * (min(1.0, busy_s / passed_s) - self.busy)
            self.own += weight * (min(1.0, own_s / passed_s) - self.own)
        self._note_lag(lag_ms)
        if self.shut(now) is not None:
            self._shut_at = now
            if not self.is_closed:
                self.is_closed = True
                return Change.CLOSED
        elif self.is_closed and now - self._shut_at >= SHUT_TOLD_S:
            self.is_closed = False
            return Change.REOPENED
        return None

    @property
    def lag_ms_p99(self) -> float:
        """The lag that one tick in a hundred of the window exceeds."""
        worst = sorted(self._lags_ms, reverse=True)
        return worst[LATE_TICKS_MAX] if len(worst) > LATE_TICKS_MAX else 0.0

    def _opening_share(self, now: float) -> float:
        """Return the share that admitted calls will take but do not show yet."""
        while self._opened_at and now - self._opened_at[0] >= OPENING_S:
            self._opened_at.popleft()
        return len(self._opened_at) * OPENING_COST_S / BUSY_S

    def _note_lag(self, lag_ms: float) -> None:
        if len(self._lags_ms) == WINDOW_TICKS:
            self._count(self._lags_ms[0], -1)
        self._lags_ms.append(lag_ms)
        self._count(lag_ms, 1)
        bound = self._slow if self._is_late else self._late
        self._is_late = bound > LATE_TICKS_MAX

    def _count(self, lag_ms: float, by: int) -> None:
        self._late += by * (lag_ms > self.budget_ms)
        self._slow += by * (lag_ms > self.budget_ms * REOPEN_SHARE)
