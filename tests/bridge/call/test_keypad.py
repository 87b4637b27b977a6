"""Digits in a row, and the AI that falls silent at the first of them."""

from bridge.call import bad_messages
from bridge.call.keypad import DIGITS_MAX, KEY_S, PAUSE_S, Keypad
from bridge.call.machine import Call
from bridge.call.plan import HangUp, Phase
from bridge.call.timers import Timers
from bridge.realtime import openai
from bridge.telephony import twilio
from tests.bridge import builders
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    audio_delta,
    created,
    done,
    fire,
    of,
    speak,
    talking_ai,
)

QUIET = [SILENCE]


def test_a_row_waits_for_the_next_digit_and_a_hash_ends_it():
    timers = Timers()
    keypad = Keypad(timers)
    keypad.press("1", 5.0)
    assert timers.deadline == 5.0 + PAUSE_S
    keypad.press("#", 5.5)
    assert timers.deadline == 5.5
    assert keypad.has_digits
    keypad.put_off(6.0)
    assert timers.deadline == 6.0 + PAUSE_S

    assert keypad.take() == "1#"
    assert not keypad.has_digits


def test_a_stuck_key_is_limited_and_counted():
    keypad = Keypad(Timers())
    for _ in range(DIGITS_MAX + 3):
        keypad.press("7", 1.0)

    assert keypad.take() == "7" * DIGITS_MAX
    assert keypad.dropped_digits == 3


def test_the_first_digit_silences_the_ai_at_once():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("item_1", 4_000), 1.0)
    _, now = speak(call, QUIET * 10, 1.0)
    actions = call.receive_twilio(builders.dtmf("1"), now)

    assert [type(one) for one in actions if type(one).__name__ != "Log"] == [
        twilio.Clear,
        openai.ConversationItemTruncate,
        openai.ResponseCancel,
    ]
    assert of(openai.CreateItem, fire(call, now + PAUSE_S))


def test_digits_typed_before_the_call_talks_are_kept():
    call = Call(builders.plan(), 0.0)
    call.receive_twilio(builders.start(), 0.0)
    call.receive_twilio(builders.dtmf("5"), 0.5)
    assert fire(call, 2.5) == []
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 3.0)

    (item,) = of(openai.CreateItem, fire(call, 4.0))
    assert item.item.content[0].text == "Keypad: 5"


def test_a_digit_does_not_cut_the_goodbye():
    call = answered_call()
    call.receive_openai(created(), 1.0)
    call.receive_openai(audio_delta("item_1", 4_000), 1.0)
    call.receive_hangup("drain", 1.1, politely=True)
    actions = call.receive_twilio(builders.dtmf("#"), 1.2)

    assert not of(twilio.Clear, actions + fire(call, 1.2))


def test_a_row_that_comes_at_once_is_taken_and_a_flood_ends_the_call():
    call = answered_call()
    for _ in range(DIGITS_MAX):
        call.receive_twilio(builders.dtmf("1"), 1.0)
    assert call.counters.malformed_twilio == 0

    actions = []
    for _ in range(bad_messages.MALFORMED_MAX + 1):
        assert call.phase is not Phase.ENDED
        actions = call.receive_twilio(builders.dtmf("1"), 1.0)
    assert call.record(1.0).end_reason == "malformed_twilio"
    assert len(of(HangUp, actions)) == 1
    assert call.counters.digits == DIGITS_MAX


def test_the_fastest_fingers_are_no_flood():
    keypad = Keypad(Timers())
    assert not any(keypad.is_flooded(key * KEY_S) for key in range(1_000))
    # After a burst, room comes back with time.
    for _ in range(DIGITS_MAX):
        keypad.is_flooded(200.0)
    assert keypad.is_flooded(200.0)
    assert not keypad.is_flooded(200.0 + KEY_S)


def test_digits_in_a_row_go_to_the_model_after_a_pause():
    call = answered_call()
    call.receive_twilio(builders.dtmf("4"), 1.0)
    call.receive_twilio(builders.dtmf("2"), 1.5)
    assert of(openai.CreateItem, fire(call, 2.9)) == []
    actions = fire(call, 3.1)

    (item,) = of(openai.CreateItem, actions)
    assert item.item.content == (openai.InputText(text="Keypad: 4 2"),)
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_a_hash_ends_the_row_at_once():
    call = answered_call()
    call.receive_twilio(builders.dtmf("#"), 1.0)

    assert len(of(openai.CreateItem, fire(call, 1.0))) == 1


def test_a_digit_interrupts_and_waits_for_the_cancelled_response():
    call = talking_ai()
    fire(call, 10.5)
    actions = call.receive_twilio(builders.dtmf("#"), 10.5)
    assert of(twilio.Clear, actions) and of(openai.ResponseCancel, actions)
    actions = fire(call, 10.5)

    assert of(openai.CreateItem, actions)
    assert of(openai.ResponseCreate, actions) == []
    actions = call.receive_openai(done(status="cancelled"), 10.6)
    assert len(of(openai.ResponseCreate, actions)) == 1


def test_keys_that_are_a_secret_are_told_to_the_model_and_not_kept():
    call = answered_call(keypad_secret=True)
    call.call_record.digits_pressed("417#", call.now)

    assert [turn.text for turn in call.record(call.now).turns][-1] == "* * * *"
    # The next session of the same call is told what they were.
    assert call.call_record.transcript.turns()[-1].text == "4 1 7 #"
