"""What every relay says to both sides; plain Python, for any environment."""

import json

_PCMU = {"format": {"type": "audio/pcmu"}}
UPDATE = json.dumps(
    {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": _PCMU, "output": _PCMU}},
    }
)


def twiml(port: int) -> str:
    """Return the answer to a webhook: a stream on the same port."""
    url = f"ws://127.0.0.1:{port}/stream"
    return f'<Response><Connect><Stream url="{url}"/></Connect></Response>'
