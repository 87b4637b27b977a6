"""Twilio's messages: what is read, what is refused, what is written."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from bridge.telephony import twilio

SID = "MZ" + "0" * 32


def test_each_inbound_message_is_read():
    assert isinstance(
        twilio.decode(b'{"event":"connected","protocol":"Call","version":"1.0.0"}'),
        twilio.Connected,
    )
    start = twilio.decode(
        b'{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"streamSid":'
        b'"MZ1","accountSid":"AC1","callSid":"CA1","tracks":["inbound"],"mediaFormat":'
        b'{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
        b'"customParameters":{"token":"t"}}}'
    )
    assert start.start.custom_parameters == {"token": "t"}
    media = twilio.decode(
        b'{"event":"media","sequenceNumber":"3","streamSid":"MZ1","media":'
        b'{"track":"inbound","chunk":"1","timestamp":"5","payload":"/////w=="}}'
    )
    assert media.media == twilio.MediaBody(b"\xff" * 4, "5")
    dtmf = twilio.decode(
        b'{"event":"dtmf","streamSid":"MZ1","dtmf":{"track":"inbound_track",'
        b'"digit":"1"}}'
    )
    assert dtmf.dtmf.digit == "1"
    mark = twilio.decode(b'{"event":"mark","streamSid":"MZ1","mark":{"name":"a:0:20"}}')
    assert mark.mark.name == "a:0:20"
    assert isinstance(twilio.decode(b'{"event":"stop"}'), twilio.Stop)


def test_an_unknown_event_is_none():
    assert twilio.decode(b'{"event":"weather"}') is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"event":1}',
        b'{"event":"media"}',
        b'{"event":"media","media":{"payload":"a b="}}',
        b'{"event":"media","media":{"payload":7}}',
        b'{"event":"start","streamSid":"MZ1"}',
        b"\xff\xfe",
        b'{"event":"media","media":' + b"[" * 8_000,
        b'{"event":"mark","mark":{"name":"\xff"}}',
    ],
)
def test_a_malformed_message_is_refused(data):
    with pytest.raises(twilio.ProtocolError):
        twilio.decode(data)


def test_an_oversized_message_is_refused_with_its_size():
    with pytest.raises(twilio.ProtocolError, match="at most 16384 bytes, got 16385"):
        twilio.decode(b" " * 16_385)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_none_or_a_protocol_error(data):
    try:
        message = twilio.decode(data)
    except twilio.ProtocolError:
        return
    assert message is None or isinstance(message, twilio.Message)


def test_outbound_messages_have_exactly_the_documented_form():
    buffer = bytearray()
    body = twilio.OutboundBody(b"\xff" * 4)
    twilio.encode_into(twilio.OutboundMedia(SID, body), buffer)
    assert bytes(buffer) == (
        b'{"event":"media","streamSid":"%s","media":{"payload":"/////w=="}}'
        % SID.encode()
    )
    twilio.encode_into(twilio.OutboundMark(SID, twilio.MarkBody("a:0:20")), buffer)
    assert msgspec.json.decode(buffer) == {
        "event": "mark",
        "streamSid": SID,
        "mark": {"name": "a:0:20"},
    }
    twilio.encode_into(twilio.Clear(SID), buffer)
    assert msgspec.json.decode(buffer) == {"event": "clear", "streamSid": SID}
