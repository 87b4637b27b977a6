"""A hand-made WebSocket peer over loopback: tests write to the wire byte by byte."""

import asyncio
import os
from collections.abc import Awaitable, Callable

import uvloop

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
# RFC 6455, section 1.3: the answer to the sample key.
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
# Nothing on loopback takes this long, on a busy machine either; a test that waits
# longer has failed.
PATIENCE_S = 30.0

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def run(
    story: Callable[[], Awaitable[None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> None:
    """Run a test's coroutine, which must end within PATIENCE_S."""

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await story()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(bounded())


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until a condition is true."""
    while not condition():  # noqa: ASYNC110 (what is waited for has no event)
        await asyncio.sleep(0.001)


def upgrade(
    path: str = "/twilio/media", connection: str = "Upgrade", **headers: str
) -> bytes:
    """Return a handshake."""
    more = "".join(
        f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()
    )
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: {connection}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    ).encode()


def frame(opcode: int, payload: bytes, *, fin: bool = True, mask: bool = True) -> bytes:
    """Return one WebSocket frame, masked as a client's unless told otherwise."""
    size = len(payload)
    flag = 0x80 if mask else 0
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([flag | size])
    elif size < 65_536:
        head += bytes([flag | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([flag | 127]) + size.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    masked = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    return head + key + masked


class Peer:
    """One end of a connection."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> "Peer":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def send_text(self, payload: bytes) -> None:
        self.send(frame(TEXT, payload))

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def recv(self) -> tuple[int, bytes]:
        """Return the next frame's opcode and payload, unmasked."""
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(
                await self.reader.readexactly(2 if size == 126 else 8)
            )
        key = await self.reader.readexactly(4) if second & 0x80 else bytes(4)
        payload = await self.reader.readexactly(size)
        return first & 0x0F, bytes(b ^ key[at % 4] for at, b in enumerate(payload))

    async def ended(self) -> bytes:
        """Return all that arrives until the other side closes."""
        return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
