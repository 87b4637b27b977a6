"""What we would have the model say waits until the caller has ended."""

from msgspec import UNSET

from bridge.call.floor import FLOOR_WAIT_S
from bridge.realtime import openai
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
    """A call whose caller is in the middle of his words, and the time."""
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
