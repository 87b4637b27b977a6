"""The search for the largest number of calls that a node carries well.

`judge` says whether one step was good: no call refused or lost, no frame lost, the
event loop not busier than MAX_BUSY_PERCENT, frames not later than LAG_BUDGET_MS. These
are the thresholds of admission, so that the number agrees with what the service would
admit. `find` knows no clock and no process.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import NamedTuple

# Growth from one step to the next: by what the busy share foretells, within bounds.
GROWTH_MIN, GROWTH_MAX = 1.1, 2.0
# Of the foretold number: the cost of a call is not known exactly.
FORETOLD_SHARE = 0.95
# A busy share below this foretells nothing: there is work that no call causes.
BUSY_TELLING = 0.2
# The search ends when it knows the number so exactly.
CLOSE = 0.05
# The share of its frames that the load must have sent in time.
LOAD_SENT_MIN = 0.99
# The load is late beyond this share of LAG_BUDGET_MS.
LOAD_LAG_SHARE = 0.25
# The share of the time that others may have the processor without a word.
WAITED_PERCENT = 5.0
# Of the capacity: what is left takes calls that open, and those of a dead node.
USED_SHARE = 0.8


class Limit(Enum):
    """What keeps a node from more calls."""

    BUSY = "busy"
    LATE = "late"
    LOST = "lost"
    REFUSED = "refused"
    LOAD = "load"
    UP_TO = "up_to"


class Bounds(NamedTuple):
    """The thresholds of the service: its settings."""

    busy_percent: float
    lag_budget_ms: float


class Step(NamedTuple):
    """What was measured with one number of calls."""

    calls: int
    busy_percent: float = 0.0  # of one worker
    waited_percent: float = 0.0  # of that: others had the processor
    cpu_ms: float = 0.0  # a call-second
    uplink_ms: tuple[float, float] = (0.0, 0.0)  # p50, p99
    downlink_ms: tuple[float, float] = (0.0, 0.0)
    lost_frames: int = 0
    gaps: int = 0  # in replies, by late frames
    lost_calls: int = 0
    refused: str = ""
    load_busy_percent: float = 0.0
    load_lag_ms: float = 0.0  # p99
    load_sent: float = 1.0  # the share of the frames that were due

    @property
    def p99_ms(self) -> float:
        """The higher p99 of both directions."""
        return max(self.uplink_ms[1], self.downlink_ms[1])


class Verdict(NamedTuple):
    """Why a step was not good."""

    limit: Limit
    why: str


class Found(NamedTuple):
    """The result: the best step, and what was wrong beyond it."""

    best: Step | None
    beyond: Step | None
    verdict: Verdict

    @property
    def calls(self) -> int:
        """The capacity."""
        return 0 if self.best is None else self.best.calls

    @property
    def is_at_least(self) -> bool:
        """Whether the capacity may be higher than the number that was found."""
        return self.verdict.limit in (Limit.LOAD, Limit.UP_TO)


def judge(step: Step, bounds: Bounds) -> Verdict | None:
    """Return what is wrong with a step; None if the node carries its calls well."""
    if step.busy_percent > bounds.busy_percent:
        busy = f"a worker's event loop is {step.busy_percent:.0f} % busy"
        setting = f"MAX_BUSY_PERCENT={bounds.busy_percent:g}"
        return Verdict(Limit.BUSY, f"{busy}, {setting}{_neighbours(step)}")
    if step.refused:
        return Verdict(Limit.REFUSED, f"the service refuses a call: {step.refused}")
    harm = _harm(step, bounds)
    if step.load_sent < LOAD_SENT_MIN and not step.lost_calls:
        sent = f"the load has sent {step.load_sent:.1%} of its frames"
        return Verdict(Limit.LOAD, sent)
    if harm and step.load_lag_ms > bounds.lag_budget_ms * LOAD_LAG_SHARE:
        late = f"the load itself is {step.load_lag_ms:.1f} ms late (p99)"
        return Verdict(Limit.LOAD, f"{harm.why}, but {late}")
    return harm


def _harm(step: Step, bounds: Bounds) -> Verdict | None:
    """Return what callers would notice."""
    if step.lost_calls:
        return Verdict(Limit.LOST, f"calls ended by themselves: {step.lost_calls}")
    if step.lost_frames:
        return Verdict(Limit.LOST, f"frames lost: {step.lost_frames}")
    if step.p99_ms > bounds.lag_budget_ms:
        late = f"one frame in a hundred is {step.p99_ms:.1f} ms late or more"
        setting = f"LAG_BUDGET_MS={bounds.lag_budget_ms:g}"
        return Verdict(Limit.LATE, f"{late}, {setting}{_neighbours(step)}")
    return None


def _neighbours(step: Step) -> str:
    """Return what other processes of the machine have done to the service."""
    if step.waited_percent < WAITED_PERCENT:
        return ""
    waited = f"{step.waited_percent:.0f} % of the time"
    return f" (other processes had its processor for {waited})"


Measure = Callable[[int], Awaitable[Step]]


async def find(measure: Measure, first: int, up_to: int, bounds: Bounds) -> Found:
    """Raise the calls from `first` until a step is bad, then halve the distance.

    A bad step is measured once more: one stall of the machine is not a limit.
    """
    best: Step | None = None
    calls = min(first, up_to)
    while True:
        step, verdict = await _measured(measure, calls, bounds)
        if verdict is not None:
            break
        best = step
        if calls >= up_to:
            asked = Verdict(Limit.UP_TO, f"no more than {up_to} calls were tried")
            return Found(best, None, asked)
        calls = min(next_number(step, bounds), up_to)
    found = Found(best, step, verdict)
    while is_wide(found.calls, calls):
        middle = (found.calls + calls) // 2
        step, verdict = await _measured(measure, middle, bounds)
        if verdict is None:
            found = found._replace(best=step)
        else:
            calls, found = middle, found._replace(beyond=step, verdict=verdict)
    return found


def next_number(step: Step, bounds: Bounds) -> int:
    """Return the number of calls to try after a good step."""
    growth = GROWTH_MAX
    if step.busy_percent > BUSY_TELLING * bounds.busy_percent:
        foretold = bounds.busy_percent / step.busy_percent * FORETOLD_SHARE
        growth = min(max(foretold, GROWTH_MIN), GROWTH_MAX)
    return max(step.calls + 1, round(step.calls * growth))


def is_wide(good: int, bad: int) -> bool:
    """Tell whether a number between a good and a bad one is worth a step."""
    return bad - good > max(1, round(good * CLOSE))


async def _measured(
    measure: Measure, calls: int, bounds: Bounds
) -> tuple[Step, Verdict | None]:
    for _ in range(2):
        step = await measure(calls)
        verdict = judge(step, bounds)
        if verdict is None:
            break
    return step, verdict
