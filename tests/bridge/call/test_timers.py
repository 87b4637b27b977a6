"""Of all timers only the earliest shows."""

import pytest

from bridge.call.timers import OwnTimers, Timer, Timers


def test_the_earliest_is_the_deadline():
    timers = Timers()
    assert timers.deadline is None
    timers.set(Timer.IDLE, 9.0)
    timers.set(Timer.FEED, 2.0)

    assert timers.deadline == 2.0
    timers.set(Timer.FEED, None)
    assert timers.deadline == 9.0


def test_what_is_due_is_taken_once_and_in_order():
    timers = Timers()
    timers.set(Timer.IDLE, 3.0)
    timers.set(Timer.FEED, 2.0)
    timers.set(Timer.DURATION, 30.0)

    assert timers.due(5.0) == [Timer.FEED, Timer.IDLE]
    assert timers.take(Timer.FEED, 5.0)
    assert not timers.take(Timer.FEED, 5.0)
    assert timers.deadline == 3.0


def test_what_was_cancelled_or_put_off_meanwhile_is_not_due():
    timers = Timers()
    for timer in (Timer.FEED, Timer.IDLE, Timer.STALL):
        timers.set(timer, 2.0)
    timers.cancel(Timer.IDLE)
    timers.set(Timer.STALL, 9.0)

    assert [timer for timer in Timer if timers.take(timer, 5.0)] == [Timer.FEED]
    assert timers.deadline == 9.0


def test_a_timer_set_again_has_one_time():
    timers = Timers()
    timers.set(Timer.HOLD, 1.0)
    timers.set(Timer.HOLD, 4.0)

    assert not timers.take(Timer.HOLD, 2.0)


def test_timers_can_be_cancelled_one_by_one_or_all():
    timers = Timers()
    for at, timer in enumerate(Timer):
        timers.set(timer, float(at))
    timers.cancel(Timer.STREAM, Timer.SESSION)
    assert timers.deadline == 2.0

    timers.clear()
    assert timers.deadline is None


def test_an_owner_sets_its_own_timers_alone():
    timers = Timers()
    timers.set(Timer.FEED, 2.0)
    own = OwnTimers(timers, Timer.IDLE)
    own.set(Timer.IDLE, 1.0)
    assert timers.due(1.0) == [Timer.IDLE]
    own.cancel(Timer.IDLE)
    assert timers.deadline == 2.0

    for step in (lambda: own.set(Timer.FEED, 1.0), lambda: own.cancel(Timer.FEED)):
        with pytest.raises(AssertionError, match="another owner"):
            step()
    assert timers.deadline == 2.0
