"""A bare relay on aiohttp and uvloop, with the standard json.

PORT=8080 OPENAI_REALTIME_URL=ws://... python aiohttp_relay.py
"""

import asyncio
import json
import os

import uvloop
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from common import UPDATE, twiml

PORT, MODEL_URL = int(os.environ["PORT"]), os.environ["OPENAI_REALTIME_URL"]


async def voice(request: web.Request) -> web.Response:
    """Answer a call."""
    await request.read()
    return web.Response(text=twiml(PORT), content_type="text/xml")


async def stream(request: web.Request) -> web.WebSocketResponse:
    """Relay one call until a side hangs up."""
    twilio = web.WebSocketResponse()
    await twilio.prepare(request)
    async with (
        ClientSession() as http,
        http.ws_connect(MODEL_URL) as model,
        asyncio.TaskGroup() as both,
    ):
        await model.send_str(UPDATE)
        down: asyncio.Task[None] | None = None
        async for message in twilio:
            if message.type is not WSMsgType.TEXT:
                break
            data = json.loads(message.data)
            if data["event"] == "media":
                audio = data["media"]["payload"]
                append = {"type": "input_audio_buffer.append", "audio": audio}
                await model.send_str(json.dumps(append))
            elif data["event"] == "start":
                down = both.create_task(downlink(model, twilio, data["streamSid"]))
        if down is not None:
            down.cancel()
    return twilio


async def downlink(
    model: ClientWebSocketResponse, twilio: web.WebSocketResponse, stream_sid: str
) -> None:
    """Give the model's audio to the caller."""
    async for message in model:
        event = json.loads(message.data)
        if event["type"] == "response.output_audio.delta":
            media = {"payload": event["delta"]}
            out = {"event": "media", "streamSid": stream_sid, "media": media}
            await twilio.send_str(json.dumps(out))


async def healthz(request: web.Request) -> web.Response:
    """Say that the relay is up."""
    return web.Response()


async def serve() -> None:
    """Serve until killed."""
    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_post("/twilio/voice", voice)
    app.router.add_get("/stream", stream)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
