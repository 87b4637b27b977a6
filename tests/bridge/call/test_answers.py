"""What the end of a response means for the rest of a call."""

from bridge.call.plan import HangUp
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES
from tests.bridge import builders
from tests.bridge.builders import (
    SILENCE,
    answered_call,
    appended,
    audio_delta,
    audio_done,
    created,
    done,
    fire,
    of,
    speak,
    tool_item,
)


def test_the_end_of_another_response_does_not_cut_the_one_that_runs():
    audio = bytes(number % 251 for number in range(FRAME_BYTES * 40))
    half = len(audio) // 2 + FRAME_BYTES // 2
    call = answered_call()
    actions = call.receive_openai(created(), 1.0)
    for now, delta in ((1.0, audio[:half]), (1.3, audio[half:])):
        actions += fire(call, now)
        event = openai.AudioDelta(
            response_id="r1", item_id="i1", content_index=0, delta=delta
        )
        actions += call.receive_openai(event, now)
        actions += call.receive_openai(done("nobody"), now)
    actions += fire(call, 3.0)

    played = [one.media.payload for one in of(twilio.OutboundMedia, actions)]
    assert b"".join(played) == audio


def test_a_greeting_that_is_only_a_tool_call_leaves_the_caller_heard():
    call = answered_call(greeting="Hello.")
    call.receive_openai(created(), 0.1)
    call.receive_openai(tool_item(), 0.1)
    call.receive_openai(done(), 0.2)
    voice = builders.clip("human-en-reader-1")[:60]
    actions, _ = speak(call, [SILENCE] * 20 + voice, 0.2)

    assert appended(actions)


def test_a_goodbye_that_was_heard_before_it_ends_hangs_up_at_its_end():
    call = answered_call()
    call.receive_hangup("drain", 1.0, politely=True)
    call.receive_openai(created(), 1.1)
    actions = call.receive_openai(audio_delta("i1", 200), 1.1)
    actions += call.receive_openai(audio_done("i1"), 1.1)
    for mark in of(twilio.OutboundMark, actions):
        assert not of(HangUp, call.receive_twilio(builders.mark(mark.mark.name), 1.4))

    ended = call.receive_openai(done(), 1.5)
    assert of(HangUp, ended) == [HangUp("drain", failed=False)]
