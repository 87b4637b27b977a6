"""What fails is asked for once more, as what it was; and nothing is answered twice."""

import pytest

from bridge.call.plan import HangUp, OpenModel, Phase
from bridge.call.recovery import ERROR_WAIT_S
from bridge.call.responses import BEGIN_S, STALL_S
from bridge.realtime import openai
from tests.bridge import builders
from tests.bridge.builders import (
    answered_call,
    audio_delta,
    audio_done,
    created,
    done,
    fire,
    of,
    texts,
    tool_item,
    tool_result,
)


def asked(actions):
    """What the model is asked for, in short: its instructions, or nothing."""
    return [
        "" if one.response is openai.UNSET else one.response.instructions
        for one in of(openai.ResponseCreate, actions)
    ]


def fail(call, now, response_id="r1"):
    """Let what was asked for begin and fail."""
    call.receive_openai(created(response_id), now)
    return call.receive_openai(done(response_id, "failed"), now)


def end(call, response_id, now):
    return call.receive_openai(done(response_id), now)


def in_filler():
    """A call whose slow tool has just had its filler asked for."""
    call = answered_call(tool_filler=True)
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(), 1.0)
    call.receive_openai(done(), 1.0)
    (filler,) = asked(fire(call, 2.0))
    assert "moment" in filler
    return call


def test_a_goodbye_that_fails_is_said_again_as_a_goodbye():
    call = answered_call()
    goodbye = asked(call.receive_hangup("drain", 1.0, politely=True))
    fail(call, 1.1)

    assert asked(fire(call, 2.5)) == goodbye
    assert call.phase is Phase.ENDING


def test_a_question_of_our_own_that_fails_is_asked_again_as_it_was():
    call = answered_call(idle_prompt_ms=5_000)
    question = asked(fire(call, 5.1))
    fail(call, 5.2)

    assert question[0] and asked(fire(call, 6.5)) == question


def test_a_question_that_fails_unannounced_is_asked_again_as_it_was():
    call = answered_call(idle_prompt_ms=2_000)
    question = asked(fire(call, 2.5))
    assert "still there" in question[0]
    call.receive_openai(done("r1", "failed"), 2.6)

    assert asked(fire(call, 4.0)) == question


def test_the_last_words_that_fail_after_end_call_are_a_goodbye():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(name="end_call", arguments="{}"), 1.1)

    (goodbye,) = asked(call.receive_openai(done(status="failed"), 1.2))
    assert "goodbye" in goodbye
    assert asked(fire(call, 2.5)) == []


def test_a_filler_that_fails_is_not_answered_before_its_tool():
    call = in_filler()
    fail(call, 2.1, "filler")
    assert asked(fire(call, 5.0)) == []

    assert asked(call.receive_tool_result(tool_result(), 6.0)) == [""]


def test_an_answer_on_its_way_is_the_second_try():
    call = in_filler()
    fail(call, 2.1, "filler")
    assert asked(call.receive_tool_result(tool_result(), 3.05)) == [""]
    assert asked(fire(call, 3.2)) == []
    builders.begun(call, "r3", 3.3)

    assert asked(call.receive_openai(done("r3"), 3.4) + fire(call, 5.0)) == []


def test_keys_and_a_tool_that_wait_for_the_same_end_get_one_answer():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_twilio(builders.dtmf("#"), 1.0)
    assert asked(fire(call, 1.0)) == []
    call.receive_openai(tool_item(), 1.1)
    call.receive_tool_result(tool_result(), 1.2)
    assert asked(call.receive_openai(done(), 1.3)) == [""]
    builders.begun(call, "r2", 1.4)

    assert asked(call.receive_openai(done("r2"), 1.5) + fire(call, 4.0)) == []


def test_a_tool_of_a_lost_session_is_answered_once():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(), 1.0)
    call.receive_openai(builders.error("session_expired"), 1.1)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 1.4)
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session()), 1.5
    )
    assert asked(actions) == []

    assert asked(call.receive_tool_result(tool_result(), 2.0)) == [""]


def test_the_totals_of_a_response_are_told_at_its_own_end_alone():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 100), 1.0)
    assert not any("total of" in one for one in texts(end(call, "nobody", 1.1)))
    assert any("total of" in one for one in texts(end(call, "r1", 1.2)))

    assert not any("total of" in one for one in texts(end(call, "nobody", 1.3)))


def test_what_the_server_forgot_to_end_ends_with_its_response():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)
    call.receive_openai(created(), 1.1)
    call.receive_openai(audio_delta("i1", 1_010), 1.1)
    call.receive_openai(done(), 1.2)
    actions = fire(call, 3.2)

    assert call.playout.frames_sent == 51
    assert of(HangUp, actions) == [HangUp("drain", failed=False)]


@pytest.mark.parametrize("has_begun", [False, True])
def test_an_answer_that_never_comes_is_a_session_lost(has_begun):
    call = answered_call()
    call.receive_twilio(builders.dtmf("#"), 1.0)
    assert asked(fire(call, 1.0)) == [""]
    now, wait_s = 1.0, BEGIN_S
    if has_begun:
        now, wait_s = 3.0, STALL_S
        call.receive_openai(created(), now)
    assert not of(OpenModel, fire(call, now + wait_s - 0.1))

    (again,) = of(OpenModel, fire(call, now + wait_s + 0.1))
    assert again == OpenModel(f"no answer for {wait_s:.0f} s")
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 20.0)
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session()), 20.1
    )
    assert asked(actions) == [""]


def test_an_answer_that_is_being_heard_has_come():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 30_000), 1.0)
    call.receive_openai(audio_done("i1"), 1.0)
    assert not of(OpenModel, fire(call, 31.0 + STALL_S - 0.1))

    assert of(OpenModel, fire(call, 31.0 + STALL_S + 0.1))


def test_an_answer_that_came_to_its_end_is_not_waited_for():
    call = answered_call(idle_prompt_ms=60_000)
    builders.begun(call, "r1", 1.0)
    call.receive_openai(done(), 2.0)

    assert not of(OpenModel, fire(call, 50.0))


def test_what_waits_for_an_end_we_never_heard_of_goes_out_soon():
    call = answered_call(idle_prompt_ms=60_000)
    call.receive_twilio(builders.dtmf("#"), 1.0)
    (request,) = of(openai.ResponseCreate, fire(call, 1.0))
    collision = "conversation_already_has_active_response"
    actions = call.receive_openai(builders.error(collision, request.event_id), 1.1)
    assert asked(actions + fire(call, 1.0 + ERROR_WAIT_S)) == []

    assert of(openai.ResponseCreate, fire(call, 1.2 + ERROR_WAIT_S)) == [request]


def test_a_second_collision_is_watched_like_the_first():
    call = answered_call(idle_prompt_ms=60_000)
    call.receive_twilio(builders.dtmf("#"), 1.0)
    (request,) = of(openai.ResponseCreate, fire(call, 1.0))
    collision = "conversation_already_has_active_response"
    call.receive_openai(builders.error(collision, request.event_id), 1.1)
    assert asked(end(call, "theirs", 1.2)) == [""]
    call.receive_openai(created(), 1.3)
    call.receive_openai(tool_item(), 1.3)
    end(call, "r1", 1.4)
    fire(call, 2.0)
    actions = call.receive_tool_result(tool_result(), 3.0)
    (request,) = of(openai.ResponseCreate, actions)
    call.receive_openai(builders.error(collision, request.event_id), 3.1)

    assert of(openai.ResponseCreate, fire(call, 3.2 + ERROR_WAIT_S)) == [request]
