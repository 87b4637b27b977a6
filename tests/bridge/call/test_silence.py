"""How long a caller may say nothing."""

import pytest

from bridge.call.silence import LOOK_S, Silence, Verdict
from bridge.call.timers import Timers
from bridge.settings.options import CallOptions

IDLE_S = 12.0


def silence(timers):
    return Silence(timers, CallOptions(idle_prompt_ms=int(IDLE_S * 1e3)))


def test_a_silent_caller_is_asked_once_and_left_after_another_silence():
    timers = Timers()
    made = silence(timers)
    made.begin(1.0)
    assert timers.deadline == 1.0 + IDLE_S
    assert made.look(13.0, 1.0, 1.0, is_at_work=False) is Verdict.ASK
    assert timers.deadline == 13.0 + IDLE_S
    timers.clear()

    assert made.look(25.0, 1.0, 13.0, is_at_work=False) is Verdict.END
    assert timers.deadline is None


def test_who_has_answered_is_asked_again():
    made = silence(Timers())
    assert made.look(13.0, 1.0, 1.0, is_at_work=False) is Verdict.ASK
    assert made.look(40.0, 20.0, 15.0, is_at_work=False) is Verdict.ASK


@pytest.mark.parametrize(("spoke_at", "audible_until"), [(5.0, 1.0), (1.0, 5.0)])
def test_the_time_counts_from_the_last_that_either_side_said(spoke_at, audible_until):
    timers = Timers()
    made = silence(timers)
    assert made.look(13.0, spoke_at, audible_until, is_at_work=False) is Verdict.WAIT
    assert timers.deadline == 5.0 + IDLE_S


def test_a_caller_who_waits_for_us_is_not_silent():
    timers = Timers()
    made = silence(timers)
    assert made.look(30.0, 1.0, 1.0, is_at_work=True) is Verdict.WAIT
    assert timers.deadline == 30.0 + LOOK_S


def test_without_a_stream_nobody_is_silent():
    timers = Timers()
    made = silence(timers)
    made.begin(1.0)
    made.pause()
    assert timers.deadline is None
