"""A line between two hand-made peers over loopback: caller and model."""

import asyncio
import base64
import functools
import hashlib
import inspect
from contextlib import asynccontextmanager

import msgspec

from bridge.agent.tools import ToolRunner
from bridge.line.driver import CallDriver, Exchange
from bridge.line.fast_path import CallerListener
from bridge.line.legs import StreamRefused, TwilioLeg
from bridge.line.transcriber import Transcriber
from bridge.ports.connections import Connections
from bridge.ports.port_demux import PortDemux
from bridge.settings.process import Settings
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from bridge.telephony.twiml import Sentence
from tests.bridge import builders, ws_peer
from tests.bridge.ws_peer import Peer

START = (
    b'{"event":"start","sequenceNumber":"1","streamSid":"%(stream)s","start":'
    b'{"streamSid":"%(stream)s","accountSid":"%(account)s","callSid":"%(call)s",'
    b'"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw",'
    b'"sampleRate":8000,"channels":1},"customParameters":{"token":"%(token)s"}}}'
)
CONNECTED = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'
STOP = (
    b'{"event":"stop","sequenceNumber":"9","streamSid":"x",'
    b'"stop":{"accountSid":"AC","callSid":"CA"}}'
)
CREATED = b'{"type":"session.created","event_id":"e","session":{"id":"s"}}'
UPDATED = (
    b'{"type":"session.updated","event_id":"e","session":{"id":"s","audio":{"input":'
    b'{"format":{"type":"audio/pcmu"}},"output":{"format":{"type":"audio/pcmu"}}}}}'
)


def start_message(call_sid=builders.CALL_SID, token="t", account=builders.ACCOUNT_SID):
    return START % {
        b"stream": builders.STREAM_SID.encode(),
        b"account": account.encode(),
        b"call": call_sid.encode(),
        b"token": token.encode(),
    }


def media_message(payload=builders.SILENCE):
    body = base64.b64encode(payload)
    return b'{"event":"media","streamSid":"x","media":{"payload":"%s"}}' % body


class FakeModel:
    """Accepts WebSockets as a server does, and keeps its ends of them."""

    def __init__(self):
        self.heads = []
        self.peers = asyncio.Queue()
        self.status = b"101 Switching Protocols"
        # What answers the next connections instead, one for each.
        self.oddities = []
        self._writers = []

    async def close(self):
        for writer in self._writers:
            writer.close()
            await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def serve(self, reader, writer):
        self._writers.append(writer)
        if self.oddities:
            await self.oddities.pop(0)(reader, writer)
            return
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return
        self.heads.append(head)
        key = next(
            line.partition(": ")[2]
            for line in head.split("\r\n")
            if line.lower().startswith("sec-websocket-key")
        )
        guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode() + guid).digest())
        writer.write(
            b"HTTP/1.1 %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: %s\r\n\r\n" % (self.status, accept)
        )
        self.peers.put_nowait(ModelPeer(reader, writer))


class ModelPeer(Peer):
    """The model's end: frames without a mask."""

    def send_text(self, payload):
        self.send(ws_peer.frame(ws_peer.TEXT, payload, mask=False))

    async def event(self):
        opcode, payload = await self.recv()
        assert opcode == ws_peer.TEXT, (opcode, payload)
        return msgspec.json.decode(payload)


class Loopback:
    """A lobby with one line, with its port and its model."""

    def __init__(self, model, port, **settings):
        self.model = model
        self.metrics = Metrics()
        self.over = []
        self.refusal = None
        self.settings = Settings(
            openai_realtime_url=f"ws://127.0.0.1:{port}/v1/realtime",
            openai_api_key="sk-test",
            **settings,
        )
        self.exchange = Exchange(
            settings=self.settings,
            metrics=self.metrics,
            tls=None,
            on_over=self.over.append,
            transcriber=Transcriber(self.settings),
        )
        self.line = None
        self.port = 0

    def new_driver(self, plan=None, tools=None):
        plan = plan or builders.plan("Hello.")
        runner = ToolRunner(
            tools or {},
            deadline_ms=self.settings.tool_deadline_ms,
            log=CallLogger(plan.call_sid),
            metrics=self.metrics,
        )
        self.line = CallDriver(
            self.exchange,
            plan,
            runner,
            account_sid=builders.ACCOUNT_SID,
            fallback=Sentence("Sorry.", "en"),
        )
        return self.line

    def pass_on(self, head, transport, data):
        return False

    def admit_stream(self, head):
        return CallerListener(TwilioLeg(self))

    def claim_line(self, leg, start):
        if self.refusal is not None:
            raise StreamRefused(self.refusal)
        self.line.attach(leg)
        return self.line

    async def open_model(self):
        """Open the line's session; return the model's end of it."""
        self.line.open_model()
        return await self.model.peers.get()

    async def join(self):
        """Open a call and its stream; return its line and the caller's end."""
        line, peer = self.new_driver(), await self.open_stream()
        await ws_peer.until(lambda: line.twilio_leg is not None)
        return line, peer

    async def open_stream(self, start=True):
        """Open the caller's stream; return the caller's end of it."""
        peer = await Peer.connect(self.port)
        peer.send(ws_peer.upgrade())
        await peer.head()
        if start:
            peer.send_text(CONNECTED)
            peer.send_text(start_message())
        return peer


@asynccontextmanager
async def opened(**settings):
    """Open a loopback call; close whatever a test left open."""
    model = FakeModel()
    behind = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    loopback = Loopback(model, behind.sockets[0].getsockname()[1], **settings)
    loop = asyncio.get_running_loop()
    connections = Connections(loopback.metrics)
    port_demux = await loop.create_server(
        lambda: PortDemux(loopback, asyncio.Protocol, connections), "127.0.0.1", 0
    )
    loopback.port = port_demux.sockets[0].getsockname()[1]
    transcriber = loopback.exchange.transcriber
    try:
        yield loopback
    finally:
        port_demux.close()
        connections.close()
        behind.close()
        if loopback.line is not None and not loopback.line.is_over:
            loopback.line.receive(loopback.line.call.receive_hangup, "test over")
        if loopback.line is not None:
            await ws_peer.until(lambda: not loopback.line.is_connected)
        await transcriber.close()
        await model.close()


def told(story):
    """Make a test of a coroutine whose first argument is an open loopback call."""
    first, *others = inspect.signature(story).parameters.values()
    assert first.name == "place"

    @functools.wraps(story)
    def test(**fixtures):
        async def whole():
            async with opened() as place:
                await story(place, **fixtures)

        ws_peer.run(whole)

    test.__signature__ = inspect.Signature(others)
    return test


async def expect(peer, opcode=ws_peer.TEXT):
    """Return the next message of this opcode; others are skipped."""
    while True:
        got, payload = await peer.recv()
        if got == opcode:
            return payload
