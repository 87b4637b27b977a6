"""A call goes on in another process, from its checkpoint."""

import msgspec
import pytest

from bridge.call import checkpoint
from bridge.call.machine import Call
from bridge.call.plan import HangUp, Leg, RunTool
from bridge.call.session_config import first_words
from bridge.call.time_limit import WARNING_S
from bridge.call.timers import Timer
from bridge.realtime import openai
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
)


def told_call():
    """A call that has been greeted, and whose caller has said something."""
    call = answered_call(greeting="Hello.")
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 500), 1.0)
    call.receive_openai(audio_done("i1"), 1.0)
    words = openai.TranscriptDone(response_id="r1", item_id="i1", transcript="Hello.")
    call.receive_openai(words, 1.0)
    call.receive_openai(done(usage={"total_tokens": 7}), 1.1)
    fire(call, 2.0)
    call.receive_openai(openai.Committed(item_id="u1"), 3.0)
    said = openai.TranscriptionCompleted(item_id="u1", transcript="Tuesday?")
    call.receive_openai(said, 3.1)
    call.receive_openai(created("r2"), 3.1)
    return call


def say(call, text, ms):
    """Let the model say a sentence in its second response."""
    call.receive_openai(audio_delta("i2", ms, "r2"), 3.2)
    call.receive_openai(audio_done("i2", "r2"), 3.2)
    words = openai.TranscriptDone(response_id="r2", item_id="i2", transcript=text)
    call.receive_openai(words, 3.2)


def ending_call():
    """The same, once the model has wished to end it and says goodbye."""
    call = told_call()
    say(call, "Goodbye.", 2_000)
    wish = builders.tool_item("end", "end_call", '{"reason":"goodbye"}')
    call.receive_openai(msgspec.structs.replace(wish, response_id="r2"), 3.2)
    call.receive_openai(done("r2"), 3.3)
    return call


def moved(call, now, later=50.0):
    """The same call in another process, whose clock differs, ready to talk."""
    state = checkpoint.encode(call.checkpoint(now))
    saved = checkpoint.decode(checkpoint.FORMAT, state)
    plan = msgspec.structs.replace(call.plan, resumed=saved)
    other = Call(plan, later)
    actions = other.receive_openai(
        openai.SessionCreated(session=openai.Session()), later
    )
    assert len(of(openai.SessionUpdate, actions)) == 1
    updated = openai.SessionUpdated(session=builders.session())
    return other, other.receive_openai(updated, later)


def items(actions):
    """The items a session is told, in short."""
    told = []
    for one in of(openai.CreateItem, actions):
        item = one.item
        is_message = isinstance(item, openai.MessageItem)
        told.append(
            (item.role, item.content[0].text) if is_message else type(item).__name__
        )
    return told


def answer_to_tool(name="t1", at=3.2):
    return builders.tool_item(name), at


# --- what the other process tells the model ---


def test_the_session_is_told_the_conversation_and_asked_to_apologise_and_answer():
    call, actions = moved(told_call(), 3.5)

    assert items(actions) == [("assistant", "Hello."), ("user", "Tuesday?")]
    (asked,) = of(openai.ResponseCreate, actions)
    assert asked.response == first_words(call.plan)
    assert asked.response.tool_choice == "none"
    assert "apology" in asked.response.instructions
    # What the caller has asked is answered once the apology is through.
    call.receive_twilio(builders.start(), 50.2)
    call.receive_openai(created("a1"), 50.3)
    actions = call.receive_openai(done("a1"), 50.5)
    (asked,) = of(openai.ResponseCreate, actions)
    assert asked.response is msgspec.UNSET


def test_nothing_is_answered_twice():
    call = told_call()
    say(call, "At nine.", 500)
    call.receive_openai(done("r2"), 3.3)
    fire(call, 5.0)
    other, actions = moved(call, 5.0)

    assert items(actions)[-1] == ("assistant", "At nine.")
    other.receive_twilio(builders.start(), 50.2)
    builders.begun(other, "a1", 50.3)
    assert of(openai.ResponseCreate, other.receive_openai(done("a1"), 50.5)) == []


def test_a_sentence_is_kept_as_far_as_it_was_heard():
    call = told_call()
    text = "You can come at nine or at half past ten."
    say(call, text, 2_000)
    fire(call, 4.2)
    before = call.record(4.2).turns
    _, actions = moved(call, 4.2)

    role, kept = items(actions)[-1]
    assert role == "assistant"
    assert text.startswith(kept)
    assert 0.3 < len(kept) / len(text) < 0.7
    # The call itself is as it was.
    assert call.record(4.2).turns == before


def test_call_that_was_ending_ends_when_its_last_words_were_heard():
    call = ending_call()
    other, actions = moved(call, 4.0)

    (asked,) = of(openai.ResponseCreate, actions)
    assert "goodbye" in asked.response.instructions
    other.receive_twilio(builders.start(), 50.2)
    builders.begun(other, "a1", 50.3)
    other.receive_openai(audio_delta("a1-item", 500, "a1"), 50.4)
    other.receive_openai(audio_done("a1-item", "a1"), 50.4)
    actions = other.receive_openai(done("a1"), 50.5)
    # The caller is asked nothing more, and is not hung up on in the last words.
    assert of(openai.ResponseCreate, actions) == of(HangUp, actions) == []
    (ended,) = of(HangUp, fire(other, 55.0))
    assert ended.reason == "end_call:goodbye"


def test_last_words_that_came_before_the_caller_are_all_said():
    other, _ = moved(ending_call(), 4.0)
    other.receive_openai(created("a1"), 50.3)
    other.receive_openai(audio_delta("a1-item", 2_000, "a1"), 50.4)
    other.receive_openai(audio_done("a1-item", "a1"), 50.4)
    other.receive_openai(done("a1"), 50.5)

    actions = other.receive_twilio(builders.start(), 51.0)
    actions += fire(other, 53.1)
    assert len(of(twilio.OutboundMedia, actions)) == 100


def test_a_tool_that_ran_is_not_run_again_and_the_model_is_told_so():
    call = told_call()
    call.receive_openai(*answer_to_tool())
    other, actions = moved(call, 3.3)

    assert items(actions)[-2:] == ["FunctionCall", "FunctionCallOutput"]
    output = of(openai.CreateItem, actions)[-1].item.output
    assert "not known" in msgspec.json.decode(output)["error"]
    assert of(RunTool, actions) == []
    (tool,) = other.record(51.0).tools
    assert (tool.tool_call_id, tool.ok) == ("t1", False)


def test_the_result_of_a_tool_is_kept():
    call = told_call()
    call.receive_openai(*answer_to_tool())
    call.receive_tool_result(builders.tool_result(), 3.3)
    _, actions = moved(call, 3.4)

    assert of(openai.CreateItem, actions)[-1].item.output == "{}"


def test_a_greeting_whose_words_are_not_known_yet_is_said_again():
    call = answered_call(greeting="Hello.")
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 2_000), 1.0)
    fire(call, 1.3)
    _, actions = moved(call, 1.3)

    (asked,) = of(openai.ResponseCreate, actions)
    assert "apology" not in asked.response.instructions
    assert "Hello." in asked.response.instructions


def test_a_call_that_was_never_greeted_is_greeted():
    call = answered_call(greeting="Hello.")
    _, actions = moved(call, 1.0)

    (asked,) = of(openai.ResponseCreate, actions)
    assert "Hello." in asked.response.instructions


def test_a_greeting_half_heard_is_no_second_greeting():
    call = answered_call(greeting="Hello, this is the salon.")
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("i1", 3_000), 1.0)
    text = "Hello, this is the salon."
    words = openai.TranscriptDone(response_id="r1", item_id="i1", transcript=text)
    call.receive_openai(words, 1.0)
    fire(call, 2.5)
    other, actions = moved(call, 2.5)

    (asked,) = of(openai.ResponseCreate, actions)
    assert asked.response == first_words(other.plan)
    assert "apology" in asked.response.instructions


def test_a_session_lost_again_is_asked_to_apologise_again():
    other, _ = moved(told_call(), 3.5)
    other.receive_disconnect(Leg.OPENAI, "1006", 50.1)
    other.receive_openai(openai.SessionCreated(session=openai.Session()), 50.2)
    updated = openai.SessionUpdated(session=builders.session())
    actions = other.receive_openai(updated, 50.3)

    assert items(actions) == [("assistant", "Hello."), ("user", "Tuesday?")]
    asked = of(openai.ResponseCreate, actions)[0]
    assert asked.response == first_words(other.plan)


# --- what the other process keeps ---


def test_digits_that_were_pressed_reach_the_model():
    call = told_call()
    call.receive_twilio(builders.dtmf("4"), 3.2)
    call.receive_twilio(builders.dtmf("2"), 3.4)
    other, _ = moved(call, 3.5)
    other.receive_twilio(builders.start(), 50.2)
    other.receive_openai(created("a1"), 50.3)
    other.receive_openai(done("a1"), 50.4)

    actions = fire(other, 53.0)
    assert ("user", "Keypad: 4 2") in items(actions)


def test_one_record_has_both_parts():
    call = told_call()
    builders.speak(call, [builders.SILENCE] * 10, 3.2)
    first = call.record(4.0)
    other, _ = moved(call, 4.0)
    other.receive_twilio(builders.start(), 50.5)
    builders.speak(other, [builders.SILENCE] * 5, 50.5)
    whole = other.record(52.0)

    assert whole.rx_frames == first.rx_frames + 5
    assert whole.tx_frames == first.tx_frames
    assert whole.usage == first.usage
    assert whole.usage["total_tokens"] == 7
    assert whole.greeting_ms == first.greeting_ms
    assert whole.turns[: len(first.turns)] == first.turns
    assert whole.ended_at_s - whole.opened_at_s == pytest.approx(6.0)
    assert whole.answered_at_s - whole.opened_at_s == pytest.approx(0.0)


def test_the_time_limit_counts_both_parts():
    call = told_call()
    other, _ = moved(call, 4.0)
    other.receive_twilio(builders.start(), 50.5)
    began_at, limit_s = 46.0, call.plan.options.max_call_seconds

    ends_at = began_at + limit_s
    assert Timer.DURATION not in other.timers.due(ends_at - 0.01)
    assert Timer.DURATION in other.timers.due(ends_at)
    assert Timer.WARNING not in other.timers.due(ends_at - WARNING_S - 0.01)
    assert Timer.WARNING in other.timers.due(ends_at - WARNING_S)


def test_a_caller_who_says_nothing_is_prompted_from_the_new_stream_on():
    call = told_call()
    later = 1_000.0
    other, _ = moved(call, 4.0, later)
    other.receive_twilio(builders.start(), later)

    assert other.call_record.active_at == later


# --- what cannot be read ---


@pytest.mark.parametrize("form", [0, checkpoint.FORMAT + 1])
def test_another_format_is_refused(form):
    state = checkpoint.encode(told_call().checkpoint(3.5))
    with pytest.raises(checkpoint.UnreadableError, match=f"format 1, got {form}"):
        checkpoint.decode(form, state)


@pytest.mark.parametrize("state", [b"", b"\xc1", b"\x80", b"\x93\x01\x02\x03"])
def test_no_checkpoint_is_refused(state):
    with pytest.raises(checkpoint.UnreadableError, match="no checkpoint"):
        checkpoint.decode(checkpoint.FORMAT, state)


def test_a_clear_is_not_sent_for_speech_of_another_process():
    call = told_call()
    call.receive_openai(audio_delta("i2", 2_000, "r2"), 3.2)
    _, actions = moved(call, 3.4)

    assert of(twilio.Clear, actions) == []
    assert of(openai.ConversationItemTruncate, actions) == []
