"""An answer that is cancelled before its first sound was not said."""

import pytest

from bridge.call.machine import Call
from bridge.call.plan import TakeOver
from bridge.realtime import openai
from bridge.telephony import twilio

from ..builders import (
    answered_call,
    audio_delta,
    audio_done,
    created,
    done,
    dtmf,
    error,
    fire,
    talking_ai,
)

BOOKED = "You are booked for five."


def begin(call: Call, now: float) -> None:
    item = openai.Item(id="i2", type="message")
    added = openai.OutputItemAdded(response_id="r2", item=item)
    call.receive_openai(added, now)


def write(call: Call, now: float) -> None:
    delta = openai.TranscriptDelta(
        response_id="r2", item_id="i2", content_index=0, delta=BOOKED[:7]
    )
    call.receive_openai(delta, now)


def end(call: Call, now: float) -> None:
    """Let the model send what it still has to say of an answer that is cancelled."""
    call.receive_openai(audio_delta("i2", 400, "r2"), now)
    words = openai.TranscriptDone(
        response_id="r2", item_id="i2", content_index=0, transcript=BOOKED
    )
    call.receive_openai(words, now)
    call.receive_openai(done("r2", "cancelled"), now)


def said(call: Call) -> list[tuple[str, bool, int | None]]:
    turns = call.record(99.0).turns
    return [(t.text, t.interrupted, t.heard_ms) for t in turns if t.item_id == "i2"]


@pytest.mark.parametrize("before", [(), (begin,), (begin, write)])
def test_of_an_answer_that_a_takeover_cancels_before_its_sound(before):
    call = answered_call()
    call.receive_openai(created("r2"), 5.0)
    for step in before:
        step(call, 5.0)
    call.receive_operator(TakeOver(), 5.1)
    if not before:
        begin(call, 5.2)
    write(call, 5.2)
    end(call, 5.2)

    assert said(call) == [("", True, 0)]


def test_of_an_answer_that_a_key_cancels_while_the_one_before_is_heard():
    call = talking_ai(10.0, ms=4_000)
    call.receive_openai(done(), 10.1)
    fire(call, 11.0)
    call.receive_openai(created("r2"), 11.0)
    begin(call, 11.0)
    write(call, 11.0)
    call.receive_twilio(dtmf("1"), 11.1)
    end(call, 11.2)

    assert said(call) == [("", True, 0)]


def test_of_an_answer_that_is_given_up_after_an_error():
    call = answered_call()
    call.receive_openai(created("r2"), 5.0)
    begin(call, 5.0)
    write(call, 5.0)
    call.receive_openai(error("server_error"), 5.1)
    fire(call, 9.0)
    end(call, 9.1)

    assert said(call) == [("", True, 0)]


def test_of_an_answer_that_is_without_sound_when_the_call_ends():
    call = answered_call()
    call.receive_openai(created("r2"), 5.0)
    begin(call, 5.0)
    write(call, 5.0)
    call.receive_twilio(twilio.Stop(), 5.1)

    assert said(call) == [("", True, 0)]


def test_an_answer_that_was_heard_to_its_end_keeps_words_that_come_late():
    call = answered_call()
    call.receive_openai(created("r2"), 5.0)
    begin(call, 5.0)
    call.receive_openai(audio_delta("i2", 400, "r2"), 5.0)
    call.receive_openai(audio_done("i2", "r2"), 5.0)
    fire(call, 6.0)
    call.receive_operator(TakeOver(), 6.0)
    end(call, 6.1)

    assert said(call) == [(BOOKED, False, None)]
