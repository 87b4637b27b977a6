"""The greeting: as early as can be, and whatever the caller does meanwhile."""

import pytest

from bridge.call import greeting
from bridge.call.greeting import GREETING_WAIT_S, Greeting, State
from bridge.call.machine import Call
from bridge.call.plan import Leg, Phase
from bridge.call.timers import Timers
from bridge.realtime import openai
from bridge.telephony import twilio
from tests.bridge import builders, tables
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    appended,
    audio_delta,
    audio_done,
    clip,
    created,
    done,
    fire,
    of,
    speak,
    texts,
)

VOICE = clip("human-en-reader-1")
QUIET = [SILENCE]
STEPS = {
    Greeting.note_asked: State.ASKED,
    Greeting.note_lost: State.DUE,
    Greeting.end: State.OVER,
}


def greeting_in(state, timers=None):
    made = Greeting(timers or Timers(), is_wanted=True)
    if state is not State.DUE:
        made.note_asked()
    if state is State.OVER:
        made.end()
    assert made.state is state
    return made


# --- the table ---


def test_every_state_is_in_the_table():
    assert greeting._NEXT.keys() == set(State)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("step", STEPS)
def test_an_illegal_step_raises_and_changes_nothing(state, step):
    made = greeting_in(state)
    if STEPS[step] in greeting._NEXT[state]:
        step(made)
        assert made.state is STEPS[step]
    else:
        made.wait(1.0)
        tables.refuses(made, lambda: step(made))


def test_a_greeting_that_nobody_wants_is_over():
    made = Greeting(Timers(), is_wanted=False)
    assert not made.is_due
    tables.refuses(made, made.note_asked)


def test_a_greeting_is_waited_for_while_it_is_due():
    timers = Timers()
    made = greeting_in(State.ASKED, timers)
    made.wait(3.0)
    assert timers.deadline == 3.0 + GREETING_WAIT_S
    made.pause()
    assert timers.deadline is None and made.is_due

    made.wait(4.0)
    made.end()
    made.wait(5.0)
    assert timers.deadline is None


# --- a call ---


def early_call(*, audio_ms=500, is_whole=True):
    """A call whose model has greeted before the caller is there."""
    call = Call(builders.plan("Hello."), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    call.receive_openai(openai.SessionUpdated(session=builders.session()), 0.2)
    call.receive_openai(created(), 0.3)
    if audio_ms:
        assert call.receive_openai(audio_delta("item_1", audio_ms), 0.4) != []
    if is_whole:
        call.receive_openai(audio_done("item_1"), 0.5)
        call.receive_openai(done(), 0.5)
    return call


def test_the_greeting_is_asked_for_when_both_sides_are_ready():
    call = Call(builders.plan("Hello."), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    assert not of(openai.ResponseCreate, call.receive_twilio(builders.start(), 0.1))
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session()), 0.2
    )

    (request,) = of(openai.ResponseCreate, actions)
    assert request.response.instructions.endswith("Hello.")
    assert request.response.input == ()
    assert texts(actions) == [
        "[REALTIME] Session configured: voice=shimmer, format=audio/pcmu (8kHz)",
        "[REALTIME] Greeting sent",
    ]


def test_early_noise_and_a_hello_do_not_suppress_the_greeting():
    call = answered_call(0.0, "Hello.")
    actions, now = speak(call, VOICE[:60], 0.0)
    assert appended(actions) == []

    call.receive_openai(created(), now)
    actions = call.receive_openai(audio_delta("item_1", 500), now)
    assert len(of(twilio.OutboundMedia, actions)) == 15
    assert not of(twilio.Clear, actions)


def test_the_end_of_a_response_that_nobody_asked_for_does_not_suppress_the_greeting():
    call = Call(builders.plan("Hello."), 0.0)
    call.receive_openai(done("nobody"), 0.1)
    call.receive_twilio(builders.start(), 0.2)
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session()), 0.3
    )

    (asked,) = of(openai.ResponseCreate, actions)
    assert "Hello." in asked.response.instructions


def test_a_caller_is_heard_when_the_greeting_never_comes():
    call = answered_call(0.0, "Hello.")
    assert "[REALTIME] No greeting came: listening" in texts(fire(call, 8.1))

    actions, _ = speak(call, QUIET * 20 + VOICE[:60], 8.1)
    assert appended(actions)


def test_the_greeting_is_asked_for_before_the_caller_is_there():
    call = Call(builders.plan("Hello."), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    actions = call.receive_openai(
        openai.SessionUpdated(session=builders.session()), 0.2
    )
    assert len(of(openai.ResponseCreate, actions)) == 1

    actions = call.receive_twilio(builders.start(), 0.5)
    assert actions == []
    assert call.phase is Phase.TALKING


@pytest.mark.parametrize("is_whole", [True, False])
def test_what_the_model_said_early_waits_for_the_caller(is_whole):
    call = early_call(is_whole=is_whole)
    assert call.phase is Phase.WAITING
    assert call.playout.frames_sent == 0

    actions = call.receive_twilio(builders.start(), 0.9)
    assert len(of(twilio.OutboundMedia, actions)) == 15
    assert texts(actions)[0] == "[REALTIME] Greeting begins: 0 ms after start"
    assert call.record(1.0).greeting_ms == 0.0


def test_a_caller_who_speaks_at_once_does_not_swallow_an_early_greeting():
    call = early_call(audio_ms=2_000)
    actions = call.receive_twilio(builders.start(), 0.9)
    more, _ = speak(call, VOICE[:15], 0.9)

    assert not of(twilio.Clear, [*actions, *more])
    assert appended(more) == []
    assert call.playout.has_unsent


def test_greetings_without_a_sound_leave_the_caller_heard():
    call = early_call(audio_ms=0)
    call.receive_twilio(builders.start(), 0.9)
    call.receive_openai(builders.created("r2"), 0.9)
    call.receive_openai(builders.done("r2"), 0.9)
    actions, _ = speak(call, QUIET * 20 + VOICE[:60], 0.9)

    assert appended(actions)


def test_an_early_greeting_whose_caller_never_comes_was_not_heard():
    call = early_call()
    at = openai.TranscriptDone(response_id="r1", item_id="item_1", transcript="Hello.")
    call.receive_openai(at, 0.6)
    fire(call, 31.0)
    (turn,) = call.record(31.0).turns

    assert (turn.text, turn.interrupted, turn.heard_ms) == ("", True, 0)


def test_an_early_greeting_of_a_lost_session_was_not_heard():
    call = early_call()
    said = openai.TranscriptDone(
        response_id="r1", item_id="item_1", transcript="Hello."
    )
    call.receive_openai(said, 0.6)
    call.receive_disconnect(Leg.OPENAI, "1006", 0.7)
    (turn,) = call.record(0.8).turns

    assert (turn.text, turn.interrupted, turn.heard_ms) == ("", True, 0)
