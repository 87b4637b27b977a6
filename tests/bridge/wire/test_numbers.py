"""Numbers from a wire have bounds: over them a message is malformed, and no bug."""

import pytest

from bridge.call.call_record import TOKENS_MAX
from bridge.realtime import openai
from bridge.realtime.openai_events import INDEX_MAX, OFFSET_MS_MAX
from bridge.telephony import twilio
from bridge.telephony.twilio import TIMESTAMP_DIGITS_MAX
from tests.bridge import builders

WILD = ["-1", str(2**63), str(2**80), "9" * 5_000, "1e400", "0.5"]


@pytest.mark.parametrize("number", WILD)
@pytest.mark.parametrize(
    "event",
    [
        '{"type":"response.output_audio.delta","response_id":"r","item_id":"i",'
        '"content_index":%s,"delta":"/////w=="}',
        '{"type":"input_audio_buffer.speech_started","item_id":"i",'
        '"audio_start_ms":%s}',
        '{"type":"input_audio_buffer.speech_stopped","item_id":"i","audio_end_ms":%s}',
    ],
)
def test_a_number_that_no_event_can_have_is_malformed(event, number):
    with pytest.raises(openai.ProtocolError):
        openai.decode((event % number).encode())


@pytest.mark.parametrize("number", WILD)
@pytest.mark.parametrize(
    "event",
    [
        '{"type":"response.output_audio.done","response_id":"r","item_id":"i",'
        '"content_index":%s}',
        '{"type":"response.output_audio_transcript.delta","response_id":"r",'
        '"item_id":"i","content_index":%s,"delta":"x"}',
        '{"type":"response.output_audio_transcript.done","response_id":"r",'
        '"item_id":"i","content_index":%s,"transcript":"x"}',
    ],
)
def test_a_number_that_an_event_can_do_without_is_bounded_too(event, number):
    try:
        read = openai.decode((event % number).encode())
    except openai.ProtocolError:
        return
    assert read.content_index == 0


def test_the_largest_numbers_are_taken():
    call = builders.answered_call()
    event = openai.AudioDelta("r1", "i", INDEX_MAX, b"\xff" * 160)
    call.receive_openai(event, 1.0)
    call.receive_openai(openai.SpeechStarted("u", OFFSET_MS_MAX), 1.0)
    call.receive_openai(openai.SpeechStopped("u", OFFSET_MS_MAX), 1.0)
    call.receive_openai(openai.Committed("u"), 1.0)

    assert call.playout.frames_sent == 1


@pytest.mark.parametrize(
    "timestamp", ["-20", "2.5", "x", "\u0662\u0660", "9" * 19, "9" * 30, "1" * 5_000]
)
def test_a_timestamp_that_is_none_is_malformed_and_its_frame_a_gap(timestamp):
    call = builders.answered_call()
    call.receive_twilio(builders.media(builders.SILENCE, "0"), 1.0)
    call.receive_twilio(builders.media(builders.SILENCE, timestamp), 1.02)
    call.receive_twilio(builders.media(builders.SILENCE, "40"), 1.04)

    assert call.counters.malformed_twilio == 1
    assert (call.fast_path.rx_frames, call.counters.gap_frames) == (2, 1)


def test_a_timestamp_has_so_many_digits():
    assert twilio.MediaBody(b"", "9" * TIMESTAMP_DIGITS_MAX).at_ms() > 0
    with pytest.raises(twilio.ProtocolError, match="at most 10 digits, got '9999"):
        twilio.MediaBody(b"", "9" * (TIMESTAMP_DIGITS_MAX + 1)).at_ms()


@pytest.mark.parametrize("digit", ["", "12", "x", "d", "\u0661", "1" * 5_000])
def test_what_is_no_key_is_malformed(digit):
    with pytest.raises(twilio.ProtocolError):
        twilio.decode(b'{"event":"dtmf","dtmf":{"digit":"%s"}}' % digit.encode())


@pytest.mark.parametrize("tokens", [-1, TOKENS_MAX, 2**80])
def test_a_count_that_nobody_used_is_not_added_up(tokens):
    call = builders.answered_call()
    usage = {"input_tokens": tokens, "output_tokens": 7}
    call.receive_openai(builders.done(usage=usage), 1.0)

    assert call.record(1.0).usage == {"output_tokens": 7}
