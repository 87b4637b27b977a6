"""A bare relay on picows, uvloop and msgspec: no gate, no limits and no state.

It forwards Twilio's media to the model, and the model's audio to Twilio, in messages of
the sender's size. It has no clock, gate, ledger or record. Kolbridge's cost is reported
as a ratio to this relay's, in the same run.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python -m bench.relays.picows_relay
"""

import asyncio
import os

import msgspec
import picows
import uvloop
from aiohttp import web
from picows import WSFrame, WSListener, WSMsgType, WSTransport

_UPDATE = (
    b'{"type":"session.update","session":{"type":"realtime","audio":{"input":{"format":'
    b'{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}'
)


class _Body(msgspec.Struct, gc=False):
    payload: str


class _Started(msgspec.Struct, tag_field="event", tag="start"):
    stream_sid: str = msgspec.field(name="streamSid")


class _Media(msgspec.Struct, tag_field="event", tag="media", gc=False):
    media: _Body


class _Connected(msgspec.Struct, tag_field="event", tag="connected", gc=False):
    pass


class _Mark(msgspec.Struct, tag_field="event", tag="mark", gc=False):
    pass


class _Stop(msgspec.Struct, tag_field="event", tag="stop", gc=False):
    pass


class _MediaOut(msgspec.Struct, tag_field="event", tag="media", gc=False):
    stream_sid: str = msgspec.field(name="streamSid")
    media: _Body


class _Append(
    msgspec.Struct, tag_field="type", tag="input_audio_buffer.append", gc=False
):
    audio: str


class _Event(msgspec.Struct, gc=False):
    type: str
    delta: str = ""


_from_twilio = msgspec.json.Decoder(_Connected | _Started | _Media | _Mark | _Stop)
_from_model = msgspec.json.Decoder(_Event)
_encoder = msgspec.json.Encoder()


class _Twilio(WSListener):  # type: ignore[misc]
    def __init__(self, model_url: str) -> None:
        self._model_url = model_url
        self._model: _Model | None = None
        self._buffer = bytearray()
        self._opening: asyncio.Task[None] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            transport.disconnect()
            return
        message = _from_twilio.decode(frame.get_payload_as_memoryview())
        if type(message) is _Media:
            model = self._model
            if model is not None and model.transport is not None:
                _encoder.encode_into(_Append(message.media.payload), self._buffer)
                model.transport.send(WSMsgType.TEXT, self._buffer)
        elif type(message) is _Started:
            self._model = _Model(transport, message.stream_sid)
            self._opening = asyncio.get_running_loop().create_task(self._open())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._model is not None and self._model.transport is not None:
            self._model.transport.disconnect()

    async def _open(self) -> None:
        await picows.ws_connect(lambda: self._model, self._model_url)


class _Model(WSListener):  # type: ignore[misc]
    def __init__(self, twilio: WSTransport, stream_sid: str) -> None:
        self._twilio = twilio
        self._stream_sid = stream_sid
        self._buffer = bytearray()
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            transport.disconnect()
            return
        event = _from_model.decode(frame.get_payload_as_memoryview())
        if event.type == "response.output_audio.delta":
            media = _MediaOut(self._stream_sid, _Body(event.delta))
            _encoder.encode_into(media, self._buffer)
            self._twilio.send(WSMsgType.TEXT, self._buffer)
        elif event.type == "session.created":
            transport.send(WSMsgType.TEXT, _UPDATE)


async def serve(port: int, model_url: str) -> None:
    """Answer webhooks on `port` and relay streams on a port of their own."""
    streams = await picows.ws_create_server(
        lambda request: _Twilio(model_url), "127.0.0.1", 0
    )
    stream_port = streams.sockets[0].getsockname()[1]
    answer = (
        f'<Response><Connect><Stream url="ws://127.0.0.1:{stream_port}/"/></Connect>'
        "</Response>"
    )

    async def healthz(request: web.Request) -> web.Response:
        return web.Response()

    async def voice(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=answer, content_type="text/xml")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.post("/twilio/voice", voice)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await streams.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(os.environ["PORT"]), os.environ["OPENAI_REALTIME_URL"]))
