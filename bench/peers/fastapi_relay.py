"""A relay in the shape of Twilio's Python sample: FastAPI under uvicorn, websockets.

It has two coroutines a call, and uvicorn's defaults. It sends a mark after every piece
of audio, as the sample does for its interruptions.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python fastapi_relay.py
"""

import asyncio
import json

import uvicorn
from common import UPDATE
from fastapi import WebSocket, WebSocketDisconnect
from fastapi_app import MODEL_URL, PORT, app
from websockets.asyncio.client import ClientConnection, connect


class Call:
    """The state that both directions of a call share."""

    def __init__(self) -> None:
        self.stream_sid = ""
        self.marks: list[str] = []
        self.latest_ms = 0


@app.websocket("/stream")
async def stream(twilio: WebSocket) -> None:
    """Relay one call until the caller hangs up."""
    await twilio.accept()
    call = Call()
    async with connect(MODEL_URL) as model:
        await model.send(UPDATE)
        await asyncio.gather(uplink(call, twilio, model), downlink(call, model, twilio))


async def uplink(call: Call, twilio: WebSocket, model: ClientConnection) -> None:
    """Give the caller's audio to the model."""
    try:
        async for message in twilio.iter_text():
            data = json.loads(message)
            if data["event"] == "media":
                call.latest_ms = int(data["media"]["timestamp"])
                audio = data["media"]["payload"]
                append = {"type": "input_audio_buffer.append", "audio": audio}
                await model.send(json.dumps(append))
            elif data["event"] == "start":
                call.stream_sid = data["start"]["streamSid"]
            elif data["event"] == "mark" and call.marks:
                call.marks.pop(0)
    except WebSocketDisconnect:
        await model.close()


async def downlink(call: Call, model: ClientConnection, twilio: WebSocket) -> None:
    """Give the model's audio to the caller, each piece with a mark."""
    async for message in model:
        event = json.loads(message)
        if event["type"] == "response.output_audio.delta":
            media = {"payload": event["delta"]}
            await twilio.send_json(
                {"event": "media", "streamSid": call.stream_sid, "media": media}
            )
            mark = {"name": "responsePart"}
            await twilio.send_json(
                {"event": "mark", "streamSid": call.stream_sid, "mark": mark}
            )
            call.marks.append(mark["name"])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
