"""openai-agents in the shape of its Twilio example: a realtime session for each call.

The caller's audio is buffered to 50 ms, as in the example. The playback tracker gets
every mark that comes back, so that an interruption would know what was heard.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python agents_bot.py
"""

import asyncio
import base64
import json

import uvicorn
from agents.realtime import (
    RealtimeAgent,
    RealtimePlaybackTracker,
    RealtimeRunner,
    RealtimeSession,
)
from fastapi import WebSocket, WebSocketDisconnect
from fastapi_app import MODEL_URL, PORT, app

GATHERED_BYTES = 400
FLUSH_S = 0.05
SETTINGS = {
    "model_name": "gpt-realtime",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_ulaw",
    "turn_detection": {"type": "semantic_vad", "interrupt_response": True},
}
agent = RealtimeAgent(name="Reception", instructions="Be brief.")


class Call:
    """One call: its sockets, its session, and the state that both directions share."""

    def __init__(self, twilio: WebSocket) -> None:
        self.twilio = twilio
        self.tracker = RealtimePlaybackTracker()
        self.stream_sid = ""
        self._gathered = bytearray()
        self._marks: dict[str, tuple[str, int, bytes]] = {}
        self._marked = 0

    async def run(self) -> None:
        """Talk until the caller hangs up."""
        await self.twilio.accept()
        session = await RealtimeRunner(agent, config={"tracing_disabled": True}).run(
            model_config={
                "url": MODEL_URL,
                "api_key": "none",
                "initial_model_settings": SETTINGS,
                "playback_tracker": self.tracker,
            }
        )
        async with session:
            tasks = [
                asyncio.create_task(self._downlink(session)),
                asyncio.create_task(self._flush(session)),
            ]
            try:
                await self._uplink(session)
            except WebSocketDisconnect:
                return
            finally:
                for task in tasks:
                    task.cancel()

    async def _uplink(self, session: RealtimeSession) -> None:
        while True:
            message = json.loads(await self.twilio.receive_text())
            if message["event"] == "media":
                self._gathered += base64.b64decode(message["media"]["payload"])
                if len(self._gathered) >= GATHERED_BYTES:
                    await self._send(session)
            elif message["event"] == "start":
                self.stream_sid = message["start"]["streamSid"]
            elif message["event"] == "mark":
                played = self._marks.pop(message["mark"]["name"], None)
                if played is not None:
                    self.tracker.on_play_bytes(*played)

    async def _flush(self, session: RealtimeSession) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._send(session)

    async def _send(self, session: RealtimeSession) -> None:
        if self._gathered:
            audio = bytes(self._gathered)
            self._gathered.clear()
            await session.send_audio(audio)

    async def _downlink(self, session: RealtimeSession) -> None:
        async for event in session:
            if event.type == "audio":
                audio = event.audio.data
                media = {"payload": base64.b64encode(audio).decode()}
                await self._tell({"event": "media", "media": media})
                self._marked += 1
                name = str(self._marked)
                self._marks[name] = (event.item_id, event.content_index, audio)
                await self._tell({"event": "mark", "mark": {"name": name}})
            elif event.type == "audio_interrupted":
                await self._tell({"event": "clear"})

    async def _tell(self, message: dict[str, object]) -> None:
        text = json.dumps({**message, "streamSid": self.stream_sid})
        await self.twilio.send_text(text)


@app.websocket("/stream")
async def stream(twilio: WebSocket) -> None:
    """Take one call."""
    await Call(twilio).run()


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="warning")
