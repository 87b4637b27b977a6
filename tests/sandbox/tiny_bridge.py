"""The smallest bridge for a caller: an aiohttp server that records all requests."""

import asyncio
import binascii
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from aiohttp import WSMsgType, web

from bridge.sandbox.caller import Caller
from bridge.sandbox.result import CallResult

TWIML = """<?xml version="1.0" encoding="UTF-8"?>
<Response>
  <Connect action="{base}/after">
    <Stream url="{ws}/media" statusCallback="{base}/stream-status">
      <Parameter name="token" value="one-use"/>
    </Stream>
  </Connect>
  <Say>Sorry, nobody is here.</Say>
</Response>"""
VOICE = bytes(range(1, 161)) * 5
TONE = b"\x10" * 800
GOODBYE = "<Response><Say>Goodbye.</Say><Hangup/></Response>"

Talk = Callable[["TinyBridge", web.WebSocketResponse], Coroutine[Any, Any, None]]


class TinyBridge:
    """Answers webhooks with TwiML and passes the stream to `talk`."""

    def __init__(self, talk: Talk | None = None, twiml: str = TWIML) -> None:
        self._talk = talk or listen
        self._twiml = twiml
        self.url = ""
        self.posts: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.messages: list[dict[str, Any]] = []
        self.frames: list[str] = []
        self.stream_sid = ""
        self.handshakes: list[dict[str, str]] = []
        self.refuse_with: int | None = None
        self.webhook_status = 200

    async def __aenter__(self) -> "TinyBridge":
        app = web.Application()
        app.router.add_get("/media", self._media)
        app.router.add_post("/{path:.*}", self._post)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._runner.cleanup()

    def posted(self, path: str) -> list[dict[str, str]]:
        return [fields for where, fields, _ in self.posts if where == path]

    async def _post(self, request: web.Request) -> web.Response:
        fields = {name: str(value) for name, value in (await request.post()).items()}
        self.posts.append((request.path, fields, dict(request.headers)))
        if request.path == "/after":
            return web.Response(text=GOODBYE, content_type="text/xml")
        if request.path != "/twilio/voice":
            return web.Response(status=204)
        text = self._twiml.format(base=self.url, ws=self.url.replace("http", "ws", 1))
        status = self.webhook_status
        return web.Response(text=text, content_type="text/xml", status=status)

    async def _media(self, request: web.Request) -> web.StreamResponse:
        self.handshakes.append(dict(request.headers))
        if self.refuse_with is not None:
            return web.Response(status=self.refuse_with)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self._transport = request.transport
        await self._talk(self, socket)
        await socket.close()
        return socket

    def cut(self) -> None:
        """Cut the stream's connection."""
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.abort()

    async def next(self, socket: web.WebSocketResponse) -> dict[str, Any] | None:
        """Return the next message, None at the end of the stream."""
        frame = await socket.receive()
        if frame.type is not WSMsgType.TEXT:
            return None
        self.frames.append(frame.data)
        message: dict[str, Any] = msgspec.json.decode(frame.data)
        self.messages.append(message)
        self.stream_sid = message.get("streamSid", self.stream_sid)
        return message

    async def say(self, socket: web.WebSocketResponse, audio: bytes) -> None:
        payload = binascii.b2a_base64(audio, newline=False).decode()
        await self.send(socket, "media", media={"payload": payload})

    async def send(
        self, socket: web.WebSocketResponse, event: str, **fields: Any
    ) -> None:
        message = {"event": event, "streamSid": self.stream_sid, **fields}
        await socket.send_str(msgspec.json.encode(message).decode())


async def listen(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
    while await bridge.next(socket) is not None:
        pass


async def until(
    bridge: TinyBridge, socket: web.WebSocketResponse, event: str
) -> dict[str, Any]:
    while (message := await bridge.next(socket)) is not None:
        if message["event"] == event:
            return message
    raise AssertionError(f"the stream ended before {event}")


async def place(
    bridge: TinyBridge, *steps: Any, max_s: float = 5, **options: Any
) -> CallResult:
    """Call the bridge as a caller who follows these steps."""
    return await Caller(bridge.url, **options).call(steps, max_s=max_s)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))
