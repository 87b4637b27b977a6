"""Each field a client may send, and each it may not."""

from typing import Any

import pytest

from bridge.sandbox.client_events import check, decode_audio
from bridge.sandbox.rules import Refused
from tests.sandbox.client import telephone


def session(**fields: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **fields}}


def turn_detection(**fields: Any) -> dict[str, Any]:
    return session(audio={"input": {"turn_detection": fields}})


def audio_in(**fields: Any) -> dict[str, Any]:
    return session(audio={"input": fields})


def audio_out(**fields: Any) -> dict[str, Any]:
    return session(audio={"output": fields})


def item(**fields: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": fields}


def message(role: str, *content: Any, **fields: Any) -> dict[str, Any]:
    return item(type="message", role=role, content=list(content), **fields)


def response(**fields: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": fields}


TEXT = {"type": "input_text", "text": "4"}
TOOL = {"type": "function", "name": "f", "parameters": {}, "description": "d"}

VALID = [
    session(),
    {"type": "session.update", "event_id": "x" * 512, "session": telephone()},
    session(
        output_modalities=["text"],
        instructions="",
        tools=[TOOL],
        tool_choice={"type": "function", "name": "f"},
        max_output_tokens=4096,
        truncation={"type": "retention_ratio", "retention_ratio": 0.8},
        tracing={"workflow_name": "calls"},
        prompt={"id": "pmpt_1", "variables": {"city": "Haifa"}},
        include=["item.input_audio_transcription.logprobs"],
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
    ),
    session(tools=[], prompt=None, tracing="auto", truncation="disabled", include=None),
    session(
        tools=[
            {
                "type": "mcp",
                "server_label": "calendar",
                "server_url": "https://mcp.example.com",
                "allowed_tools": {"tool_names": ["find"]},
                "require_approval": {"never": {"read_only": True}},
            }
        ]
    ),
    audio_in(turn_detection=None, transcription=None, noise_reduction=None),
    audio_in(noise_reduction={"type": "near_field", "strength": 0.5}),
    audio_in(format={"type": "audio/pcm", "rate": 24000}),
    audio_out(format={"type": "audio/pcma"}, speed=1.5),
    audio_out(voice={"id": "voice_1234"}),
    turn_detection(type="semantic_vad", eagerness="low", interrupt_response=False),
    turn_detection(type="server_vad", idle_timeout_ms=30_000, threshold=0),
    {"type": "input_audio_buffer.append", "audio": "/////w=="},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear", "event_id": "e"},
    message("user", TEXT),
    message("user", {"type": "input_audio", "audio": "/w=="}, id="i" * 32),
    message("user", {"type": "input_image", "image_url": "https://a.example/b.png"}),
    message("system", TEXT, status="completed"),
    message("assistant", {"type": "output_text", "text": "Hello."}),
    item(type="function_call", name="f", arguments="{}", call_id="c"),
    item(type="function_call_output", call_id="c", output="{}"),
    item(type="mcp_approval_response", id="a", approval_request_id="r", approve=True),
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.delete", "item_id": "i"},
    {
        "type": "conversation.item.truncate",
        "item_id": "i",
        "content_index": 0,
        "audio_end_ms": 0,
    },
    {"type": "response.create"},
    response(input=[], instructions="Say exactly this: Hello.", tool_choice="none"),
    response(
        conversation="none",
        metadata={"purpose": "x" * 512},
        input=[{"type": "item_reference", "id": "i"}, message("user", TEXT)["item"]],
        max_output_tokens="inf",
        audio={"output": {"voice": "cedar", "format": {"type": "audio/pcmu"}}},
    ),
    {"type": "response.cancel", "response_id": "r"},
]

UNKNOWN, MISSING = "unknown_parameter", "missing_required_parameter"
VALUE, LONG = "invalid_value", "string_above_max_length"

INVALID = [
    # what a session had in the beta
    (session(voice="alloy"), UNKNOWN, "session.voice"),
    (session(modalities=["audio"]), UNKNOWN, "session.modalities"),
    (session(temperature=0.8), UNKNOWN, "session.temperature"),
    (session(turn_detection=None), UNKNOWN, "session.turn_detection"),
    (session(max_response_output_tokens=9), UNKNOWN, None),
    (session(input_audio_format="g711_ulaw"), UNKNOWN, None),
    ({"type": "session.update"}, MISSING, "session"),
    ({"type": "session.update", "session": {}}, MISSING, "session.type"),
    ({"type": "session.update", "session": {"type": "calls"}}, VALUE, "session.type"),
    ({"type": "session.update", "session": []}, VALUE, "session"),
    (session() | {"note": 1}, UNKNOWN, "note"),
    (session() | {"event_id": "x" * 513}, LONG, "event_id"),
    (session() | {"event_id": 7}, VALUE, "event_id"),
    # values and ranges
    (session(output_modalities=["text", "audio"]), VALUE, "session.output_modalities"),
    (session(output_modalities=[]), VALUE, "session.output_modalities"),
    (session(output_modalities="audio"), VALUE, "session.output_modalities"),
    (session(instructions=None), VALUE, "session.instructions"),
    (session(instructions=[{"type": "audio"}]), VALUE, "session.instructions"),
    (session(max_output_tokens=4097), VALUE, "session.max_output_tokens"),
    (session(max_output_tokens=0), VALUE, "session.max_output_tokens"),
    (session(max_output_tokens=True), VALUE, "session.max_output_tokens"),
    (session(max_output_tokens="all"), VALUE, "session.max_output_tokens"),
    (session(tool_choice="always"), VALUE, "session.tool_choice"),
    (session(parallel_tool_calls="no"), VALUE, "session.parallel_tool_calls"),
    (session(reasoning={"effort": "huge"}), VALUE, "session.reasoning.effort"),
    (session(truncation={"type": "retention_ratio"}), MISSING, None),
    # audio
    (audio_in(format="g711_ulaw"), VALUE, "session.audio.input.format"),
    (audio_in(format={}), MISSING, "session.audio.input.format.type"),
    (audio_in(format={"type": "g711_ulaw"}), VALUE, "session.audio.input.format.type"),
    (
        audio_in(format={"type": "audio/pcmu", "rate": 8000}),
        UNKNOWN,
        "session.audio.input.format.rate",
    ),
    (
        audio_in(format={"type": "audio/pcm", "rate": 8000}),
        VALUE,
        "session.audio.input.format.rate",
    ),
    (audio_in(transcription={"model": "whisper-9"}), VALUE, None),
    (audio_in(transcription={"model": "whisper-1", "language": "nb"}), VALUE, None),
    (audio_in(noise_reduction={"type": "loud"}), VALUE, None),
    (audio_out(speed=2), VALUE, "session.audio.output.speed"),
    (audio_out(speed=0.2), VALUE, "session.audio.output.speed"),
    (audio_out(voice="fable"), VALUE, "session.audio.output.voice"),
    (audio_out(voice={"name": "x"}), MISSING, "session.audio.output.voice.id"),
    (audio_out(voice=None), VALUE, "session.audio.output.voice"),
    # turn detection
    (turn_detection(threshold=0.5), MISSING, None),
    (turn_detection(type="none"), VALUE, None),
    (turn_detection(type="server_vad", threshold=1.1), VALUE, None),
    (turn_detection(type="server_vad", silence_duration_ms=0.5), VALUE, None),
    (turn_detection(type="server_vad", prefix_padding_ms=-1), VALUE, None),
    (turn_detection(type="server_vad", idle_timeout_ms=4999), VALUE, None),
    (turn_detection(type="server_vad", eagerness="low"), UNKNOWN, None),
    (turn_detection(type="semantic_vad", idle_timeout_ms=8000), UNKNOWN, None),
    (turn_detection(type="semantic_vad", threshold=0.5), UNKNOWN, None),
    # tools
    (
        session(tools=[{"type": "function", "function": {"name": "f"}}]),
        MISSING,
        "session.tools[0].name",
    ),
    (session(tools=[TOOL | {"strict": True}]), UNKNOWN, "session.tools[0].strict"),
    (session(tools=[TOOL, TOOL | {"name": "a b"}]), VALUE, "session.tools[1].name"),
    (session(tools=[TOOL | {"name": "x" * 65}]), LONG, "session.tools[0].name"),
    (
        session(tools=[TOOL | {"description": "x" * 1_025}]),
        LONG,
        "session.tools[0].description",
    ),
    (session(tools=[TOOL | {"parameters": "{}"}]), VALUE, None),
    (session(tools=[{"name": "f"}]), MISSING, "session.tools[0].type"),
    (session(tools=TOOL), VALUE, "session.tools"),
    (session(tools=[TOOL | {"type": 1}]), VALUE, "session.tools[0].type"),
    (session(output_modalities=[1]), VALUE, "session.output_modalities[0]"),
    # items
    (message("user", {"type": "text", "text": "4"}), VALUE, "item.content[0].type"),
    (message("assistant", TEXT), VALUE, "item.content[0].type"),
    (message("system", {"type": "output_text", "text": "x"}), VALUE, None),
    (message("agent", TEXT), VALUE, "item.role"),
    (message("user", "4"), VALUE, "item.content[0]"),
    (message("user", {"type": "input_text"}), MISSING, "item.content[0].text"),
    (message("user", TEXT, id="x" * 33), LONG, "item.id"),
    (item(type="message", role="user", content="4"), VALUE, "item.content"),
    (item(type="item_reference", id="i"), VALUE, "item.type"),
    (item(type="function_call_output", output="{}"), MISSING, "item.call_id"),
    (
        item(type="function_call_output", call_id="c", output={"ok": True}),
        VALUE,
        "item.output",
    ),
    (
        item(type="function_call_output", call_id="x" * 33, output=""),
        LONG,
        "item.call_id",
    ),
    # the rest
    (response(voice="shimmer"), UNKNOWN, "response.voice"),
    (response(output=[{"type": "output_audio"}]), UNKNOWN, "response.output"),
    (response(modalities=["audio"]), UNKNOWN, "response.modalities"),
    (response(audio={"output": {"speed": 1}}), UNKNOWN, "response.audio.output.speed"),
    (response(conversation="other"), VALUE, "response.conversation"),
    (response(metadata={"a": "x" * 513}), LONG, "response.metadata.a"),
    (response(metadata={str(n): "" for n in range(17)}), VALUE, "response.metadata"),
    (response(metadata={"x" * 65: ""}), LONG, None),
    (response(metadata=[]), VALUE, "response.metadata"),
    (response(input=[{"type": "item_reference"}]), MISSING, "response.input[0].id"),
    ({"type": "input_audio_buffer.append"}, MISSING, "audio"),
    ({"type": "input_audio_buffer.append", "audio": [255]}, VALUE, "audio"),
    ({"type": "conversation.item.truncate", "item_id": "i"}, MISSING, "content_index"),
    ({"type": "conversation.item.delete"}, MISSING, "item_id"),
    ({"type": "response.interrupt"}, VALUE, "type"),
    ({"type": "response.output_audio.delta", "delta": "AA=="}, VALUE, "type"),
]


@pytest.mark.parametrize("event", VALID)
def test_what_the_api_takes_is_accepted(event: dict[str, Any]):
    assert check(event) == event["type"]


@pytest.mark.parametrize(("event", "code", "param"), INVALID)
def test_what_the_api_refuses_is_refused_by_name(
    event: dict[str, Any], code: str, param: str | None
):
    with pytest.raises(Refused) as refused:
        check(event)
    assert refused.value.code == code
    if param is not None:
        assert refused.value.param == param


@pytest.mark.parametrize("event", [None, [], "x", {}, {"type": None}])
def test_what_has_no_type_is_no_event(event: Any):
    with pytest.raises(Refused) as refused:
        check(event)
    assert refused.value.code == "invalid_event"


def test_messages_read_like_those_of_the_api():
    for event, message_ in (
        (session(voice="x"), "Unknown parameter: 'session.voice'."),
        (
            {"type": "session.update", "session": {}},
            "Missing required parameter: 'session.type'.",
        ),
        (
            audio_out(speed=2),
            "Invalid 'session.audio.output.speed': above maximum value. Expected a "
            "value <= 1.5, but got 2 instead.",
        ),
        (
            message("user", TEXT, id="x" * 40),
            "Invalid 'item.id': string too long. Expected a string with maximum "
            "length 32, but got a string with length 40 instead.",
        ),
    ):
        with pytest.raises(Refused) as refused:
            check(event)
        assert refused.value.message == message_


def test_audio_is_strict_base64_and_not_empty():
    assert decode_audio("/////w==", "audio") == b"\xff" * 4
    for encoded in ("", "====", "AAA", "AA==\n", "A A=", "AA-_"):
        with pytest.raises(Refused):
            decode_audio(encoded, "audio")
