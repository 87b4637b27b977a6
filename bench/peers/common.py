"""Messages that every relay sends, and a webhook server in plain Python.

The webhook server is for relays whose library serves WebSocket streams only.
"""

import asyncio
import json
from base64 import b64encode
from hashlib import sha1

_PCMU = {"format": {"type": "audio/pcmu"}}
UPDATE = json.dumps(
    {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": _PCMU, "output": _PCMU}},
    }
)
# RFC 6455 section 1.3.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def twiml(port: int) -> str:
    """Return the TwiML of a webhook: a stream on the given port."""
    url = f"ws://127.0.0.1:{port}/stream"
    return f'<Response><Connect><Stream url="{url}"/></Connect></Response>'


def answer_to(data: bytes, stream_port: int) -> tuple[bytes, int, bool] | None:
    """Answer the HTTP request at the start of `data`; None while it is incomplete.

    Returns the answer, the size of the request, and whether a stream follows. An
    upgrade is accepted; any other request gets the TwiML.
    """
    head, over, _ = data.partition(b"\r\n\r\n")
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    fields = {name.lower(): value.strip() for name, _, value in lines}
    size = len(head) + len(over) + int(fields.get(b"content-length", 0))
    if not over or len(data) < size:
        return None
    key = fields.get(b"sec-websocket-key")
    if key is None:
        body = twiml(stream_port).encode()
        form = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n"
        )
        return form % len(body) + body, size, False
    form = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
    )
    return form % b64encode(sha1(key + _GUID).digest()), size, True


class Webhooks(asyncio.Protocol):
    """Answers each HTTP request with the TwiML of a stream."""

    def __init__(self, stream_port: int) -> None:
        self._stream_port = stream_port
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every complete request."""
        self._data += data
        while found := answer_to(self._data, self._stream_port):
            answer, size, _ = found
            self._data = self._data[size:]
            self._transport.write(answer)


async def serve_webhooks(port: int, stream_port: int) -> None:
    """Answer webhooks until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Webhooks(stream_port), "127.0.0.1", port)
    await server.serve_forever()
