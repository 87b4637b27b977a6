"""The session a client gets before it configures anything, and how updates merge."""

from copy import deepcopy
from typing import Any

from bridge.sandbox.rules import Refused

MODELS = frozenset(
    (
        "gpt-realtime-2.1",
        "gpt-realtime-2.1-mini",
        "gpt-realtime-2",
        "gpt-realtime-1.5",
        "gpt-realtime",
        "gpt-realtime-2025-08-28",
        "gpt-realtime-mini",
        "gpt-realtime-mini-2025-10-06",
        "gpt-realtime-mini-2025-12-15",
        "gpt-audio-1.5",
        "gpt-audio-mini",
        "gpt-audio-mini-2025-10-06",
        "gpt-audio-mini-2025-12-15",
    )
)
_REASONING_PREFIX = "gpt-realtime-2"
# `gpt-realtime-2025-08-28` is a date, not a version.
_NOT_REASONING = frozenset(("gpt-realtime-2025-08-28",))

_TURN_DETECTION: dict[str, dict[str, Any]] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        # The documentation says 500; a real session says 200.
        "silence_duration_ms": 200,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}


def default_session(session_id: str, model: str, expires_at: int) -> dict[str, Any]:
    """Return the configuration of `session.created`."""
    pcm = {"type": "audio/pcm", "rate": 24_000}
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "You are a helpful assistant. Be friendly and brief.",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "expires_at": expires_at,
        "include": None,
        "audio": {
            "input": {
                "format": dict(pcm),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(_TURN_DETECTION["server_vad"]),
            },
            "output": {"format": dict(pcm), "voice": "marin", "speed": 1.0},
        },
    }


def merge(
    session: dict[str, Any], update: dict[str, Any], has_spoken: bool
) -> dict[str, Any]:
    """Return the session after an update that the rules accept, or raise `Refused`.

    Only present fields change; null and empty values switch off.
    """
    merged = deepcopy(session)
    _check_fixed(session, update, has_spoken)
    audio = update.get("audio", {})
    for name, value in update.items():
        if name != "audio":
            merged[name] = value
    merged["audio"]["output"] |= audio.get("output", {})
    given = audio.get("input", {})
    kept = merged["audio"]["input"]
    before = dict(kept)
    kept |= given
    if given.get("turn_detection") is not None:
        kept["turn_detection"] = _completed(
            given["turn_detection"], before["turn_detection"]
        )
    if given.get("noise_reduction") is not None:
        reduction = {"strength": 1, **(before["noise_reduction"] or {})}
        kept["noise_reduction"] = reduction | given["noise_reduction"]
    return merged


def _completed(given: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    if before is not None and before["type"] == given["type"]:
        return before | given
    return _TURN_DETECTION[given["type"]] | given


def _check_fixed(
    session: dict[str, Any], update: dict[str, Any], has_spoken: bool
) -> None:
    model = session["model"]
    if update.get("model", model) != model:
        raise Refused(
            "invalid_value",
            f"The model of a session cannot be changed from '{model}'.",
            "session.model",
        )
    check_voice(session, update, has_spoken, "session")
    check_reasoning(model, update, "session")
    tracing = session["tracing"]
    if tracing is not None and update.get("tracing", tracing) != tracing:
        raise Refused(
            "invalid_value",
            "Tracing cannot be changed once it is on.",
            "session.tracing",
        )


def check_voice(
    session: dict[str, Any], given: dict[str, Any], has_spoken: bool, path: str
) -> None:
    """Refuse another voice once the session has spoken."""
    voice = session["audio"]["output"]["voice"]
    wanted = given.get("audio", {}).get("output", {}).get("voice", voice)
    if has_spoken and wanted != voice:
        raise Refused(
            "cannot_update_voice",
            "Cannot update a conversation's voice if assistant audio is present.",
            f"{path}.audio.output.voice",
        )


def check_reasoning(model: str, given: dict[str, Any], path: str) -> None:
    """Refuse options that only reasoning models have."""
    is_reasoning = model.startswith(_REASONING_PREFIX) and model not in _NOT_REASONING
    for name in ("reasoning", "parallel_tool_calls"):
        if name in given and not is_reasoning:
            raise Refused(
                "invalid_value",
                f"'{path}.{name}' is not supported with the '{model}' model.",
                f"{path}.{name}",
            )
