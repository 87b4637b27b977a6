"""A bare relay on websockets and uvloop, with the standard json.

The library serves GET alone: the webhook, a POST, has a port of its own.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python websockets_relay.py
"""

import asyncio
import json
import os
from functools import partial

import uvloop
from common import UPDATE, twiml
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

PORT, MODEL_URL = int(os.environ["PORT"]), os.environ["OPENAI_REALTIME_URL"]


async def stream(twilio: ServerConnection) -> None:
    """Relay one call until the caller hangs up."""
    async with connect(MODEL_URL) as model:
        await model.send(UPDATE)
        down: asyncio.Task[None] | None = None
        async for message in twilio:
            data = json.loads(message)
            if data["event"] == "media":
                audio = data["media"]["payload"]
                append = {"type": "input_audio_buffer.append", "audio": audio}
                await model.send(json.dumps(append))
            elif data["event"] == "start":
                relaying = downlink(model, twilio, data["streamSid"])
                down = asyncio.create_task(relaying)
        if down is not None:
            down.cancel()


async def downlink(
    model: ClientConnection, twilio: ServerConnection, stream_sid: str
) -> None:
    """Give the model's audio to the caller."""
    async for message in model:
        event = json.loads(message)
        if event["type"] == "response.output_audio.delta":
            media = {"payload": event["delta"]}
            out = {"event": "media", "streamSid": stream_sid, "media": media}
            await twilio.send(json.dumps(out))


async def answer(
    port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one HTTP request, whatever it asks, with where streams go."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = head.partition(b"content-length:")
    if found:
        await reader.readexactly(int(rest.split(b"\r\n", 1)[0]))
    body = twiml(port).encode()
    form = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n"
    writer.write(form.format(len(body)).encode() + b"Connection: close\r\n\r\n" + body)
    await writer.drain()
    writer.close()


async def main() -> None:
    """Serve until killed."""
    async with serve(stream, "127.0.0.1", 0, compression=None) as streams:
        port = next(iter(streams.sockets)).getsockname()[1]
        door = partial(answer, port)
        async with await asyncio.start_server(door, "127.0.0.1", PORT) as webhooks:
            await webhooks.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
