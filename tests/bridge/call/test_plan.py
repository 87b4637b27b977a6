"""What a call is made from and leaves behind: plain data."""

import pytest

from bridge.call.plan import Counters, HangUp, Log
from tests.bridge import builders


def test_every_counter_begins_at_nothing():
    counters = Counters()

    assert {getattr(counters, name) for name in Counters.__slots__} == {0}
    assert set(Counters.__annotations__) == set(Counters.__slots__)


def test_a_counter_nobody_named_cannot_be_counted():
    with pytest.raises(AttributeError):
        Counters().somthing = 1


def test_a_plan_cannot_be_changed():
    with pytest.raises(AttributeError):
        builders.plan().greeting = "Hi."


def test_a_line_is_no_speech_unless_it_says_so():
    assert not Log("info", "x").speech
    assert HangUp("x", failed=True).failed
