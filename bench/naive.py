"""The simplest possible relay, as a reference for the uplink walk.

It reads Twilio's message with the standard library's `json`, re-encodes the payload and
writes the append event. It has no gate, ledger or limits.
"""

import base64
import json


def relay(message: str) -> str | None:
    """Return the OpenAI event for one Twilio message."""
    parsed = json.loads(message)
    if parsed["event"] != "media":
        return None
    audio = base64.b64decode(parsed["media"]["payload"])
    return json.dumps(
        {
            "type": "input_audio_buffer.append",
            "audio": base64.b64encode(audio).decode(),
        }
    )
