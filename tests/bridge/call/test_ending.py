"""How a call ends, and who may end it."""

import pytest

from bridge.call.bad_messages import MALFORMED_MAX
from bridge.call.ending import Ending
from bridge.call.last_words import ENDING_S_MAX, LAST_MARK_S, LAST_WORDS_S
from bridge.call.machine import Call
from bridge.call.plan import HangUp, Leg, Phase, Refusal, ToolResult
from bridge.realtime import openai
from bridge.records.summary import outcome_of
from bridge.telephony import twilio
from tests.bridge import builders
from tests.bridge.builders import (
    answered_call,
    audio_delta,
    audio_done,
    created,
    done,
    fire,
    of,
    talking_ai,
    texts,
    tool_item,
)


def result(missing):
    return ToolResult(
        tool_call_id="t",
        name="leads_upsert",
        arguments="{}",
        output="{}",
        ok=True,
        duration_ms=1.0,
        missing_fields=missing,
    )


def answer(call, now):
    return call.receive_tool_result(builders.tool_result(), now)


def instructions(actions):
    return [one.response.instructions for one in of(openai.ResponseCreate, actions)]


def say(call, now, ms=500):
    """Let the model answer and be heard."""
    response_id = f"r{now}"
    call.receive_openai(created(response_id), now)
    call.receive_openai(audio_delta(f"i{now}", ms, response_id), now)
    call.receive_openai(audio_done(f"i{now}", response_id), now)
    return call.receive_openai(done(response_id), now)


@pytest.mark.parametrize(
    ("missing", "arguments", "ok"),
    [
        ((), "{}", True),
        (("name",), "{}", False),
        (("name",), '{"reason":"goodbye"}', True),
        (("name",), '{"reason":"declined"}', True),
        ((), '{"reason":"bored"}', False),
        ((), '{"why":1}', False),
        ((), "no JSON", False),
    ],
)
def test_end_call_is_honoured_by_the_rule(missing, arguments, ok):
    ending = Ending(builders.plan())
    ending.learn(result(missing))
    ending.learn(result(None))

    decided = ending.decide("t1", arguments)
    assert decided.ok == ok
    assert ("error" in decided.output) != ok
    assert ending.reason.startswith("end_call:") == ok


def test_the_caller_is_warned_before_the_longest_call_ends():
    call = answered_call(max_call_seconds=240, idle_prompt_ms=600_000)
    assert instructions(fire(call, 179.9)) == []
    assert "about a minute" in instructions(fire(call, 180.1))[0]
    say(call, 181.0)
    assert instructions(fire(call, 239.9)) == []

    assert "goodbye" in instructions(fire(call, 240.1))[0]
    assert call.ending.reason == "max_duration"


def test_the_warning_waits_for_a_pause():
    call = answered_call(max_call_seconds=40, idle_prompt_ms=600_000)
    fire(call, 29.0)
    say(call, 29.5, ms=3_000)
    assert instructions(fire(call, 32.0)) == []

    assert len(instructions(fire(call, 33.0))) == 1
    assert call.time_limit.has_warned


def test_a_caller_who_answers_is_asked_again_the_next_time():
    call = answered_call(idle_prompt_ms=5_000)
    assert len(instructions(fire(call, 5.1))) == 1
    say(call, 5.2)
    call.call_record.caller_spoke(6.0)
    assert instructions(fire(call, 10.9)) == []

    assert "still there" in instructions(fire(call, 11.1))[0]
    assert call.phase is Phase.TALKING


def test_a_goodbye_that_never_comes_does_not_keep_the_line():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)

    assert of(HangUp, fire(call, 1.0 + LAST_WORDS_S)) == [HangUp("drain", failed=False)]


def test_ending_politely_before_anybody_talks_ends_at_once():
    call = Call(builders.plan(), 0.0)

    actions = call.receive_hangup("drain", 1.0, politely=True)
    assert of(HangUp, actions) == [HangUp("drain", failed=False)]


def test_end_call_without_last_words_has_the_model_say_goodbye():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    item = openai.Item(
        id="f", type="function_call", name="end_call", call_id="t", arguments="{}"
    )
    call.receive_openai(openai.OutputItemDone(response_id="r1", item=item), 1.0)
    actions = call.receive_openai(done(), 1.1)

    assert "end_call:completed" in instructions(actions)[0]
    assert call.phase is Phase.ENDING


@pytest.mark.parametrize("hangs_up", [False, True])
def test_what_a_call_came_to_does_not_hang_on_who_hangs_up_first(hangs_up):
    call = answered_call()
    call.receive_openai(created(), 1.0)
    declined = '{"reason":"declined"}'
    call.receive_openai(tool_item(name="end_call", arguments=declined), 1.0)
    call.receive_openai(done(), 1.1)
    say(call, 1.2, ms=2_000)
    if hangs_up:
        call.receive_twilio(twilio.Stop(), 1.5)
    fire(call, 10.0)

    record = call.record(10.0)
    reason = "caller_hung_up" if hangs_up else "end_call:declined"
    assert (record.end_reason, outcome_of(record)) == (reason, "declined")


def test_a_caller_whose_words_could_not_be_written_down_was_not_silent():
    call = answered_call()
    call.receive_openai(openai.Committed(item_id="u1"), 1.0)
    failed = openai.TranscriptionFailed(item_id="u1")
    call.receive_openai(failed, 1.5)
    call.receive_twilio(twilio.Stop(), 2.0)

    record = call.record(2.0)
    assert [(turn.role, turn.text) for turn in record.turns] == [("caller", "")]
    assert outcome_of(record) == "talked"
    assert call.counters.untranscribed_turns == 1


def test_a_mark_that_is_never_echoed_does_not_keep_the_line():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)
    say(call, 1.5, ms=1_000)
    assert not of(HangUp, fire(call, 2.5))

    assert of(HangUp, fire(call, 3.6)) == [HangUp("drain", failed=False)]


def test_a_turn_unheard_at_the_end_is_cut_in_the_transcript():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 2_000), 1.0)
    call.receive_openai(
        openai.TranscriptDone(response_id="r1", item_id="i1", transcript="One two."),
        1.0,
    )
    fire(call, 2.0)
    call.receive_disconnect(Leg.TWILIO, "1006", 2.0)

    (turn,) = call.record(2.0).turns
    assert turn.interrupted and turn.text == "One"


def test_end_call_waits_for_the_required_fields():
    call = Call(builders.plan(), 0.0)
    call.ending.missing = ("name",)
    call.receive_twilio(builders.start(), 0.0)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.0)
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(name="end_call", arguments="{}"), 1.0)
    actions = call.receive_openai(done(), 1.1)

    assert '"missing":["name"]' in of(openai.CreateItem, actions)[0].item.output
    assert call.phase is Phase.TALKING


def test_end_call_lets_the_last_words_be_heard():
    call = talking_ai(ms=600)
    call.receive_openai(audio_done("item_1"), 10.0)
    goodbye = '{"reason":"goodbye"}'
    call.receive_openai(tool_item(name="end_call", arguments=goodbye), 10.0)
    actions = call.receive_openai(done(), 10.1)
    assert not of(HangUp, actions)
    actions = fire(call, 10.5)
    marks = [mark.mark.name for mark in of(twilio.OutboundMark, actions)]
    assert not of(HangUp, actions)

    actions = call.receive_twilio(builders.mark(marks[-1]), 10.65)
    assert of(HangUp, actions) == [HangUp("end_call:goodbye", failed=False)]


def last_words(call, now):
    """Let the model say 200 ms of last words; return the name of their mark."""
    call.receive_hangup("drain", now, politely=True)
    call.receive_openai(created(), now)
    actions = call.receive_openai(audio_delta("item_1", 200), now)
    actions += call.receive_openai(audio_done("item_1"), now)
    actions += fire(call, now + 0.1)
    (mark,) = of(twilio.OutboundMark, actions)
    return mark.mark.name


def test_an_echo_that_comes_too_early_does_not_cut_the_last_words():
    call = answered_call()
    name = last_words(call, 1.0)
    call.receive_openai(done(), 1.12)
    assert call.playout.is_playing(1.15)

    assert not of(HangUp, call.receive_twilio(builders.mark(name), 1.15))
    assert not of(HangUp, fire(call, 1.19))
    assert of(HangUp, fire(call, 1.2 + LAST_MARK_S))


def test_the_echo_of_the_last_words_is_waited_for_though_their_time_is_over():
    call = answered_call()
    name = last_words(call, 1.0)
    assert not call.playout.is_playing(1.25)
    assert not of(HangUp, call.receive_openai(done(), 1.25))

    assert of(HangUp, call.receive_twilio(builders.mark(name), 1.3))


def test_a_long_reply_and_the_goodbye_behind_it_are_heard_to_the_end():
    call = talking_ai(ms=20_000)
    call.receive_openai(audio_done("item_1"), 10.0)
    call.receive_hangup("max_duration", 10.5, politely=True)
    call.receive_openai(done(), 10.6)
    say(call, 11.0, ms=1_000)
    assert not of(HangUp, fire(call, 31.3))
    assert call.playout.frames_sent == 21 * 50

    assert of(HangUp, fire(call, 32.5)) == [HangUp("max_duration", failed=False)]


def test_an_ai_that_never_stops_does_not_keep_the_line():
    call = talking_ai(ms=100_000)
    call.receive_hangup("max_duration", 10.5, politely=True)
    assert not of(HangUp, fire(call, 10.4 + ENDING_S_MAX))

    assert of(HangUp, fire(call, 10.6 + ENDING_S_MAX))


def test_whoever_ends_an_ending_call_politely_lets_its_last_words_be_heard():
    call = answered_call()
    call.receive_hangup("silence", 1.0, politely=True)
    say(call, 1.1, ms=1_000)
    assert not of(HangUp, call.receive_hangup("drain", 1.3, politely=True))

    assert of(HangUp, fire(call, 4.0)) == [HangUp("silence", failed=False)]


def test_a_goodbye_whose_end_comes_late_is_heard_to_the_end():
    call = answered_call()
    call.receive_hangup("silence", 1.0, politely=True)
    call.receive_openai(created(), 1.1)
    call.receive_openai(audio_delta("item_1", 200), 1.1)
    call.receive_openai(audio_done("item_1"), 1.1)
    assert not of(HangUp, call.receive_openai(done(), 1.15))

    assert not of(HangUp, fire(call, 1.29))


def test_a_stale_echo_does_not_cut_the_last_words():
    call = talking_ai(ms=2_000)
    old = of(twilio.OutboundMark, fire(call, 10.4))[0].mark.name
    call.receive_twilio(builders.dtmf("1"), 10.45)
    call.receive_openai(done(status="cancelled"), 10.5)
    call.receive_hangup("drain", 10.6, politely=True)
    say(call, 10.7, ms=200)

    assert not of(HangUp, call.receive_twilio(builders.mark(old), 10.75))
    assert call.playout.ends_at() > 10.75


def test_echoes_of_marks_that_were_never_sent_end_the_call():
    call = talking_ai()
    lines = []
    for _ in range(MALFORMED_MAX):
        lines += texts(call.receive_twilio(builders.mark("x"), 10.0))
    assert lines == ["dropped from twilio: expected a mark we sent, once"]
    assert call.phase is Phase.TALKING

    call.receive_twilio(builders.mark("x"), 10.0)
    assert call.record(10.0).end_reason == "malformed_twilio"


def test_a_silent_caller_is_asked_once_and_then_bidden_goodbye():
    call = answered_call(idle_prompt_ms=5_000)
    actions = fire(call, 5.1)
    assert "still there" in of(openai.ResponseCreate, actions)[0].response.instructions
    call.receive_openai(created(), 5.2)
    call.receive_openai(audio_delta("item_1", 500), 5.2)
    call.receive_openai(audio_done("item_1"), 5.2)
    call.receive_openai(done(), 5.3)
    actions = fire(call, 11.5)

    assert "goodbye" in of(openai.ResponseCreate, actions)[0].response.instructions
    assert call.phase is Phase.ENDING


def test_a_caller_who_waits_for_a_tool_is_not_asked_whether_they_are_there():
    call = answered_call(idle_prompt_ms=2_000)
    call.receive_openai(created(), 1.0)
    call.receive_openai(tool_item(), 1.0)
    call.receive_openai(done(), 1.0)
    assert instructions(fire(call, 5.0)) == []

    assert len(of(openai.ResponseCreate, answer(call, 5.1))) == 1


def test_an_ai_that_repeats_itself_is_corrected_and_then_stopped():
    call = answered_call()
    actions = []
    for number in range(4):
        response_id = f"r{number}"
        actions = builders.begun(call, response_id, 1.0 + number)
        call.receive_openai(
            openai.TranscriptDone(
                response_id=response_id,
                item_id=f"item_{number}",
                transcript="Which day would you like to come?",
            ),
            1.0 + number,
        )
        actions = call.receive_openai(done(response_id), 1.0 + number)
        if number == 2:
            assert of(openai.CreateItem, actions)[0].item.role == "system"
    assert call.ending.reason == "loop"


def test_a_lost_caller_ends_the_call():
    call = talking_ai()

    actions = call.receive_disconnect(Leg.TWILIO, "1006", 10.5)
    assert of(HangUp, actions) == [HangUp("caller_leg_lost", failed=False)]


def test_a_model_that_cannot_be_had_at_all_lets_the_caller_hear_the_fallback():
    call = Call(builders.plan(), 0.0)

    refusal = Refusal(reason="HTTP 401", status=401)
    actions = call.receive_disconnect(Leg.OPENAI, refusal, 0.2)
    assert of(HangUp, actions) == [HangUp("model_unreachable", failed=True)]
