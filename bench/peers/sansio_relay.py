"""A bare relay on the sans-I/O core of websockets, with the standard json.

Each socket is an asyncio protocol of uvloop.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python sansio_relay.py
"""

import asyncio
import json
import os

import uvloop
from common import UPDATE, serve_webhooks
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

PORT, MODEL_URL = int(os.environ["PORT"]), os.environ["OPENAI_REALTIME_URL"]


class Leg(asyncio.Protocol):
    """One WebSocket of a call."""

    core: ClientProtocol | ServerProtocol
    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Give the bytes to the core; send the core's output."""
        self.core.receive_data(data)
        for event in self.core.events_received():
            if isinstance(event, Frame):
                if event.opcode is Opcode.TEXT:
                    self.receive(json.loads(bytes(event.data)))
            else:
                self.on_handshake(event)
        self.flush()
        if self.core.close_expected():
            self.transport.close()

    def on_handshake(self, event: object) -> None:
        """Take the other side's half of the handshake."""

    def receive(self, message: dict) -> None:
        """Take a message."""
        raise NotImplementedError

    def send(self, message: dict) -> None:
        """Send a message."""
        self.core.send_text(json.dumps(message).encode())
        self.flush()

    def flush(self) -> None:
        """Write the core's output."""
        for data in self.core.data_to_send():
            if data:
                self.transport.write(data)


class Twilio(Leg):
    """The caller's leg."""

    def __init__(self) -> None:
        self.core = ServerProtocol()
        self.model = Model(self)
        self.stream_sid = ""

    def on_handshake(self, event: Request) -> None:
        """Accept the stream; dial the model."""
        self.core.send_response(self.core.accept(event))
        loop, to = asyncio.get_running_loop(), self.model.core.uri
        dial = loop.create_connection(lambda: self.model, to.host, to.port)
        self.dialling = asyncio.ensure_future(dial)

    def receive(self, message: dict) -> None:
        """Give the caller's audio to the model."""
        if message["event"] == "media":
            if self.model.is_open:
                audio = message["media"]["payload"]
                self.model.send({"type": "input_audio_buffer.append", "audio": audio})
        elif message["event"] == "start":
            self.stream_sid = message["streamSid"]

    def connection_lost(self, error: Exception | None) -> None:
        """Hang up on the model."""
        if self.model.is_open:
            self.model.transport.close()


class Model(Leg):
    """The model's leg."""

    def __init__(self, twilio: Twilio) -> None:
        self.core = ClientProtocol(parse_uri(MODEL_URL))
        self.twilio = twilio
        self.is_open = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Ask for the upgrade."""
        super().connection_made(transport)
        self.core.send_request(self.core.connect())
        self.flush()

    def on_handshake(self, event: object) -> None:
        """Configure the session."""
        self.is_open = True
        self.send(json.loads(UPDATE))

    def receive(self, message: dict) -> None:
        """Give the model's audio to the caller."""
        if message["type"] == "response.output_audio.delta":
            media = {"payload": message["delta"]}
            sid = self.twilio.stream_sid
            self.twilio.send({"event": "media", "streamSid": sid, "media": media})

    def connection_lost(self, error: Exception | None) -> None:
        """Hang up on the caller."""
        self.is_open = False
        self.twilio.transport.close()


async def main() -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    streams = await loop.create_server(Twilio, "127.0.0.1", 0)
    await serve_webhooks(PORT, streams.sockets[0].getsockname()[1])


if __name__ == "__main__":
    uvloop.run(main())
