"""OpenAI's events: what is read, what is refused, what is written."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from bridge.realtime import openai, openai_events
from bridge.realtime.openai_events import ServerEvent


def encoded(event):
    buffer = bytearray()
    openai.encode_into(event, buffer)
    return msgspec.json.decode(buffer)


def test_an_audio_delta_is_read_with_its_bytes():
    event = openai.decode(
        b'{"type":"response.output_audio.delta","event_id":"e","response_id":"r",'
        b'"item_id":"i","output_index":0,"content_index":0,"delta":"/////w=="}'
    )
    assert event == openai.AudioDelta(
        response_id="r", item_id="i", content_index=0, delta=b"\xff" * 4
    )


def test_an_event_nobody_reads_is_none():
    for kind in (b"rate_limits.updated", b"some.new_event"):
        assert openai.decode(b'{"type":"%s","x":[1]}' % kind) is None
    assert openai.is_known("rate_limits.updated")
    assert not openai.is_known("some.new_event")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"type":7}',
        b'{"event":"media"}',
        b'{"type":"response.output_audio.delta"}',
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i",'
        b'"content_index":0,"delta":"x"}',
        b'{"type":"session.created","session":' + b"[" * 20_000,
        b"\xff\xfe",
    ],
)
def test_a_malformed_event_is_refused(data):
    with pytest.raises(openai.ProtocolError):
        openai.decode(data)


def test_an_oversized_event_is_refused_with_its_size():
    with pytest.raises(openai.ProtocolError, match="at most 4194304 bytes"):
        openai.decode(b" " * (4 * 1024 * 1024 + 1))


@given(st.binary(max_size=300))
def test_any_bytes_give_an_event_none_or_a_protocol_error(data):
    try:
        event = openai.decode(data)
    except openai.ProtocolError:
        return
    assert event is None or isinstance(event, ServerEvent)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"hi \ud83d", "hi \ufffd"),
        (rb"\uDE00 there", "\ufffd there"),
        (rb"\ud83d\ud83d\ude00\ud83d\u0041", "\ufffd\U0001f600\ufffdA"),
        (rb"\\ud83d \ud83d", "\\ud83d \ufffd"),
        (b"\xed\xa0\xbd.", "\ufffd\ufffd\ufffd."),
    ],
)
def test_half_a_character_does_not_cost_the_event(raw, text):
    event = openai.decode(
        b'{"type":"response.output_audio_transcript.delta","response_id":"r",'
        b'"item_id":"i","delta":"%s"}' % raw
    )
    assert event.delta == text


def test_a_tool_call_with_half_a_character_is_one():
    event = openai.decode(
        rb'{"type":"response.output_item.done","response_id":"r","item":{"id":"i",'
        rb'"type":"function_call","name":"leads_upsert","call_id":"c",'
        rb'"arguments":"{\"name\":\"\ud83d\"}"}}'
    )
    assert event.item.arguments == '{"name":"\ufffd"}'


def test_half_a_character_in_a_huge_event_is_refused_at_once():
    raw = rb'{"type":"response.created","x":"\ud83d' + b"x" * openai.MENDED_BYTES_MAX
    with pytest.raises(openai.ProtocolError):
        openai.decode(raw + b'"}')


def test_nothing_unset_is_written():
    assert encoded(openai.ResponseCreate()) == {"type": "response.create"}
    assert encoded(openai.ResponseCancel()) == {"type": "response.cancel"}
    assert encoded(openai.AppendAudio(b"\xff")) == {
        "type": "input_audio_buffer.append",
        "audio": "/w==",
    }


def test_a_truncate_names_item_part_and_time():
    event = openai.ConversationItemTruncate(
        item_id="i", content_index=0, audio_end_ms=620
    )
    assert encoded(event) == {
        "type": "conversation.item.truncate",
        "item_id": "i",
        "content_index": 0,
        "audio_end_ms": 620,
    }


@pytest.mark.parametrize("chars", [openai_events.ID_CHARS_MAX, 4_000])
def test_an_id_that_nobody_would_give_is_malformed(chars):
    data = b'{"type":"input_audio_buffer.committed","item_id":"%s"}' % (b"x" * chars)
    if chars == openai_events.ID_CHARS_MAX:
        assert len(openai.decode(data).item_id) == chars
    else:
        with pytest.raises(openai.ProtocolError):
            openai.decode(data)
