"""Many calls through real sockets: frame latency p50/p99 and CPU per call-second.

The bridge is `kolbridge serve` in a process of its own; callers and model are in this
one. Half of the callers speak without pause (uplink: caller's frame -> model's append);
the model speaks to the other half (downlink: delta -> the first frame of it at the
caller). Each frame carries its call and number in its first bytes. The preroll is
switched off, because its frames are late by design.

    python -m bench.load --calls 100 --seconds 10
"""

import argparse
import asyncio
import os
import sys
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import aiohttp
import orjson
import picows
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from bench.kernels import frames_of
from bench.machine import cpu_seconds, free_port, rss_mb, spread
from bridge.options import FRAME_BYTES
from crm import businesses
from crm.connect import open_url
from crm.database import Database

NUMBER = "+15550100300"
ACCOUNT_SID = "AC" + "0" * 32
FRAME_S = 0.02
SPEAK_EVERY_S = 1.0
_FORMAT = {"format": {"type": "audio/pcmu"}}
_SESSION = {"id": "s", "audio": {"input": _FORMAT, "output": _FORMAT}}
_CREATED = orjson.dumps({"type": "session.created", "session": _SESSION})
_UPDATED = orjson.dumps({"type": "session.updated", "session": _SESSION})


def tag_of(kind: int, call: int, number: int) -> bytes:
    """Return nine mu-law samples that name a frame and are next to silent."""
    return bytes(0xF0 | int(digit, 16) for digit in f"{kind:x}{call:04x}{number:04x}")


class Run:
    """What one run measures: when each frame was sent, and how long it took."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.sent_at: dict[bytes, float] = {}
        self.uplink_ms: list[float] = []
        self.downlink_ms: list[float] = []
        self.sessions: list[Session] = []
        # Tools asked for, by their id, and how long their answers took.
        self.asked_at: dict[str, float] = {}
        self.tool_ms: list[float] = []
        self.tool_errors = 0

    def forget(self) -> None:
        """Begin a new phase: what was measured before counts no more."""
        self.sent_at.clear()
        self.asked_at.clear()
        self.uplink_ms, self.downlink_ms, self.tool_ms = [], [], []
        self.tool_errors = 0

    def answered(self, tool_call_id: str, output: str) -> None:
        """Note that a tool was answered."""
        asked_at = self.asked_at.pop(tool_call_id, None)
        if asked_at is not None:
            self.tool_ms.append((monotonic() - asked_at) * 1e3)
            self.tool_errors += output.startswith('{"error"')

    def arrived(self, tag: bytes, into: list[float]) -> None:
        """Note that a tagged frame has come out."""
        sent_at = self.sent_at.pop(tag, None)
        if sent_at is not None:
            into.append((monotonic() - sent_at) * 1e3)


class Session(WSListener):  # type: ignore[misc]
    """The model's end of one call."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._replies = 0
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._run.sessions.append(self)
        transport.send(WSMsgType.TEXT, _CREATED)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        event = orjson.loads(frame.get_payload_as_bytes())
        if event["type"] == "session.update":
            transport.send(WSMsgType.TEXT, _UPDATED)
        elif event["type"] == "response.create":
            self._replies += 1
            for event in _response(f"asked-{self._replies}"):
                transport.send(WSMsgType.TEXT, orjson.dumps(event))
        elif event["type"] == "conversation.item.create":
            item = event["item"]
            if item["type"] == "function_call_output":
                self._run.answered(item["call_id"], item["output"])
        elif event["type"] == "input_audio_buffer.append":
            self._run.arrived(b64decode(event["audio"][:12]), self._run.uplink_ms)

    def speak(self, number: int) -> None:
        """Say 200 ms, all at once."""
        self._replies += 1
        tag = tag_of(2, number, self._replies)
        audio = tag + b"\x60" * (10 * FRAME_BYTES - len(tag))
        name = f"{number}-{self._replies}"
        part = {"response_id": f"r{name}", "item_id": f"i{name}"}
        delta = {"delta": b64encode(audio).decode(), "content_index": 0, **part}
        audio_events = (
            {"type": "response.output_audio.delta", **delta},
            {"type": "response.output_audio.done", **part},
        )
        self._run.sent_at[tag] = monotonic()
        self._send(_response(name, *audio_events))

    def call_tool(self, tool_call_id: str, name: str, arguments: str) -> None:
        """Ask for a tool."""
        item = {
            "id": f"i{tool_call_id}",
            "type": "function_call",
            "call_id": tool_call_id,
            "name": name,
            "arguments": arguments,
        }
        done = {"type": "response.output_item.done", "item": item}
        self._run.asked_at[tool_call_id] = monotonic()
        named = {"response_id": f"r{tool_call_id}"}
        self._send(_response(tool_call_id, {**done, **named}))

    def _send(self, events: list[dict[str, Any]]) -> None:
        assert self.transport is not None
        for event in events:
            self.transport.send(WSMsgType.TEXT, orjson.dumps(event))


def _response(name: str, *events: dict[str, Any]) -> list[dict[str, Any]]:
    done = {"id": f"r{name}", "status": "completed"}
    return [
        {"type": "response.created", "response": {"id": f"r{name}"}},
        *events,
        {"type": "response.done", "response": done},
    ]


class Stream(WSListener):  # type: ignore[misc]
    """The caller's end of one call."""

    def __init__(self, run: Run, number: int, speech: list[bytes] | None) -> None:
        self._run = run
        self._number = number
        self._speech = speech
        self._frames = 0
        self.sid = f"MZ{number:032}"
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        message = orjson.loads(frame.get_payload_as_bytes())
        if message["event"] == "media":
            tag = b64decode(message["media"]["payload"][:12])
            self._run.arrived(tag, self._run.downlink_ms)
        elif message["event"] == "mark":
            self.send({"event": "mark", "mark": message["mark"]})

    def send(self, message: dict[str, Any]) -> None:
        """Send one message of Twilio's."""
        if self.transport is not None:
            data = orjson.dumps({"streamSid": self.sid, **message})
            self.transport.send(WSMsgType.TEXT, data)

    def send_frame(self) -> None:
        """Send the next 20 ms."""
        self._frames += 1
        audio = b"\xff" * FRAME_BYTES
        if self._speech is not None:
            tag = tag_of(1, self._number, self._frames)
            audio = tag + self._speech[self._frames % len(self._speech)][len(tag) :]
            self._run.sent_at[tag] = monotonic()
        media = {
            "track": "inbound",
            "chunk": str(self._frames),
            "timestamp": str(self._frames * 20),
            "payload": b64encode(audio).decode(),
        }
        self.send(
            {"event": "media", "sequenceNumber": str(self._frames), "media": media}
        )


async def open_stream(
    run: Run, http: aiohttp.ClientSession, url: str, number: int, speech: list[bytes]
) -> Stream:
    """Place one call: webhook, stream, start."""
    call_sid = f"CA{number:032}"
    form = {
        "CallSid": call_sid,
        "AccountSid": ACCOUNT_SID,
        "From": f"+1555{number:07}",
        "To": NUMBER,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    async with http.post(
        f"{url}/twilio/voice", data=urlencode(form), headers=headers
    ) as answer:
        document = fromstring(await answer.text())
    found = document.find(".//Stream")
    assert found is not None, "the bridge refused the call"
    parameters = {one.get("name"): one.get("value") for one in found.iter("Parameter")}
    is_speaker = number % 2 == 0
    stream = Stream(run, number, speech if is_speaker else None)
    await picows.ws_connect(lambda: stream, found.get("url") or "")
    stream.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
    start = {
        "streamSid": stream.sid,
        "accountSid": ACCOUNT_SID,
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    stream.send({"event": "start", "sequenceNumber": "1", "start": start})
    return stream


async def open_calls(run: Run, url: str) -> list[Stream]:
    """Place all calls; return the callers' ends once the model has every session."""
    # With a breath at the end: nobody speaks without a pause.
    speech = frames_of("human-en-reader-1") + [b"\xff" * FRAME_BYTES] * 25
    streams: list[Stream] = []
    async with aiohttp.ClientSession() as http:
        for number in range(run.calls):
            streams += [await open_stream(run, http, url, number, speech)]
    while len(run.sessions) < run.calls:  # noqa: ASYNC110 the sockets are being opened
        await asyncio.sleep(0.01)
    await asyncio.sleep(1.0)
    return streams


async def talk(run: Run, streams: list[Stream], seconds: float) -> None:
    """Keep the calls busy, each frame at its time."""
    began = monotonic()
    frames = round(seconds / FRAME_S)
    slots: list[list[Stream]] = [streams[at::10] for at in range(10)]
    # Sessions come in the order of the calls; odd ones are spoken to.
    listeners = [(n, one) for n, one in enumerate(run.sessions) if n % 2]
    for frame in range(frames):
        for at, slot in enumerate(slots):
            due = began + frame * FRAME_S + at * FRAME_S / 10
            await asyncio.sleep(max(0.0, due - monotonic()))
            for stream in slot:
                stream.send_frame()
        for number, session in listeners[frame % 50 :: 50]:
            session.speak(number)


async def drive(run: Run, url: str, seconds: float, pid: int) -> dict[str, Any]:
    """Open the calls, keep them busy, and return what was measured."""
    streams = await open_calls(run, url)
    began, cpu = monotonic(), cpu_seconds(pid)
    await talk(run, streams, seconds)
    spent, wall = cpu_seconds(pid) - cpu, monotonic() - began
    return {
        "calls": run.calls,
        "seconds": round(wall, 2),
        "uplink_frames": len(run.uplink_ms),
        "uplink_ms": spread(run.uplink_ms),
        "downlink_frames": len(run.downlink_ms),
        "downlink_ms": spread(run.downlink_ms),
        "cpu_us_a_call_second": round(spent / wall / run.calls * 1e6),
        "rss_mb": rss_mb(pid),
    }


Driver = Callable[[Run, str, int], Awaitable[dict[str, Any]]]


async def measure(
    database_url: str, calls: int, driver: Driver, workers: int = 1
) -> dict[str, Any]:
    """Start the model and the bridge, run the load, and stop everything.

    `driver` gets the run, the bridge's URL and its process id.
    """
    db = await Database.open(database_url, pool_max=1)
    business_id = await businesses.create(db, "Load")
    await businesses.add_number(db, business_id, NUMBER)
    await db.close()
    run = Run(calls)
    model = await picows.ws_create_server(lambda _: Session(run), "127.0.0.1", 0)
    port = model.sockets[0].getsockname()[1]
    env = {
        **os.environ,
        "PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_VALIDATE_SIGNATURES": "0",
        "OPENAI_REALTIME_URL": f"ws://127.0.0.1:{port}/v1/realtime",
        "WORKERS": str(workers),
        "MAX_CALLS_PER_WORKER": "10000",
        "AUDIO_PREROLL_MS": "0",
        "LOG_LEVEL": "warning",
        "LOG_TRANSCRIPTS": "0",
        "IDLE_PROMPT_MS": "600000",
    }
    bridge = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge.cli", "serve"),
        env=env,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{env['PORT']}"
        await ready(url)
        return await driver(run, url, bridge.pid)
    finally:
        bridge.terminate()
        bridge.terminate()
        await bridge.wait()
        model.close()


async def ready(url: str) -> None:
    """Wait until the bridge answers."""
    async with aiohttp.ClientSession() as http:
        for _ in range(200):
            try:
                async with http.get(f"{url}/healthz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
    raise RuntimeError("the bridge did not start")


def main() -> int:
    """Print one run as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    found = run_load(args.calls, args.seconds, args.workers)
    print(orjson.dumps(found).decode())
    return 0


def run_load(calls: int, seconds: float, workers: int = 1) -> dict[str, Any]:
    """Run the load on a database of its own."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-load-") as home:
        os.chmod(home, 0o755)
        url, server = open_url(None, Path(home))
        try:

            async def driver(run: Run, base: str, pid: int) -> dict[str, Any]:
                return await drive(run, base, seconds, pid)

            return uvloop.run(measure(url, calls, driver, workers))
        finally:
            if server is not None:
                server.stop()


if __name__ == "__main__":
    sys.exit(main())
