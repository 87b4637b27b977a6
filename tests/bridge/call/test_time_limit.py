"""How long a call may last."""

import pytest

from bridge.call.time_limit import LIMIT_S_MIN, LOOK_S, TimeLimit
from bridge.call.timers import Timer, Timers
from bridge.settings.options import CallOptions


def limited(timers, max_call_seconds=600):
    return TimeLimit(timers, CallOptions(max_call_seconds=max_call_seconds))


@pytest.mark.parametrize(("limit_s", "warned_s"), [(600, 540.0), (100, 75.0)])
def test_the_caller_is_warned_a_minute_before_the_end_or_at_three_quarters(
    limit_s, warned_s
):
    timers = Timers()
    made = limited(timers, limit_s)
    made.begin(1.0)

    assert timers.due(1.0 + warned_s) == [Timer.WARNING]
    assert timers.due(1.0 + limit_s) == [Timer.WARNING, Timer.DURATION]
    assert made.reason == "max_duration"


@pytest.mark.parametrize(
    ("left_s", "has_s"), [(90.0, 90.0), (LIMIT_S_MIN - 1.0, LIMIT_S_MIN)]
)
def test_a_limit_that_is_reached_warns_at_once_and_leaves_some_time(left_s, has_s):
    timers = Timers()
    made = limited(timers)
    made.begin(0.0)
    assert made.shorten("limit_minutes_per_day", left_s, 10.0) == has_s

    assert timers.due(10.0) == [Timer.WARNING]
    assert timers.due(10.0 + has_s) == [Timer.WARNING, Timer.DURATION]
    assert made.reason == "limit_minutes_per_day"


def test_no_limit_makes_a_call_longer():
    timers = Timers()
    made = limited(timers)
    made.begin(0.0)
    made.shorten("limit_cost", 90.0, 590.0)
    assert timers.due(600.0) == [Timer.WARNING, Timer.DURATION]


def test_a_second_limit_raises_and_changes_nothing():
    timers = Timers()
    made = limited(timers)
    made.begin(0.0)
    made.shorten("limit_cost", 90.0, 10.0)
    with pytest.raises(AssertionError, match="ends the call already"):
        made.shorten("limit_minutes_per_day", 30.0, 20.0)

    assert made.reason == "limit_cost"
    assert timers.due(99.0) == [Timer.WARNING]


def test_a_warning_waits_for_a_pause_and_is_given_once():
    timers = Timers()
    made = limited(timers)
    made.put_off(540.0)
    assert timers.deadline == 540.0 + LOOK_S
    assert not made.has_warned
    made.note_warned()
    assert made.has_warned
