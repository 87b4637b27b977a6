"""What a client may send to the Realtime API: eleven events, field by field.

https://platform.openai.com/docs/api-reference/realtime-client-events. An event with a
field that is not listed is refused whole.
"""

import binascii
from typing import Any

from bridge.sandbox.rules import (
    Refused,
    Rule,
    anything,
    array_of,
    boolean,
    by_kind,
    free_form,
    mapping_of,
    nullable,
    number,
    one_of,
    record,
    tagged,
    text,
)

VOICES = (
    "alloy",
    "ash",
    "ballad",
    "coral",
    "echo",
    "sage",
    "shimmer",
    "verse",
    "marin",
    "cedar",
)
TRANSCRIPTION_MODELS = (
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-realtime-whisper",
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-2025-12-15",
    "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15",
    "gpt-4o-transcribe-diarize",
)
# "Supported values are: 'af', 'ar', 'az', …"
_LANGUAGES = (
    "af ar az be bg bs ca cs cy da de el en es et fa fi fr gl he hi hr hu hy id is it "
    "ja kk kn ko lt lv mi mk mr ms ne nl no pl pt ro ru sk sl sr sv sw ta th tl tr uk "
    "ur vi zh"
)
EVENT_ID_CHARS_MAX = 512
ITEM_ID_CHARS_MAX = 32
APPEND_BYTES_MAX = 15 * 1024 * 1024

_type = {"type": anything}
_string = text()
_id = text(ITEM_ID_CHARS_MAX)

# --- the session ---

_format = tagged(
    "type",
    {
        "audio/pcm": record({**_type, "rate": number(24_000, 24_000, whole=True)}, {}),
        "audio/pcmu": record(_type, {}),
        "audio/pcma": record(_type, {}),
    },
)
_voice = by_kind({str: one_of(*VOICES), dict: record({"id": _string}, {})})
_transcription = record(
    {},
    {
        "model": one_of(*TRANSCRIPTION_MODELS),
        "language": nullable(one_of(*_LANGUAGES.split())),
        "languages": nullable(array_of(_string, low=1)),
        "keywords": array_of(_string),
        "prompt": nullable(_string),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
    },
)
_answers = {"create_response": boolean, "interrupt_response": boolean}
_turn_detection = tagged(
    "type",
    {
        "server_vad": record(
            _type,
            {
                "threshold": number(0, 1),
                "prefix_padding_ms": number(0, whole=True),
                "silence_duration_ms": number(0, whole=True),
                "idle_timeout_ms": nullable(number(5_000, 30_000, whole=True)),
                **_answers,
            },
        ),
        "semantic_vad": record(
            _type, {"eagerness": one_of("low", "medium", "high", "auto"), **_answers}
        ),
    },
)
_noise_reduction = record(
    {}, {"type": one_of("near_field", "far_field"), "strength": number()}
)
_mcp_filter = record({}, {"tool_names": array_of(_string), "read_only": boolean})
_tool = tagged(
    "type",
    {
        "function": record(
            {**_type, "name": text(64, r"[a-zA-Z0-9_-]+")},
            {"description": text(1024), "parameters": free_form},
        ),
        "mcp": record(
            {**_type, "server_label": _string},
            {
                "server_url": _string,
                "connector_id": _string,
                "tunnel_id": _string,
                "authorization": _string,
                "server_description": _string,
                "headers": nullable(mapping_of(_string, 64, 256)),
                "allowed_tools": nullable(
                    by_kind({list: array_of(_string), dict: _mcp_filter})
                ),
                "allowed_callers": nullable(
                    array_of(one_of("direct", "programmatic"), low=1)
                ),
                "require_approval": nullable(
                    by_kind(
                        {
                            str: one_of("always", "never"),
                            dict: record(
                                {}, {"always": _mcp_filter, "never": _mcp_filter}
                            ),
                        }
                    )
                ),
                "defer_loading": boolean,
            },
        ),
    },
)
_tool_choice = by_kind(
    {
        str: one_of("none", "auto", "required"),
        dict: tagged(
            "type",
            {
                "function": record({**_type, "name": _string}, {}),
                "mcp": record(
                    {**_type, "server_label": _string}, {"name": nullable(_string)}
                ),
            },
        ),
    }
)
_prompt = record(
    {"id": _string},
    {"version": nullable(_string), "variables": nullable(free_form)},
)
_tracing = by_kind(
    {
        str: one_of("auto"),
        dict: record(
            {},
            {"workflow_name": _string, "group_id": _string, "metadata": free_form},
        ),
    }
)
_truncation = by_kind(
    {
        str: one_of("auto", "disabled"),
        dict: record(
            {"type": one_of("retention_ratio"), "retention_ratio": number(0, 1)},
            {"token_limits": record({}, {"post_instructions": number(0, whole=True)})},
        ),
    }
)
# Shared by the session and by one response.
_generation: dict[str, Rule] = {
    "output_modalities": array_of(one_of("audio", "text"), low=1, high=1),
    "instructions": _string,
    "max_output_tokens": by_kind(
        {int: number(1, 4096, whole=True), str: one_of("inf")}
    ),
    "tools": array_of(_tool),
    "tool_choice": _tool_choice,
    "parallel_tool_calls": boolean,
    "reasoning": record(
        {}, {"effort": one_of("minimal", "low", "medium", "high", "xhigh")}
    ),
    "prompt": nullable(_prompt),
}
_session_audio = record(
    {},
    {
        "input": record(
            {},
            {
                "format": _format,
                "noise_reduction": nullable(_noise_reduction),
                "transcription": nullable(_transcription),
                "turn_detection": nullable(_turn_detection),
            },
        ),
        "output": record(
            {}, {"format": _format, "voice": _voice, "speed": number(0.25, 1.5)}
        ),
    },
)
_session = record(
    {"type": one_of("realtime")},
    {
        **_generation,
        "model": _string,
        "audio": _session_audio,
        "truncation": _truncation,
        "tracing": nullable(_tracing),
        "include": nullable(
            array_of(one_of("item.input_audio_transcription.logprobs"))
        ),
    },
)

# --- items ---

_input_text = record({**_type, "text": _string}, {})
_common = {
    "id": _id,
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}


def _message(parts: dict[str, Rule]) -> Rule:
    fields = {**_type, "role": anything, "content": array_of(tagged("type", parts))}
    return record(fields, _common)


_item_cases: dict[str, Rule] = {
    "message": tagged(
        "role",
        {
            "user": _message(
                {
                    "input_text": _input_text,
                    "input_audio": record(
                        {**_type, "audio": _string}, {"transcript": nullable(_string)}
                    ),
                    "input_image": record(
                        {**_type, "image_url": _string},
                        {"detail": one_of("auto", "low", "high")},
                    ),
                }
            ),
            "system": _message({"input_text": _input_text}),
            "assistant": _message({"output_text": _input_text}),
        },
    ),
    "function_call": record(
        {**_type, "name": _string, "arguments": _string}, {**_common, "call_id": _id}
    ),
    "function_call_output": record(
        {**_type, "call_id": _id, "output": _string}, _common
    ),
    "mcp_approval_response": record(
        {**_type, "id": _id, "approval_request_id": _string, "approve": boolean},
        {"reason": nullable(_string)},
    ),
}
_item = tagged("type", _item_cases)
_item_or_reference = tagged(
    "type", {**_item_cases, "item_reference": record({**_type, "id": _string}, {})}
)

# --- the events ---

_response = record(
    {},
    {
        **_generation,
        # A well-known client sends it without a value, and is served.
        "instructions": nullable(_string),
        "audio": record(
            {}, {"output": record({}, {"format": _format, "voice": _voice})}
        ),
        "conversation": one_of("auto", "none"),
        "metadata": nullable(mapping_of(text(512), 16, 64)),
        "input": array_of(_item_or_reference),
    },
)


def _event(required: dict[str, Rule], optional: dict[str, Rule] | None = None) -> Rule:
    event_id = {"event_id": text(EVENT_ID_CHARS_MAX)}
    return record({**_type, **required}, {**(optional or {}), **event_id})


EVENTS: dict[str, Rule] = {
    "session.update": _event({"session": _session}),
    "input_audio_buffer.append": _event({"audio": _string}),
    "input_audio_buffer.commit": _event({}),
    "input_audio_buffer.clear": _event({}),
    "conversation.item.create": _event({"item": _item}, {"previous_item_id": _string}),
    "conversation.item.retrieve": _event({"item_id": _string}),
    "conversation.item.truncate": _event(
        {
            "item_id": _string,
            "content_index": number(0, whole=True),
            "audio_end_ms": number(0, whole=True),
        }
    ),
    "conversation.item.delete": _event({"item_id": _string}),
    "response.create": _event({}, {"response": _response}),
    "response.cancel": _event({}, {"response_id": _string}),
    "output_audio_buffer.clear": _event({}),
}


def check(event: Any) -> str:
    """Return the type of a client event, or raise `Refused`."""
    if not isinstance(event, dict):
        raise Refused("invalid_event", "The event must be a JSON object.")
    kind = event.get("type")
    if not isinstance(kind, str):
        raise Refused("invalid_event", "The event must have a type.", "type")
    tagged("type", EVENTS)(event, "")
    return kind


def decode_audio(encoded: str, path: str) -> bytes:
    """Return the bytes of a base64 field, or raise `Refused`."""
    try:
        audio = binascii.a2b_base64(encoded, strict_mode=True)
    except ValueError:
        audio = b""
    if not audio:
        raise Refused(
            "invalid_value",
            f"Invalid '{path}': expected base64-encoded audio bytes.",
            path,
        )
    if len(audio) > APPEND_BYTES_MAX:
        raise Refused(
            "string_above_max_length",
            f"Invalid '{path}': expected at most 15 MiB of audio.",
            path,
        )
    return audio
