"""Every timer that a call may set does something when it is due."""

from bridge.call import timeouts
from bridge.call.timers import Timer
from tests.bridge.builders import answered_call


def test_every_timer_has_its_answer():
    assert timeouts._ON_TIMER.keys() == set(Timer)


def test_of_two_that_are_due_the_first_may_call_off_the_second(monkeypatch):
    call, done = answered_call(), []
    call.timers.clear()
    call.timers.set(Timer.IDLE, 1.0)
    call.timers.set(Timer.KEYPAD, 2.0)
    call_off = {Timer.IDLE: lambda call: call.timers.cancel(Timer.KEYPAD)}
    monkeypatch.setattr(timeouts, "_ON_TIMER", call_off | {Timer.KEYPAD: done.append})
    call.receive_timeout(3.0)

    assert done == []
    assert call.deadline is None
