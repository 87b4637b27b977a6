"""A limit of the business that is reached in a call: a warning, and a goodbye."""

from bridge.call.machine import Call
from bridge.call.time_limit import LIMIT_S_MIN
from tests.bridge import builders
from tests.bridge.builders import answered_call, fire
from tests.bridge.call.test_ending import instructions, say


def test_the_caller_is_warned_of_a_limit_at_once_and_then_hears_a_goodbye():
    call = answered_call(idle_prompt_ms=600_000)
    call.receive_limit("limit_cost_per_day", 0.0, 5.0)
    assert "about a minute" in instructions(fire(call, 5.1))[0]
    say(call, 6.0)
    assert instructions(fire(call, 4.9 + LIMIT_S_MIN)) == []

    assert "goodbye" in instructions(fire(call, 5.1 + LIMIT_S_MIN))[0]
    assert call.ending.reason == "limit_cost_per_day"


def test_a_limit_lets_no_call_last_longer_than_it_may():
    call = answered_call(max_call_seconds=60, idle_prompt_ms=600_000)
    call.receive_limit("limit_minutes_per_day", 70.0, 5.0)
    assert "about a minute" in instructions(fire(call, 5.1))[0]
    say(call, 6.0)

    assert "goodbye" in instructions(fire(call, 60.1))[0]


def test_a_limit_is_told_once_and_only_to_who_talks():
    waiting = Call(builders.plan(), 0.0)
    assert waiting.receive_limit("limit_cost_per_day", 0.0, 1.0) == []
    call = answered_call(idle_prompt_ms=600_000)
    told = call.receive_limit("limit_minutes_per_day", 60.0, 5.0)
    assert builders.texts(told) == [
        "[LIMIT] limit_minutes_per_day: the call ends in 60 s"
    ]

    assert call.receive_limit("limit_cost_per_day", 1.0, 5.1) == []
    assert call.time_limit.limit == "limit_minutes_per_day"
