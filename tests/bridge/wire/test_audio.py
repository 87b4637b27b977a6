"""Audio in its messages: as the encoders of the two dialects write it."""

import pytest
from hypothesis import given, strategies as st

from bridge.realtime import openai
from bridge.telephony import twilio
from bridge.wire.audio import HEAD_ROOM, append_into, media_onto, text_onto
from dsp.g711 import FRAME_BYTES
from tests.bridge import builders

BEGINS = twilio.media_begins(builders.STREAM_SID)


def texts_of(burst):
    """Read a server's messages as a client does (RFC 6455, 5.2)."""
    texts = []
    while burst:
        assert burst[0] == 0x81
        size, at = burst[1], 2
        if size > 125:
            at = {126: 4, 127: 10}[size]
            size = int.from_bytes(burst[2:at], "big")
            assert size > (125 if at == 4 else 65_535)
        texts.append(bytes(burst[at : at + size]))
        burst = burst[at + size :]
    return texts


@given(st.binary(max_size=1_000))
def test_event_is_that_of_the_encoder(audio):
    ours, theirs = bytearray(), bytearray()
    append_into(ours, audio)
    openai.encode_into(openai.AppendAudio(audio), theirs)
    assert ours[HEAD_ROOM:] == theirs


@given(st.lists(st.binary(min_size=FRAME_BYTES, max_size=FRAME_BYTES), max_size=5))
def test_every_frame_is_a_message_of_the_encoder(frames):
    burst, theirs = bytearray(), bytearray()
    audio = twilio.OutboundAudio(builders.STREAM_SID, b"".join(frames))
    text_onto(burst, bytearray(b"before"))
    media_onto(burst, BEGINS, audio.frames)
    texts = texts_of(burst)
    assert texts.pop(0) == b"before"
    for text, message in zip(texts, audio.messages(), strict=True):
        twilio.encode_into(message, theirs)
        assert text == theirs


@given(st.integers(0, 400) | st.integers(65_500, 65_600))
def test_text_of_any_size_has_its_head(size):
    burst = bytearray()
    text_onto(burst, bytearray(b"x" * size))
    text_onto(burst, bytearray(b"behind"))
    assert texts_of(burst) == [b"x" * size, b"behind"]


def test_part_of_a_frame_is_refused():
    with pytest.raises(ValueError, match="got 161 bytes"):
        media_onto(bytearray(), BEGINS, b"x" * 161)


def test_name_of_a_stream_is_written_as_json():
    begins = twilio.media_begins('a"b\n')
    burst = bytearray()
    media_onto(burst, begins, builders.SILENCE)
    theirs = bytearray()
    body = twilio.OutboundBody(builders.SILENCE)
    twilio.encode_into(twilio.OutboundMedia('a"b\n', body), theirs)
    assert texts_of(burst) == [bytes(theirs)]
