"""What a call can do without may be null, missing or nonsense, on either wire."""

from typing import Annotated, Any, get_args, get_origin

import msgspec
import pytest

from bridge.call.machine import Call
from bridge.realtime import openai, openai_events
from bridge.telephony import twilio
from bridge.wire import lenient
from tests.bridge import builders

MISSING = object()
WRONG = (None, MISSING, 7, -1.5, True, "x" * 5_000, [], [None], {}, {"a": None})
# What the official types leave open and we read: their `Optional[…] = None`.
OPTIONAL = {
    openai.Response: ("id", "status", "status_details", "conversation_id", "usage"),
    openai_events.StatusDetails: ("reason", "error"),
    openai.ErrorBody: ("type", "code", "param", "event_id", "message"),
    openai.Item: ("id", "status", "role", "name", "call_id", "arguments"),
    openai.Committed: ("previous_item_id",),
    openai.TranscriptionCompleted: ("usage",),
    openai.Session: ("id", "audio"),
    openai_events._EchoedAudio: ("input", "output"),
    openai_events._EchoedSide: ("format", "voice"),
    openai.Format: ("rate",),
    twilio.StartBody: ("custom_parameters",),
    twilio.MediaBody: ("timestamp", "track"),
}


def sample(kind: Any) -> Any:
    """Return a JSON value that fits a type, as full as can be; text may be a number."""
    if get_origin(kind) is Annotated:
        return sample(get_args(kind)[0])
    if get_origin(kind) is dict:
        return {"a": sample(get_args(kind)[1])}
    if get_args(kind):
        return sample(get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return full(kind)
    return {str: "20", int: 3, bytes: "/////w==", Any: 5}[kind]


def full(kind: type[msgspec.Struct]) -> dict[str, Any]:
    fields = msgspec.structs.fields(kind)
    return {field.encode_name: sample(field.type) for field in fields}


def optional_paths(kind: type[msgspec.Struct], path: tuple[str, ...] = ()):
    """Yield where a type, or one in it, has a field that has a default."""
    for field in msgspec.structs.fields(kind):
        where = (*path, field.encode_name)
        if not field.required:
            yield where
        struct = lenient._struct_of(field.type)
        if struct is not None:
            yield from optional_paths(struct, where)


def with_value(message: dict[str, Any], path: tuple[str, ...], value: Any):
    name, *rest = path
    changed = dict(message)
    if rest:
        changed[name] = with_value(message[name], tuple(rest), value)
    elif value is MISSING:
        del changed[name]
    else:
        changed[name] = value
    return changed


CASES = [
    (wire, kind, path)
    for wire in (openai, twilio)
    for kind in get_args(wire.Inbound)
    for path in optional_paths(kind)
]


@pytest.mark.parametrize(("wire", "kind", "path"), CASES)
def test_a_field_that_nobody_needs_takes_no_message_away(wire, kind, path):
    config = kind.__struct_config__
    whole = {config.tag_field: config.tag, **full(kind)}
    expected = wire.decode(msgspec.json.encode(whole))
    others = [
        field.name
        for field in msgspec.structs.fields(kind)
        if field.encode_name != path[0]
    ]
    for value in WRONG:
        got = wire.decode(msgspec.json.encode(with_value(whole, path, value)))
        assert type(got) is type(expected) is kind, value
        for name in others:
            assert getattr(got, name) == getattr(expected, name), value


@pytest.mark.parametrize("kind", OPTIONAL, ids=lambda kind: kind.__name__)
def test_what_the_official_types_leave_open_has_a_default(kind):
    open_fields = {
        field.name for field in msgspec.structs.fields(kind) if not field.required
    }
    assert open_fields >= set(OPTIONAL[kind])


@pytest.mark.parametrize(("wire", "kind", "path"), CASES)
def test_a_call_goes_on_whatever_is_null(wire, kind, path):
    config = kind.__struct_config__
    whole = {config.tag_field: config.tag, **full(kind)}
    event = wire.decode(msgspec.json.encode(with_value(whole, path, None)))
    call = (
        Call(builders.plan("Hello."), 0.0)
        if wire is twilio
        else builders.answered_call()
    )
    receive = call.receive_twilio if wire is twilio else call.receive_openai

    receive(event, 1.0)
    assert not call.counters.malformed_twilio + call.counters.malformed_openai


def test_a_failed_response_without_a_message_is_known_as_failed():
    event = openai.decode(
        b'{"type":"response.done","response":{"id":"r1","status":"failed","usage":7,'
        b'"status_details":{"type":"failed","error":{"code":"server_error",'
        b'"message":null}}}}'
    )
    assert event.response.status == "failed"
    assert event.response.status_details.error.code == "server_error"
    assert event.response.status_details.error.message == ""


def test_of_parameters_those_that_are_text_are_kept():
    start = msgspec.json.decode(msgspec.json.encode(full(twilio.Start)))
    start["start"]["customParameters"] = {"token": "t", "from": None}
    message = twilio.decode(msgspec.json.encode({"event": "start", **start}))
    assert message.start.custom_parameters == {"token": "t"}


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"response.output_audio.delta","response_id":"r","item_id":null,'
        b'"content_index":0,"delta":"/////w=="}',
        b'{"type":"response.output_item.done","response_id":"r","item":7}',
        b'{"type":"response.output_item.done","response_id":"r","item":{"id":"i"}}',
        b"7",
    ],
)
def test_what_is_needed_must_be_there(data):
    with pytest.raises(openai.ProtocolError, match="malformed event from OpenAI"):
        openai.decode(data)


def test_numbers_that_count_no_tokens_are_not_added_up():
    call = builders.answered_call()
    usage = {"a": 10**400, "b": -1, "c": None, "d": {"e": "x", "f": 2}}
    call.receive_openai(builders.created(), 1.0)
    call.receive_openai(builders.done(usage=usage), 1.1)

    assert call.record(2.0).usage == {"d.f": 2}
