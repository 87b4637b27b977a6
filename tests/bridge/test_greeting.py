"""The greeting: as early as can be, and whatever the caller does meanwhile."""


from bridge import openai, twilio
from bridge.call import Call
from tests.bridge import story
from tests.bridge.story import (
    SILENCE,
    answered_call,
    appended,
    audio_delta,
    clip,
    created,
    fire,
    of,
    speak,
    texts,
)

VOICE = clip("human-en-reader-1")
QUIET = [SILENCE]


def test_the_greeting_is_asked_for_when_both_sides_are_ready():
    call = Call(story.plan("Hello."), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    assert not of(openai.ResponseCreate, call.receive_twilio(story.start(), 0.1))
    actions = call.receive_openai(openai.SessionUpdated(session=story.session()), 0.2)

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


def test_a_caller_is_heard_when_the_greeting_never_comes():
    call = answered_call(0.0, "Hello.")
    assert "[REALTIME] No greeting came: listening" in texts(fire(call, 8.1))

    actions, _ = speak(call, QUIET * 20 + VOICE[:60], 8.1)
    assert appended(actions)
