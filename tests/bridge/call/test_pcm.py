"""The model's speech as PCM: what the caller hears of it as mu-law."""

import struct
from math import pi, sin

import pytest

from bridge.call.machine import Call
from bridge.call.plan import Leg, TakeOver
from bridge.realtime import openai
from bridge.telephony import twilio

from ..builders import audio_done, created, done, fire, of, plan, session, start

SAMPLES = (int(3_000 * sin(2 * pi * 440 * at / 24_000)) for at in range(12_000))
TONE = b"".join(struct.pack("<h", sample) for sample in SAMPLES)
# An odd number of bytes: half a sample waits for the next delta.
CUT = TONE[:4_801]


def answered() -> Call:
    call = Call(plan(openai_output_format="audio/pcm"), 0.0)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 0.0)
    call.receive_twilio(start(), 0.0)
    call.receive_openai(openai.SessionUpdated(session=session("audio/pcm")), 0.0)
    return call


def delta(pcm: bytes, item_id: str, response_id: str) -> openai.AudioDelta:
    return openai.AudioDelta(
        response_id=response_id, item_id=item_id, content_index=0, delta=pcm
    )


def heard(call: Call, now: float) -> bytes:
    """Let an answer be spoken; return what is sent to the caller of it."""
    actions = call.receive_openai(created("r2"), now)
    actions += call.receive_openai(delta(TONE, "i2", "r2"), now)
    actions += call.receive_openai(audio_done("i2", "r2"), now)
    actions += fire(call, now + 1.0)
    return b"".join(one.media.payload for one in of(twilio.OutboundMedia, actions))


def take_over(call: Call) -> None:
    call.receive_operator(TakeOver(), 5.1)
    call.receive_openai(delta(TONE[4_801:], "i1", "r1"), 5.2)
    call.receive_openai(audio_done("i1"), 5.2)
    call.receive_openai(done("r1", "cancelled"), 5.2)
    call.receive_hangup("operator", 6.0, politely=True)


def lose_session(call: Call) -> None:
    fire(call, 5.5)
    call.receive_disconnect(Leg.OPENAI, "gone", 5.5)
    call.receive_openai(openai.SessionCreated(session=openai.Session()), 5.6)
    updated = openai.SessionUpdated(session=session("audio/pcm"))
    call.receive_openai(updated, 5.7)


@pytest.mark.parametrize("cut", [take_over, lose_session])
def test_what_is_left_of_an_answer_that_was_cut_does_not_spoil_the_next(cut):
    call = answered()
    call.receive_openai(created("r1"), 5.0)
    call.receive_openai(delta(CUT, "i1", "r1"), 5.0)
    cut(call)

    assert heard(call, 7.0) == heard(answered(), 7.0)
