"""The running calls of all workers and nodes, and lines to those of this service.

A worker answers the others on its own Unix socket, in a folder that only the service's
user may enter. Nobody else reaches these paths.
"""

import asyncio
from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web

from bridge.call.plan import LineOrder
from bridge.ports.workers import Workers
from bridge.service.live_elsewhere import LiveElsewhere
from bridge.switchboard.live_calls import Lines, LocalLine
from bridge.telemetry.live_call import LiveCall, RefusedCall, Snapshot

LIVE_PATH = "/inside/live"
LINE_PATH = "/inside/line/{call_sid}"
# A worker that is late is left out of this look.
SNAPSHOT_WAIT_S = 0.5
LINE_WAIT_S = 2.0
# A second of audio, or a note.
MESSAGE_BYTES_MAX = 16_384
_orders = msgspec.json.Decoder(LineOrder)


class RemoteLine:
    """An operator's connection to a call of another worker."""

    def __init__(
        self, session: ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self._session = session
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
        await self._session.close()

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


class LiveEverywhere:
    """The calls of this worker and of the others, and those of other nodes."""

    def __init__(
        self,
        lines: Lines,
        workers: Workers | None,
        elsewhere: LiveElsewhere | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._lines = lines
        self._workers = workers
        self._sessions: dict[int, ClientSession] = {}

    async def snapshot(self) -> Snapshot:
        """Return all calls; those of a worker that is late are left out."""
        own = self._lines.snapshot()
        others = await asyncio.gather(*map(self._look, self._others()))
        found = [own, *(one for one in others if one is not None)]
        calls: list[LiveCall] = [call for one in found for call in one.calls]
        if self._elsewhere is not None:
            here = {call.call_sid for call in calls}
            others_calls = self._elsewhere.calls()
            calls += [call for call in others_calls if call.call_sid not in here]
        refused: list[RefusedCall] = [call for one in found for call in one.refused]
        return Snapshot(
            calls=tuple(sorted(calls, key=lambda call: call.opened_at)),
            refused=tuple(sorted(refused, key=lambda call: call.at)),
        )

    async def open_line(
        self, call_sid: str, business_id: str, name: str, *, hears: bool
    ) -> LocalLine | RemoteLine | None:
        """Return a line to a running call of this business; None if there is none.

        The call may be another worker's than its id says: it may have been resumed.
        """
        own = self._lines.open(call_sid, business_id, name, hears=hears)
        if own is not None or self._workers is None:
            return own
        first = self._workers.owner_of(call_sid)
        for index in sorted(self._others(), key=lambda one: one != first):
            line = await self._dial(index, call_sid, business_id, name, hears)
            if line is not None:
                return line
        return None

    async def close(self, _: web.Application) -> None:
        """Close the connections to other workers."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()
        if self._elsewhere is not None:
            await self._elsewhere.close()

    def add_routes(self, app: web.Application) -> None:
        """Answer the other workers."""
        app.router.add_get(LIVE_PATH, self._answer_snapshot)
        app.router.add_get(LINE_PATH, self._answer_line)

    # --- towards other workers ---

    def _others(self) -> list[int]:
        workers = self._workers
        if workers is None:
            return []
        return [index for index in range(workers.count) if index != workers.index]

    def _session(self, index: int) -> ClientSession:
        assert self._workers is not None, "there are no others"
        connector = UnixConnector(self._workers.http_socket(index))
        return ClientSession(connector=connector)

    async def _look(self, index: int) -> Snapshot | None:
        session = self._sessions.get(index)
        if session is None:
            session = self._sessions[index] = self._session(index)
        limit = ClientTimeout(total=SNAPSHOT_WAIT_S)
        try:
            async with session.get(f"http://worker{LIVE_PATH}", timeout=limit) as got:
                return msgspec.msgpack.decode(await got.read(), type=Snapshot)
        except (ClientError, TimeoutError, OSError, msgspec.DecodeError):
            return None

    async def _dial(
        self, index: int, call_sid: str, business_id: str, name: str, hears: bool
    ) -> RemoteLine | None:
        session = self._session(index)
        asked = urlencode({"business": business_id, "name": name, "hears": int(hears)})
        path = LINE_PATH.format(call_sid=call_sid)
        try:
            async with asyncio.timeout(LINE_WAIT_S):
                socket = await session.ws_connect(
                    f"http://worker{path}?{asked}", max_msg_size=MESSAGE_BYTES_MAX
                )
            return RemoteLine(session, socket)
        except (ClientError, TimeoutError, OSError):
            await session.close()
            return None

    # --- from other workers ---

    async def _answer_snapshot(self, request: web.Request) -> web.Response:
        body = msgspec.msgpack.encode(self._lines.snapshot())
        return web.Response(body=body, content_type="application/octet-stream")

    async def _answer_line(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        line = self._lines.open(
            request.match_info["call_sid"],
            query.get("business", ""),
            query.get("name", ""),
            hears=query.get("hears") == "1",
        )
        if line is None:
            raise web.HTTPNotFound
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, compress=False)
        await socket.prepare(request)
        hearing = asyncio.ensure_future(_send_all(line, socket))
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await line.speak(message.data)
                elif message.type is aiohttp.WSMsgType.TEXT:
                    await line.obey(_orders.decode(message.data))
        finally:
            hearing.cancel()
            await line.close()
        return socket


async def _send_all(line: LocalLine, socket: web.WebSocketResponse) -> None:
    """Send what a line hears until the call is over."""
    while pairs := await line.take():
        await socket.send_bytes(pairs)
    if line.hears:
        await socket.close()
