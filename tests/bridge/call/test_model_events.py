"""What a call answers to the model's events, audio apart."""

import pytest

from bridge.call.call_record import REFUSALS_MAX
from bridge.call.plan import HangUp, Leg, OpenModel, Phase, RunTool
from bridge.realtime import openai
from bridge.realtime.openai_events import StatusDetails
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


def answer(call, now, call_id="t1"):
    return call.receive_tool_result(tool_result(call_id), now)


def waiting_for_tool(**options):
    call = answered_call(**options)
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(), 1.0)
    call.receive_openai(done(), 1.0)
    return call


# --- tools ---


def test_a_slow_tool_gets_one_short_filler():
    call = waiting_for_tool(tool_filler=True)
    assert of(openai.ResponseCreate, fire(call, 1.7)) == []
    (filler,) = of(openai.ResponseCreate, fire(call, 1.9))
    assert filler.response.tool_choice == "none"
    call.receive_openai(created("r2"), 2.0)
    call.receive_openai(done("r2"), 2.1)

    assert of(openai.ResponseCreate, fire(call, 5.0)) == []


def test_no_filler_where_the_business_does_not_want_it_or_the_tool_is_quick():
    assert of(openai.ResponseCreate, fire(waiting_for_tool(), 5.0)) == []

    call = waiting_for_tool(tool_filler=True)
    assert len(of(openai.ResponseCreate, answer(call, 1.5))) == 1
    call.receive_openai(created("r2"), 1.6)
    call.receive_openai(done("r2"), 1.7)
    assert of(openai.ResponseCreate, fire(call, 5.0)) == []


def test_a_filler_never_talks_over_the_ai():
    call = answered_call(tool_filler=True)
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 2_000), 1.0)
    call.receive_openai(audio_done("i1"), 1.0)
    call.receive_openai(tool_item(), 1.0)
    call.receive_openai(done(), 1.0)
    assert of(openai.ResponseCreate, fire(call, 2.9)) == []

    assert len(of(openai.ResponseCreate, fire(call, 3.5))) == 1


def test_the_answer_waits_for_the_filler_and_starts_once():
    call = waiting_for_tool(tool_filler=True)
    fire(call, 1.9)
    call.receive_openai(created("filler"), 2.0)
    assert of(openai.ResponseCreate, answer(call, 2.1)) == []
    actions = call.receive_openai(done("filler"), 2.2)
    assert len(of(openai.ResponseCreate, actions)) == 1

    builders.begun(call, "r3", 2.3)
    assert of(openai.ResponseCreate, call.receive_openai(done("r3"), 2.4)) == []


def test_a_tool_nobody_asked_for_is_ignored():
    call = answered_call()
    assert answer(call, 1.0, "stranger") == []


def test_a_message_item_and_a_half_named_tool_run_nothing():
    call = answered_call()
    message = openai.Item(id="m", type="message")
    nameless = openai.Item(id="f", type="function_call", call_id="t1")
    for item in (message, nameless):
        event = openai.OutputItemDone(response_id="r1", item=item)
        assert of(RunTool, call.receive_openai(event, 1.0)) == []


# --- transcripts ---


def test_words_are_logged_and_a_failed_transcript_is_a_warning():
    call = answered_call()
    delta = openai.TranscriptDelta(response_id="r1", item_id="i1", delta="Hel")
    call.receive_openai(delta, 1.0)
    assert call.call_record.transcript.turns()[0].text == "Hel"
    said = openai.TranscriptDone(response_id="r1", item_id="i1", transcript="Hello.")
    assert texts(call.receive_openai(said, 1.0)) == ["[REALTIME] AI said: Hello."]

    failed = openai.TranscriptionFailed(item_id="u1")
    (line,) = call.receive_openai(failed, 1.1)
    assert (line.level, line.text) == ("warning", "[REALTIME] No transcript of item u1")


def test_a_turn_without_a_transcript_is_told_from_where_the_server_heard_it_begin():
    call = answered_call(noise_calibration_ms=200)
    _, now = builders.speak(call, [builders.SILENCE] * 60, 0.0)
    voice = builders.clip("human-en-reader-1")[20:60]
    actions, now = builders.speak(call, voice + [builders.SILENCE] * 30, now)
    frames = builders.appended(actions)
    start = openai.SpeechStarted(item_id="u1", audio_start_ms=100)
    call.receive_openai(start, now)
    stop = openai.SpeechStopped(item_id="u1", audio_end_ms=20 * len(frames))
    call.receive_openai(stop, now)
    call.receive_openai(openai.Committed(item_id="u1"), now)
    call.receive_disconnect(Leg.OPENAI, "1006", now)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), now)
    again = openai.SessionUpdated(session=builders.session())
    (told,) = of(openai.CreateItem, call.receive_openai(again, now))

    assert told.item.content[0].audio == b"".join(frames[5:])


# --- errors ---


@pytest.mark.parametrize("code", ["insufficient_quota", "invalid_api_key"])
def test_an_account_without_credit_ends_the_call(code):
    call = answered_call()
    by_code = call.receive_openai(builders.error(code), 1.0)
    assert of(HangUp, by_code) == [HangUp("model_failed", failed=True)]

    call = answered_call()
    by_type = openai.Error(error=openai.ErrorBody(message="no", type=code))
    assert of(HangUp, call.receive_openai(by_type, 1.0))[0].failed


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("response_cancel_not_active", 0),
        ("input_audio_buffer_commit_empty", 0),
        ("item_truncate_invalid_item_id", 1),
        ("something_new", 1),
    ],
)
def test_a_refusal_is_counted_and_the_call_goes_on(code, lines):
    call = answered_call()
    actions = call.receive_openai(builders.error(code), 1.0)
    actions += call.receive_openai(builders.error(code), 2.0)

    assert len(texts(actions)) == lines
    assert not of(HangUp, actions)
    assert call.counters.openai_errors == 2


def test_refusals_of_any_number_of_kinds_have_a_limited_number_of_lines():
    call = answered_call()
    lines = []
    for number in range(REFUSALS_MAX + 1):
        lines += texts(call.receive_openai(builders.error(f"new_{number}"), 1.0))

    assert len(lines) == REFUSALS_MAX


@pytest.mark.parametrize(
    ("status", "is_stopped", "tools", "ended"),
    [
        ("completed", False, 1, True),
        ("completed", True, 1, False),
        ("incomplete", True, 0, False),
        ("incomplete", False, 1, False),
    ],
)
def test_a_caller_who_speaks_is_not_hung_up_on(status, is_stopped, tools, ended):
    call = builders.talking_ai()
    fire(call, 10.5)
    if is_stopped:
        call.receive_twilio(builders.dtmf("1"), 10.5)
    item = openai.Item(
        id="f", type="function_call", name="end_call", call_id="t", status=status
    )
    call.receive_openai(openai.OutputItemDone(response_id="r1", item=item), 10.6)
    call.receive_openai(done(status="cancelled" if is_stopped else "completed"), 10.7)

    assert call.counters.tool_calls == tools
    assert (call.phase is Phase.ENDING) == ended


def test_an_expired_session_is_renewed():
    call = answered_call()
    assert of(OpenModel, call.receive_openai(builders.error("session_expired"), 9.0))


def test_an_error_before_the_session_is_ready_refuses_it():
    call = builders.Call(builders.plan(), 0.0)
    actions = call.receive_openai(builders.error("unknown_parameter"), 0.1)

    assert of(HangUp, actions) == [HangUp("session_refused", failed=True)]


def test_a_response_that_fails_for_good_ends_the_call():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    details = StatusDetails(error=openai.ErrorBody(type="insufficient_quota"))
    actions = call.receive_openai(done(status="failed", status_details=details), 1.1)

    assert of(HangUp, actions) == [HangUp("model_failed", failed=True)]


def test_a_greeting_that_failed_is_asked_for_word_for_word_again():
    call = answered_call(greeting="Hello.")
    call.receive_openai(created(), 1.0)
    call.receive_openai(done(status="failed"), 1.1)

    (request,) = of(openai.ResponseCreate, fire(call, 2.2))
    assert request.response.instructions.endswith("Hello.")


def test_a_second_confirmation_changes_nothing():
    call = answered_call(greeting="Hello.")
    again = openai.SessionUpdated(session=builders.session())

    assert call.receive_openai(again, 1.0) == []


def test_a_tool_is_run_and_answered_once_its_response_has_ended():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    actions = call.receive_openai(tool_item(), 1.0)
    assert of(RunTool, actions) == [RunTool("t1", "leads_upsert", '{"name":"Dana"}')]

    actions = answer(call, 1.1)
    assert len(of(openai.CreateItem, actions)) == 1
    assert of(openai.ResponseCreate, actions) == []
    actions = call.receive_openai(done(), 1.2)
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_several_tools_of_one_response_get_one_answer():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(), 1.0)
    call.receive_openai(tool_item("t2"), 1.0)
    call.receive_openai(done(), 1.1)
    assert of(openai.ResponseCreate, answer(call, 1.2)) == []

    actions = answer(call, 1.3, "t2")
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_a_failed_response_is_asked_for_once_more():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    details = StatusDetails(error=openai.ErrorBody(code="server_error"))
    call.receive_openai(done(status="failed", status_details=details), 1.1)

    assert len(of(openai.ResponseCreate, fire(call, 2.2))) == 1
    call.receive_openai(created("r2"), 2.3)
    actions = call.receive_openai(
        done("r2", status="failed", status_details=details), 2.4
    )
    text = "response failed: server_error"
    assert of(OpenModel, actions) == [OpenModel(text)]


def test_a_request_that_collides_is_repeated_after_the_running_response():
    call = answered_call()
    call.receive_twilio(builders.dtmf("#"), 1.0)
    (request,) = of(openai.ResponseCreate, fire(call, 1.0))
    call.receive_openai(created("auto"), 1.1)
    call.receive_openai(
        builders.error("conversation_already_has_active_response", request.event_id),
        1.2,
    )
    actions = call.receive_openai(done("auto"), 1.3)

    assert of(openai.ResponseCreate, actions) == [request]
