"""What we would have the model say waits until the caller has ended."""

from msgspec import UNSET

from bridge.call import timeouts
from bridge.call.floor import FLOOR_WAIT_S, HEAR_MS, LOOK_S, Due, Floor
from bridge.call.timers import Timers
from bridge.realtime import openai
from bridge.settings.options import CallOptions
from tests.bridge import builders
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    clip,
    created,
    done,
    fire,
    of,
    speak,
    tool_item,
    tool_result,
)

VOICE = clip("human-en-reader-1")[20:]
QUIET = [SILENCE]


def answer(call, now):
    return call.receive_tool_result(tool_result(), now)


def speaking_while_a_tool_runs(**options):
    """A call whose caller is in the middle of their words, and the time."""
    call = answered_call(**options)
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(tool_item(), now)
    call.receive_openai(done(), now)
    _, now = speak(call, VOICE[:50], now)
    assert call.uplink.is_turn_open
    return call, now


def end_turn(call, now):
    """Let the server hear the end of the caller's turn."""
    call.receive_openai(openai.SpeechStarted("c1", 0), now)
    _, now = speak(call, QUIET * 25, now)
    call.receive_openai(openai.SpeechStopped("c1", 1_000_000), now)
    assert not call.uplink.is_turn_open
    return now


def asked(actions):
    return of(openai.ResponseCreate, actions)


# --- the owner ---


def test_all_that_may_wait_is_done_once_it_is_free():
    assert timeouts.ON_FLOOR.keys() == set(Due)


def test_what_finds_the_floor_free_is_said_at_once():
    timers = Timers()
    floor = Floor(timers, CallOptions())
    assert floor.take(Due.WARNING, 1.0, is_callers=False)

    assert not floor.is_wanted
    assert timers.deadline is None


def test_what_waits_is_said_once_in_the_order_in_which_it_came():
    timers = Timers()
    floor = Floor(timers, CallOptions())
    for what in (Due.WARNING, Due.TOOL_ANSWER, Due.WARNING, Due.APOLOGY):
        assert not floor.take(what, 1.0, is_callers=True)
    assert floor.is_wanted
    assert timers.deadline == 1.0 + LOOK_S
    assert floor.drop(Due.APOLOGY)
    assert not floor.drop(Due.APOLOGY)
    assert floor.look(1.1, is_callers=True) == []
    assert timers.deadline == 1.1 + LOOK_S
    timers.clear()

    assert floor.look(1.2, is_callers=False) == [Due.WARNING, Due.TOOL_ANSWER]
    assert floor.drop(Due.WARNING)
    assert floor.drop(Due.TOOL_ANSWER)
    assert not floor.is_wanted
    assert timers.deadline is None


def test_what_is_said_at_once_does_not_wait_as_well():
    floor = Floor(Timers(), CallOptions())
    assert not floor.take(Due.WARNING, 1.0, is_callers=True)
    assert floor.take(Due.WARNING, 1.1, is_callers=False)
    assert floor.look(1.2, is_callers=False) == []


def test_nothing_waits_longer_than_its_limit_from_when_it_was_first_asked_for():
    timers = Timers()
    floor = Floor(timers, CallOptions())
    floor.take(Due.WARNING, 1.0, is_callers=True)
    floor.take(Due.APOLOGY, 2.0, is_callers=True)
    floor.take(Due.WARNING, 3.0, is_callers=True)

    assert floor.look(1.0 + FLOOR_WAIT_S - 0.01, is_callers=True) == []
    assert floor.look(1.0 + FLOOR_WAIT_S, is_callers=True) == [Due.WARNING]
    assert floor.drop(Due.WARNING)
    assert timers.deadline == 1.0 + FLOOR_WAIT_S + LOOK_S
    assert floor.look(2.0 + FLOOR_WAIT_S, is_callers=True) == [Due.APOLOGY]


# --- a call ---


def test_a_tool_that_answers_into_the_callers_words_waits_for_their_end():
    call, now = speaking_while_a_tool_runs()
    told = answer(call, now)
    assert of(openai.CreateItem, told) and not asked(told)
    now = end_turn(call, now)

    assert len(asked(fire(call, now + 0.2))) == 1


def test_a_turn_that_the_server_does_not_end_is_not_waited_for_much_longer():
    call, now = speaking_while_a_tool_runs()
    answer(call, now)
    actions, now = speak(call, QUIET * 35, now)
    assert not asked(actions)
    actions, _ = speak(call, QUIET * 15, now)

    assert len(asked(actions)) == 1 and call.uplink.is_turn_open


def test_the_floor_is_free_when_the_server_must_have_heard_the_turns_end():
    call, now = speaking_while_a_tool_runs(turn_silence_ms=500)
    while call.uplink.quiet_ms < 500 + HEAR_MS:
        assert call.has_caller_floor
        _, now = speak(call, QUIET, now)

    assert call.uplink.quiet_ms == 500 + HEAR_MS and call.uplink.is_turn_open
    assert not call.has_caller_floor


def test_what_waits_is_not_said_among_the_last_words():
    call, now = speaking_while_a_tool_runs()
    call.receive_limit("tested", 40.0, now)
    fire(call, now)
    assert call.floor.is_wanted and not call.time_limit.has_warned

    (goodbye,) = asked(call.receive_hangup("tested", now, politely=True))
    call.receive_openai(created("g1"), now)
    call.receive_openai(done("g1", "failed"), now)
    told = asked(speak(call, VOICE[:100] + QUIET * 300, now)[0])
    assert [one.response for one in told] == [goodbye.response]


def test_the_servers_answer_to_the_caller_answers_the_tool_as_well():
    call, now = speaking_while_a_tool_runs()
    answer(call, now)
    now = end_turn(call, now)
    call.receive_openai(openai.Committed("c1"), now)
    actions = fire(call, now + 0.3)
    builders.begun(call, "r2", now + 0.3)
    actions += call.receive_openai(done("r2"), now + 1.0)

    assert not asked(actions + fire(call, now + 5.0))


def test_a_response_that_began_before_the_tool_was_told_does_not_answer_it():
    call, now = speaking_while_a_tool_runs()
    now = end_turn(call, now)
    call.receive_openai(openai.Committed("c1"), now)
    answer(call, now)
    call.receive_openai(created("r2"), now + 0.1)
    actions = call.receive_openai(done("r2"), now + 1.0)

    assert len(asked(actions + fire(call, now + 2.0))) == 1


def test_a_line_that_is_never_quiet_is_not_waited_for_for_ever():
    call, now = speaking_while_a_tool_runs()
    told_at = now
    answer(call, now)
    actions = []
    while now < told_at + FLOOR_WAIT_S - 1.0:
        more, now = speak(call, VOICE[5:45], now)
        actions += more
    assert not asked(actions) and call.uplink.is_turn_open
    more, now = speak(call, VOICE[5:45] * 3, now)

    assert len(asked(more)) == 1


def test_no_filler_and_no_warning_talk_over_the_caller():
    call, now = speaking_while_a_tool_runs(tool_filler=True, max_call_seconds=8)
    actions, now = speak(call, VOICE[5:45] * 4, now)
    assert not asked(actions) and now > 6.0
    answer(call, now)
    now = end_turn(call, now)
    actions = fire(call, now + 0.2)

    (warning,) = asked(actions)
    assert "about a minute" in warning.response.instructions
    builders.begun(call, "r2", now + 0.8)
    (request,) = asked(call.receive_openai(done("r2"), now + 0.8))
    assert request.response is UNSET


def test_a_second_try_is_not_made_once_the_server_has_begun_another_answer():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(done(status="failed"), 1.1)
    call.receive_openai(created("r2"), 1.5)
    call.receive_openai(done("r2"), 2.5)

    assert not asked(fire(call, 4.0))


def test_a_second_try_waits_for_the_caller():
    call = answered_call()
    _, now = speak(call, QUIET * 100, 0.0)
    call.receive_openai(created(), now)
    call.receive_openai(done(status="failed"), now)
    actions, now = speak(call, VOICE[:60], now)
    assert not asked(actions)
    now = end_turn(call, now)

    assert len(asked(fire(call, now + 0.2))) == 1


def test_an_answer_we_ask_for_at_the_turns_end_answers_the_tool_as_well():
    call, now = speaking_while_a_tool_runs(turn_detection="gate")
    actions, now = speak(call, QUIET * 18, now)
    answer(call, now)
    more, now = speak(call, QUIET * 12, now)
    assert len(asked(actions + more)) == 1
    builders.begun(call, "r2", now)
    actions = call.receive_openai(done("r2"), now + 1.0)

    assert not asked(actions + fire(call, now + 5.0))


def test_an_answer_we_ask_for_in_the_servers_place_answers_the_tool_as_well():
    call, now = speaking_while_a_tool_runs()
    answer(call, now)
    now = end_turn(call, now)
    call.receive_openai(openai.Committed("c1"), now)
    assert len(asked(fire(call, now + 1.5))) == 1
    builders.begun(call, "r2", now + 1.6)
    actions = call.receive_openai(done("r2"), now + 2.0)

    assert not asked(actions + fire(call, now + 5.0))
