"""What no end, no beginning or only an error is told of frees the call all the same."""

import pytest

from bridge.call import bad_answers, session_config
from bridge.call.plan import OpenModel
from bridge.call.recovery import ERROR_WAIT_S, UNANNOUNCED_WAIT_S
from bridge.realtime import openai, openai_events
from tests.bridge import builders
from tests.bridge.builders import created, done, fire, of
from tests.bridge.call.test_bad_answers import asked, pressed, renew

# --- what is never announced ---


def test_an_end_whose_beginning_never_came_frees_the_call():
    call = pressed()
    call.receive_openai(done("r1"), 1.2)
    assert not call.responses.is_busy
    call.receive_twilio(builders.dtmf("#"), 1.3)

    assert asked(fire(call, 1.3)) == [""]


def test_an_end_whose_beginning_never_came_has_not_the_sound_of_the_one_before():
    call = pressed()
    builders.begun(call, "r1", 1.1)
    call.receive_openai(done("r1"), 1.2)
    call.receive_twilio(builders.dtmf("#"), 2.0)
    fire(call, 2.0)
    call.receive_openai(done("r2"), 2.1)

    assert call.counters.mute_empty == 1


def test_an_end_whose_beginning_never_came_is_asked_for_once_more_after_a_while():
    call = pressed()
    assert asked(call.receive_openai(done("r1"), 1.2)) == []

    assert asked(fire(call, 1.3 + UNANNOUNCED_WAIT_S)) == [""]


def test_a_beginning_that_comes_after_anothers_end_is_the_answer():
    call = pressed()
    call.receive_openai(done("theirs", "cancelled"), 1.2)
    builders.begun(call, "r1", 1.3)
    call.receive_openai(done("r1"), 1.4)

    assert asked(fire(call, 5.0)) == []


def test_a_beginning_that_is_told_after_its_end_does_not_call_off_the_second_try():
    call = pressed()
    call.receive_openai(done("r1"), 1.2)
    call.receive_openai(created("r1"), 1.3)

    assert asked(fire(call, 1.3 + UNANNOUNCED_WAIT_S)) == [""]


def test_sound_that_was_never_announced_is_an_answer():
    call = pressed()
    call.receive_openai(builders.audio_delta("i1", 200), 1.2)
    assert call.responses.active_id == "r1"
    call.receive_twilio(builders.dtmf("#"), 1.3)
    assert asked(fire(call, 1.3)) == []

    assert asked(call.receive_openai(done("r1"), 1.4)) == [""]


def test_what_comes_late_of_an_answer_that_has_ended_begins_none():
    call = pressed()
    builders.begun(call, "r1", 1.1)
    call.receive_openai(done("r1"), 1.2)
    call.receive_twilio(builders.dtmf("#"), 2.0)
    fire(call, 2.0)
    late = openai_events.OutputItemAdded(
        response_id="r1", item=openai.Item(id="i9", type="message")
    )
    call.receive_openai(late, 2.1)
    call.receive_openai(created("r1"), 2.1)
    call.receive_openai(done("r1"), 2.1)

    assert call.responses.active_id is None and call.responses.is_busy


@pytest.mark.parametrize("end", ["", "r7"])
def test_a_response_without_a_name_is_the_one_that_runs(end):
    call = pressed()
    call.receive_openai(created(""), 1.1)
    assert call.responses.is_busy
    call.receive_openai(builders.audio_delta("i1", 200, "r7"), 1.2)
    call.receive_openai(done(end), 1.3)

    assert not call.responses.is_busy


def test_a_response_without_a_name_can_be_stopped():
    call = pressed()
    call.receive_openai(created(""), 1.1)
    call.responses.cancel(call.now)
    call.receive_openai(builders.audio_delta("i1", 200, "r7"), 1.2)
    assert call.counters.late_deltas == 1
    call.receive_openai(done(""), 1.3)
    call.receive_twilio(builders.dtmf("#"), 2.0)
    fire(call, 2.0)
    call.receive_openai(created(""), 2.1)
    call.receive_openai(builders.audio_delta("i2", 200, "r8"), 2.2)

    assert call.counters.late_deltas == 1


# --- errors ---


def error(code="server_error", event_id=None, kind="server_error"):
    body = openai.ErrorBody(message="no", type=kind, code=code, event_id=event_id)
    return openai.Error(error=body)


def test_an_error_that_names_a_request_is_its_failure():
    call = pressed()
    actions = call.receive_openai(error(event_id="response-1"), 1.2)
    assert asked(actions) == [] and not call.responses.is_busy

    assert asked(fire(call, 2.3)) == [""]


def test_an_error_that_names_a_request_lets_the_next_one_go():
    call = pressed()
    call.request(session_config.filler())
    (next_one,) = asked(call.receive_openai(error(event_id="response-1"), 1.2))

    assert "moment" in next_one


@pytest.mark.parametrize("has_begun", [False, True])
@pytest.mark.parametrize(
    "told", [error(), error("rate_limit_exceeded", kind="invalid_request_error")]
)
def test_an_error_that_no_end_follows_is_noticed_in_three_seconds(has_begun, told):
    call = pressed()
    if has_begun:
        call.receive_openai(created(), 1.1)
    call.receive_openai(told, 1.2)
    assert asked(fire(call, 1.1 + ERROR_WAIT_S)) == []
    actions = fire(call, 1.3 + ERROR_WAIT_S)

    assert len(of(openai.ResponseCancel, actions)) == 1
    assert asked(actions) == [""]


def test_more_errors_do_not_put_it_off():
    call = pressed()
    call.receive_openai(created(), 1.1)
    actions = []
    for number in range(40):
        now = 1.2 + number / 10
        actions += fire(call, now) + call.receive_openai(error(), now)

    assert len(of(openai.ResponseCancel, actions)) == 1


def test_an_answer_that_goes_on_after_an_error_is_left_alone():
    call = pressed()
    call.receive_openai(created(), 1.1)
    call.receive_openai(error(), 1.2)
    fire(call, 3.0)
    call.receive_openai(builders.audio_delta("i1", 8_000), 3.0)
    assert asked(fire(call, 5.9)) == []
    call.receive_openai(done(), 5.9)

    assert asked(fire(call, 15.0)) == []


@pytest.mark.parametrize(
    "other",
    [
        error("invalid_value", kind="invalid_request_error"),
        error("item_truncate_invalid_item_id", kind=None),
        error(event_id="nobody"),
    ],
)
def test_an_error_about_something_else_costs_no_answer(other):
    call = pressed()
    call.receive_openai(created(), 1.1)
    call.receive_openai(other, 1.2)

    assert asked(fire(call, 10.0)) == []
    assert call.responses.active_id == "r1"


def test_a_second_error_without_an_end_leads_to_another_session():
    call = pressed()
    call.receive_openai(error(), 1.2)
    fire(call, 5.0)
    call.receive_openai(error(), 5.1)

    assert of(OpenModel, fire(call, 8.7))


def test_an_error_of_a_session_that_is_gone_is_forgotten():
    call = pressed()
    call.receive_openai(error(), 1.2)
    call.receive_openai(error("session_expired"), 1.3)
    renew(call, 1.8)
    bad_answers.on_error_unfollowed(call)

    assert call.recovery.failures == 0
