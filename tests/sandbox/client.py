"""A raw client of the Realtime server, and sessions without delays."""

import asyncio
import base64
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from bridge.sandbox.mulaw import SILENCE
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.session import Session

AT_ONCE: dict[str, Any] = {
    "speed": 1e6,
    "thinking_ms": 0,
    "transcription_ms": 0,
    "configure_ms": 0,
}
KEY = {"Authorization": "Bearer sk-sandbox"}
PCMU = {"type": "audio/pcmu"}
SERVER_VAD = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 500,
    "create_response": True,
    "interrupt_response": False,
}


def telephone(turn_detection: dict[str, Any] | None = SERVER_VAD) -> dict[str, Any]:
    """Return the session of a phone call."""
    return {
        "type": "realtime",
        "instructions": "Be brief.",
        "audio": {
            "input": {
                "format": PCMU,
                "transcription": {"model": "gpt-transcribe", "language": "en"},
                "turn_detection": turn_detection,
            },
            "output": {"format": PCMU, "voice": "shimmer"},
        },
    }


def silence(ms: int) -> bytes:
    return SILENCE * (8 * ms)


class Client:
    """Sends events and reads the server's events, one by one."""

    def __init__(self, socket: ClientConnection, session: Session) -> None:
        self.socket = socket
        self.session = session
        self.events: list[dict[str, Any]] = []

    async def send(self, kind: str, **fields: Any) -> None:
        event = msgspec.json.encode({"type": kind, **fields})
        await self.socket.send(event.decode())

    async def append(self, audio: bytes, piece_bytes: int = 160) -> None:
        for start in range(0, len(audio), piece_bytes):
            piece = audio[start : start + piece_bytes]
            encoded = base64.b64encode(piece).decode()
            await self.send("input_audio_buffer.append", audio=encoded)

    async def configure(self, session: dict[str, Any] | None = None) -> dict[str, Any]:
        await self.send("session.update", session=session or telephone())
        return await self.expect("session.updated")

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = msgspec.json.decode(await self.socket.recv())
        self.events.append(event)
        return event

    async def expect(self, kind: str) -> dict[str, Any]:
        """Read on until an event of this type."""
        while (event := await self.next())["type"] != kind:
            pass
        return event

    async def refusal(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send an event and return the error that answers it."""
        await self.send(kind, event_id="evt-1", **fields)
        error: dict[str, Any] = (await self.expect("error"))["error"]
        assert error["event_id"] == "evt-1"
        return error

    async def caught_up(self) -> list[str]:
        """Return the types of all events sent by the server up to now."""
        before = len(self.events)
        await self.send("input_audio_buffer.clear")
        await self.expect("input_audio_buffer.cleared")
        return [event["type"] for event in self.events[before:-1]]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


@asynccontextmanager
async def connected(
    server: RealtimeServer, model: str = "gpt-realtime-2.1"
) -> AsyncIterator[Client]:
    uri = f"{server.url}?model={model}"
    async with connect(
        uri, additional_headers=KEY, compression=None, max_size=None, proxy=None
    ) as socket:
        first = msgspec.json.decode(await socket.recv())
        client = Client(socket, server.sessions[-1])
        client.events.append(first)
        yield client


@asynccontextmanager
async def talking(
    scripts: Any = None, session: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """Yield a client whose session is configured."""
    server = RealtimeServer(scripts, **(AT_ONCE | options))
    async with server, connected(server) as client:
        await client.configure(session)
        yield client


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine to its end, within a time limit."""
    asyncio.run(asyncio.wait_for(story, 20))
