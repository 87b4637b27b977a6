"""An operator's line to a call of another process: both of its ends, over a WebSocket.

Binary messages are frames, those of both sides out of the call and the operator's into
it. Text messages are orders.
"""

import asyncio
from contextlib import suppress

import aiohttp
import msgspec
from aiohttp import ClientError, web

from bridge.call.plan import LineOrder
from bridge.switchboard.live_calls import LocalLine
from bridge.telemetry.log import server_logger

# A second of audio, or a note.
MESSAGE_BYTES_MAX = 16_384
_orders = msgspec.json.Decoder(LineOrder)


class RemoteLine:
    """The operator's end."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def take(self) -> bytes:
        """Return both sides' next frames; empty once the call is over."""
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.BINARY:
                return bytes(message.data)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return b""

    async def obey(self, order: LineOrder) -> None:
        """Pass an order to the call."""
        await self._send(msgspec.json.encode(order).decode())

    async def speak(self, frames: bytes) -> None:
        """Send the caller what this operator says."""
        await self._send(frames)

    async def close(self) -> None:
        """Leave the call."""
        await self._socket.close()

    async def _send(self, data: str | bytes) -> None:
        if self._socket.closed:
            return
        try:
            if isinstance(data, str):
                await self._socket.send_str(data)
            else:
                await self._socket.send_bytes(data)
        except (ClientError, ConnectionError):
            await self._socket.close()


async def serve_line(
    request: web.Request, line: LocalLine | RemoteLine | None, *, hears: bool
) -> web.StreamResponse:
    """Answer another process for a line to a call, until either end leaves."""
    if line is None:
        raise web.HTTPNotFound
    socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, compress=False)
    await socket.prepare(request)
    hearing = asyncio.ensure_future(_send_all(line, socket, hears=hears))
    try:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                await line.speak(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                await line.obey(_orders.decode(message.data))
    except msgspec.DecodeError as error:
        # Of a node of another version: the operator sees the line end.
        server_logger().warning("[NODE] an operator's order is not known: %s", error)
    finally:
        hearing.cancel()
        await line.close()
    return socket


async def _send_all(
    line: LocalLine | RemoteLine, socket: web.WebSocketResponse, *, hears: bool
) -> None:
    """Send what a line hears until the call is over, or the operator has left."""
    with suppress(ConnectionError):
        while pairs := await line.take():
            await socket.send_bytes(pairs)
        if hears:
            await socket.close()
