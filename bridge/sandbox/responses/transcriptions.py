"""What a client may send to have a recording transcribed, as the API's pages have it.

https://developers.openai.com/api/docs/api-reference/audio/createTranscription. A form
with a field that is not listed is refused whole.
"""

from __future__ import annotations

import io
import re
import wave
from typing import Any

from aiohttp import web

from bridge.sandbox.rules import Refused

PATH = "/v1/audio/transcriptions"
MODELS = ("gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "whisper-1")
BYTES_MAX = 25 * 1024 * 1024
# What a file of each kind begins with.
_BEGINS = {"ogg": b"OggS", "wav": b"RIFF", "webm": b"\x1aE\xdf\xa3"}
_SECONDS_MIN = 0.1
_FIELDS = {"file", "model", "response_format", "language"}
# Opus as WhatsApp sends it.
_BYTES_A_SECOND = 2_000


async def read(request: web.Request) -> dict[str, Any]:
    """Return what a request asks for, with the length; raises `Refused`."""
    if not request.content_type.startswith("multipart/form-data"):
        raise Refused("invalid_request", "Expected multipart/form-data.")
    form = await request.post()
    for name in form:
        if name not in _FIELDS:
            raise Refused("unknown_parameter", f"Unknown parameter: '{name}'.", name)
    for name in ("file", "model"):
        if name not in form:
            raise Refused(
                "missing_required_parameter",
                f"Missing required parameter: '{name}'.",
                name,
            )
    model = str(form["model"])
    if model not in MODELS:
        text = f"The requested model '{model}' does not exist."
        raise Refused("model_not_found", text, "model")
    if form.get("response_format", "json") != "json":
        raise Refused(
            "invalid_value", "The sandbox answers as json.", "response_format"
        )
    file = form["file"]
    if not isinstance(file, web.FileField):
        raise Refused("invalid_value", "Invalid 'file': expected a file.", "file")
    with file.file:
        data = file.file.read(BYTES_MAX + 1)
    kind = file.filename.rpartition(".")[2]
    if not data.startswith(_BEGINS.get(kind, b"\0")) or len(data) > BYTES_MAX:
        raise Refused(
            "invalid_value",
            "Invalid file format. Supported formats: ['ogg', 'wav', 'webm']",
            "file",
        )
    language = str(form.get("language", ""))
    if language and not re.fullmatch("[a-z]{2}", language):
        text = f"Invalid language '{language}'. Expected ISO-639-1 format."
        raise Refused("invalid_language_format", text, "language")
    seconds = _wav_seconds(data) if kind == "wav" else len(data) / _BYTES_A_SECOND
    return {
        "model": model,
        "language": language,
        "seconds": max(1, round(seconds)),
        "audio": data,
    }


def _wav_seconds(data: bytes) -> float:
    """Return how long a WAV file is; one that is broken or too short is refused."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            samples, rate_hz = file.getnframes(), file.getframerate()
            frame_bytes = file.getsampwidth() * file.getnchannels()
            is_whole = len(file.readframes(samples)) == samples * frame_bytes
    except (wave.Error, EOFError):
        is_whole = False
    if not is_whole:
        text = "Audio file might be corrupted or unsupported"
        raise Refused("invalid_value", text, "file")
    if samples < rate_hz * _SECONDS_MIN:
        text = f"Audio file is too short. Minimum audio length is {_SECONDS_MIN} s."
        raise Refused("audio_too_short", text, "file")
    return float(samples / rate_hz)
