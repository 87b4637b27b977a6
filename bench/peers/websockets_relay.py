"""A bare relay on websockets or on picows' API of the same shape, with uvloop.

It uses the standard json. The library serves only GET: the webhook, a POST, has a port
of its own.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python websockets_relay.py websockets.asyncio
    PORT=8080 OPENAI_REALTIME_URL=ws://... python websockets_relay.py \\
        picows.websockets.asyncio
"""

import asyncio
import json
import os
import sys
from importlib import import_module
from typing import Any

import uvloop
from common import UPDATE, serve_webhooks

PORT, MODEL_URL = int(os.environ["PORT"]), os.environ["OPENAI_REALTIME_URL"]
connect: Any = import_module(f"{sys.argv[1]}.client").connect
serve: Any = import_module(f"{sys.argv[1]}.server").serve


async def stream(twilio: Any) -> None:
    """Relay one call until the caller hangs up."""
    async with connect(MODEL_URL, compression=None) as model:
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


async def downlink(model: Any, twilio: Any, stream_sid: str) -> None:
    """Give the model's audio to the caller."""
    async for message in model:
        event = json.loads(message)
        if event["type"] == "response.output_audio.delta":
            media = {"payload": event["delta"]}
            out = {"event": "media", "streamSid": stream_sid, "media": media}
            await twilio.send(json.dumps(out))


async def main() -> None:
    """Serve until killed."""
    async with serve(stream, "127.0.0.1", 0, compression=None) as streams:
        await serve_webhooks(PORT, next(iter(streams.sockets)).getsockname()[1])


if __name__ == "__main__":
    uvloop.run(main())
