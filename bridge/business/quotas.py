"""Quotas: what a business's callers and writers may use together, and the effect of a
limit.

This module does no I/O. It receives the usage (`crm.admissions.Usage`, or a type with
the same fields) and answers which limit refuses a call, or how long the running calls
may go on. A limit of 0 means no limit. A day is a day in the business's time zone; a
call counts for the day on which it was admitted.
"""

from enum import Enum
from typing import NamedTuple, Protocol

from bridge.settings.options import CallOptions

# A call that would have to end before the caller can be warned is refused.
CALL_S_MIN = 30.0
# Calls are told of a limit that they reach within this; it is looked at more often.
AHEAD_S = 75.0


class Limit(Enum):
    """A limit by the name of its setting, which is its label in metrics, too."""

    CONCURRENT_CALLS = "limit_concurrent_calls"
    CALLS_PER_CALLER = "limit_calls_per_caller_per_hour"
    WITHHELD_CALLS = "limit_withheld_calls_per_hour"
    MINUTES = "limit_minutes_per_day"
    COST = "limit_cost_per_day"


class Usage(Protocol):
    """What a business's calls have used so far."""

    @property
    def running(self) -> int:
        """Calls that run."""

    @property
    def by_caller(self) -> int:
        """Calls of this caller, or of all without a number, within an hour."""

    @property
    def seconds_today(self) -> float:
        """The duration of today's calls, the running ones included."""

    @property
    def cost_today(self) -> float:
        """The cost of today's calls, in the currency of the price table."""

    @property
    def written_cost_today(self) -> float:
        """The cost of today's answers in writing, in the same currency."""


class Reached(NamedTuple):
    """A limit that running calls will have reached in `left_s`."""

    limit: Limit
    left_s: float


def refusal(options: CallOptions, usage: Usage, *, is_withheld: bool) -> Limit | None:
    """Return the limit that refuses one more call; None if it may be admitted."""
    if is_withheld:
        caller = (Limit.WITHHELD_CALLS, options.limit_withheld_calls_per_hour)
    else:
        caller = (Limit.CALLS_PER_CALLER, options.limit_calls_per_caller_per_hour)
    counted = (
        (Limit.CONCURRENT_CALLS, options.limit_concurrent_calls, usage.running),
        (*caller, usage.by_caller),
    )
    for limit, most, used in counted:
        if most and used >= most:
            return limit
    reached = nearest(options, usage, calls=usage.running + 1)
    if reached is not None and reached.left_s < CALL_S_MIN:
        return reached.limit
    return None


def ending(options: CallOptions, usage: Usage) -> Reached | None:
    """Return the limit that the running calls will soon reach, if there is one."""
    reached = nearest(options, usage, calls=usage.running)
    return reached if reached is not None and reached.left_s < AHEAD_S else None


def is_spent(options: CallOptions, usage: Usage) -> bool:
    """Tell whether calls and answers in writing have cost what a day may cost."""
    most = options.limit_cost_per_day
    return bool(most) and usage.cost_today + usage.written_cost_today >= most


def nearest(options: CallOptions, usage: Usage, *, calls: int) -> Reached | None:
    """Return which of a day's limits `calls` at once reach first, and when."""
    found = []
    if options.limit_minutes_per_day:
        left_s = options.limit_minutes_per_day * 60 - usage.seconds_today
        found.append(Reached(Limit.MINUTES, _share(left_s, calls)))
    if options.limit_cost_per_day:
        spent = usage.cost_today + usage.written_cost_today
        left = options.limit_cost_per_day - spent
        # The cost of a second of calls; before they have cost, no limit is near.
        rate = usage.cost_today / usage.seconds_today if usage.seconds_today else 0.0
        if left <= 0:
            found.append(Reached(Limit.COST, 0.0))
        elif rate:
            found.append(Reached(Limit.COST, _share(left / rate, calls)))
    return min(found, key=lambda one: one.left_s, default=None)


def _share(left_s: float, calls: int) -> float:
    """Return how long so many calls may go on together."""
    return max(left_s, 0.0) / max(calls, 1)
