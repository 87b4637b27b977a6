"""What a client may send to the Responses API, field by field, as its pages have it.

https://developers.openai.com/api/docs/api-reference/responses/create. A request with a
field that is not listed is refused whole. Of the API, only what a text agent with
functions of its own uses is here: no stream, no tools of the vendor, no stored state.
"""

import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bridge.sandbox.rules import (
    Refused,
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

MODELS = ("gpt-6-luna", "gpt-6.1-terra", "gpt-6.1-sol", "gpt-5.6-luna")
IMAGE_BYTES_MAX = 20 * 1024 * 1024
# "Strict" takes these keywords of JSON Schema, and no others.
_STRICT_KEYWORDS = frozenset(
    (
        "$defs",
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "type",
    )
)
_TOOLS_MAX = 128

_string = text()
_type = {"type": _string}
_status = {"status": one_of("in_progress", "completed", "incomplete")}


def _an_id(prefix: str) -> Any:
    def check(value: Any, path: str) -> None:
        _string(value, path)
        if not value.startswith(prefix):
            raise Refused(
                "invalid_value",
                f"Invalid '{path}': '{value}'. Expected an ID that begins with "
                f"'{prefix}'.",
                path,
            )

    return check


def _image(value: Any, path: str) -> None:
    """Accept a data URL of a picture; the sandbox fetches nothing."""
    _string(value, path)
    found = re.fullmatch(
        r"data:image/(?:png|jpeg|webp|gif);base64,([A-Za-z0-9+/=]+)", value
    )
    try:
        size = len(binascii.a2b_base64(found[1], strict_mode=True)) if found else 0
    except ValueError:
        size = 0
    if not 0 < size <= IMAGE_BYTES_MAX:
        raise Refused(
            "invalid_image_url",
            f"Invalid '{path}'. Expected a base64-encoded data URL with an image MIME "
            "type, such as 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='.",
            path,
        )


_input_text = record({**_type, "text": _string}, {})
_input_parts = tagged(
    "type",
    {
        "input_text": _input_text,
        "input_image": record(
            {
                **_type,
                "image_url": _image,
                "detail": one_of("auto", "low", "high", "original"),
            },
            {},
        ),
    },
)
_output_parts = tagged(
    "type",
    {
        "output_text": record(
            {**_type, "text": _string, "annotations": array_of(free_form)},
            {"logprobs": array_of(free_form)},
        ),
        "refusal": record({**_type, "refusal": _string}, {}),
    },
)


_phase = {"phase": nullable(one_of("commentary", "final_answer"))}
_input_message = record(
    {
        "role": _string,
        "content": by_kind({str: _string, list: array_of(_input_parts, low=1)}),
    },
    {**_type, **_status},
)
# What a model said, as it came; or its words alone.
_output_message = record(
    {
        **_type,
        **_status,
        "role": _string,
        "id": _an_id("msg_"),
        "content": array_of(_output_parts, low=1),
    },
    _phase,
)
_output_words = record({"role": _string, "content": _string}, {**_type, **_phase})


def _assistant(value: Any, path: str) -> None:
    is_whole = isinstance(value.get("content"), list)
    (_output_message if is_whole else _output_words)(value, path)


_messages = tagged(
    "role",
    {
        "user": _input_message,
        "system": _input_message,
        "developer": _input_message,
        "assistant": _assistant,
    },
)
_call_id = text(64)
_ITEMS: dict[str, Any] = {
    "message": _messages,
    "function_call": record(
        {
            **_type,
            "call_id": _call_id,
            "name": text(64, r"[a-zA-Z0-9_-]+"),
            "arguments": _string,
        },
        {**_status, "id": _an_id("fc_")},
    ),
    "function_call_output": record(
        {**_type, "call_id": _call_id, "output": text(10_485_760)}, _status
    ),
    "reasoning": record(
        {**_type, "id": _an_id("rs_"), "summary": array_of(free_form)},
        {
            **_status,
            "encrypted_content": nullable(_string),
            "content": array_of(free_form),
        },
    ),
}


def _item(value: Any, path: str) -> None:
    is_message = isinstance(value, dict) and "type" not in value and "role" in value
    (_messages if is_message else tagged("type", _ITEMS))(value, path)


_function = record(
    {
        **_type,
        "name": text(64, r"[a-zA-Z0-9_-]+"),
        "parameters": free_form,
        "strict": boolean,
    },
    {"description": nullable(_string)},
)
_effort = one_of("none", "minimal", "low", "medium", "high", "xhigh", "max")
_REQUEST = record(
    {"model": one_of(*MODELS), "input": by_kind({str: _string, list: array_of(_item)})},
    {
        "instructions": nullable(_string),
        "include": nullable(array_of(one_of("reasoning.encrypted_content"))),
        "max_output_tokens": nullable(number(16, whole=True)),
        "metadata": nullable(mapping_of(text(512), 16, 64)),
        "parallel_tool_calls": nullable(boolean),
        "prompt_cache_key": text(64),
        "reasoning": nullable(
            record(
                {},
                {
                    "effort": nullable(_effort),
                    "summary": nullable(one_of("auto", "concise", "detailed")),
                },
            )
        ),
        "safety_identifier": text(128),
        "service_tier": one_of("auto", "default", "flex", "fast", "priority"),
        "store": nullable(boolean),
        "text": record({}, {"verbosity": nullable(one_of("low", "medium", "high"))}),
        "tool_choice": by_kind(
            {
                str: one_of("none", "auto", "required"),
                dict: record({"type": one_of("function"), "name": _string}, {}),
            }
        ),
        "tools": array_of(tagged("type", {"function": _function}), high=_TOOLS_MAX),
        "truncation": nullable(one_of("auto", "disabled")),
    },
)


def check(body: Any) -> None:
    """Raise `Refused` unless the API would take this request."""
    if not isinstance(body, dict):
        raise Refused("invalid_request", "The request must be a JSON object.")
    if body.get("model") not in MODELS and isinstance(body.get("model"), str):
        name = body["model"]
        raise Refused(
            "model_not_found", f"The requested model '{name}' does not exist.", "model"
        )
    _REQUEST(body, "")
    names = [tool["name"] for tool in body.get("tools", ())]
    for index, tool in enumerate(body.get("tools", ())):
        if names.count(tool["name"]) > 1:
            raise Refused(
                "invalid_value",
                f"Duplicate tool name: '{tool['name']}'.",
                f"tools[{index}].name",
            )
        if tool["strict"]:
            _check_strict(tool["parameters"], tool["name"], index, ())
    if isinstance(body["input"], list):
        _check_items(body["input"])
    if not body["input"]:
        raise Refused("missing_required_parameter", "input: expected items.", "input")


def _check_strict(schema: Any, name: str, index: int, context: tuple[str, ...]) -> None:
    """Raise unless a schema is one that "strict" takes."""

    def refuse(why: str) -> Refused:
        return Refused(
            "invalid_function_parameters",
            f"Invalid schema for function '{name}': In context={context}, {why}",
            f"tools[{index}].parameters",
        )

    if not isinstance(schema, dict):
        raise refuse("schema must be an object.")
    for keyword in schema:
        if keyword not in _STRICT_KEYWORDS:
            raise refuse(f"'{keyword}' is not permitted.")
    if "type" not in schema and "anyOf" not in schema and "enum" not in schema:
        raise refuse("schema must have a 'type' key.")
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") is not False:
            raise refuse(
                "'additionalProperties' is required to be supplied and to be false."
            )
        properties = schema.get("properties", {})
        if sorted(schema.get("required", ())) != sorted(properties):
            raise refuse(
                "'required' is required to be supplied and to be an array including "
                "every key in properties."
            )
        for key, inner in properties.items():
            _check_strict(inner, name, index, (*context, "properties", key))
    if "items" in schema:
        _check_strict(schema["items"], name, index, (*context, "items"))


def _check_items(items: Sequence[Mapping[str, Any]]) -> None:
    """Raise unless every call has one output, after it, and every output its call."""
    for found in _repeated(one["id"] for one in items if "id" in one):
        raise Refused(
            "invalid_value",
            f"Duplicate item found with id {found}. Remove duplicate items from your "
            "input and try again.",
            "input",
        )
    open_calls: dict[str, bool] = {}
    for item in items:
        kind, call_id = item.get("type"), item.get("call_id", "")
        if kind == "function_call":
            if call_id in open_calls:
                raise _of_call("Duplicate function call", call_id)
            open_calls[call_id] = True
        elif kind == "function_call_output":
            if call_id not in open_calls:
                raise _of_call(
                    "No tool call found for function call output with call_id", call_id
                )
            if not open_calls[call_id]:
                raise _of_call("Duplicate output for function call", call_id)
            open_calls[call_id] = False
    for call_id, is_open in open_calls.items():
        if is_open:
            raise _of_call("No tool output found for function call", call_id)
    _check_reasoning(items)


def _check_reasoning(items: Sequence[Mapping[str, Any]]) -> None:
    """Raise where a reasoning item is not followed by what was thought out."""
    for index, item in enumerate(items):
        if item.get("type") != "reasoning":
            continue
        rest = items[index + 1 :]
        after = next((one for one in rest if one.get("type") != "reasoning"), {})
        is_own = after.get("type") == "function_call" or (
            after.get("role") == "assistant"
        )
        if not is_own:
            raise Refused(
                "invalid_value",
                f"Item '{item['id']}' of type 'reasoning' was provided without its "
                "required following item.",
                "input",
            )


def _of_call(what: str, call_id: str) -> Refused:
    return Refused("invalid_value", f"{what} {call_id}.", "input")


def _repeated(ids: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            yield one
        seen.add(one)
