"""A whole service over loopback with a hand-made model, for tests of its endpoints."""

import asyncio
import itertools
from contextlib import asynccontextmanager
from urllib.parse import urlencode
from uuid import uuid4
from xml.etree.ElementTree import fromstring

import pytest

from bridge.line import websocket
from bridge.ports.acceptor import listen
from bridge.ports.port_demux import MEDIA_PATH
from bridge.service.server import Server
from bridge.settings.process import Settings
from bridge.telephony import signature
from crm import businesses
from crm.database import Database
from tests.bridge import builders, loopback, ws_peer
from tests.bridge.ws_peer import Peer

AUTH_TOKEN = "12345"
CALLER = "+15550000001"
_sids = itertools.count(1)


def new_sid() -> str:
    return f"CA{next(_sids):032}"


class Service:
    """The service, its model, its database with one business, and a simple Twilio."""

    def __init__(self, settings, server, model, database, business_id, number):
        self.settings = settings
        self.server = server
        self.model = model
        self.database = database
        self.business_id = business_id
        self.number = number

    async def request(self, data: bytes, port: int | None = None) -> tuple[int, bytes]:
        """Send a raw request; return the status and the body."""
        peer = await Peer.connect(port or self.server.port)
        peer.send(data)
        head = await peer.head()
        size = next(
            (
                int(line.partition(":")[2])
                for line in head.split("\r\n")
                if line.lower().startswith("content-length")
            ),
            0,
        )
        body = await peer.reader.readexactly(size)
        await peer.close()
        return int(head.split()[1]), body

    async def get(self, path: str) -> tuple[int, bytes]:
        return await self.request(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    async def watch(self, path: str, *headers: str) -> tuple[int, bytes]:
        """GET a path of the admin port."""
        lines = "".join(f"{line}\r\n" for line in ("Host: x", *headers))
        request = f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()
        return await self.request(request, self.server.admin_port)

    async def post(self, path, **more):
        """POST a form as Twilio does."""
        return await self.request(self.form(path, **more))

    def form(self, path, signed=True, token=AUTH_TOKEN, headers=None, **fields):
        """Return the request that POSTs a form as Twilio does."""
        body = urlencode(fields)
        head = f"POST {path} HTTP/1.1\r\nHost: forged.example\r\n"
        head += "Content-Type: application/x-www-form-urlencoded\r\n"
        head += f"Content-Length: {len(body)}\r\n"
        if signed:
            url = self.server.public_url + path
            made = signature.sign(token, url, fields.items())
            head += f"X-Twilio-Signature: {made}\r\n"
        for name, value in (headers or {}).items():
            head += f"{name}: {value}\r\n"
        return f"{head}\r\n{body}".encode()

    async def ring(self, call_sid, **fields):
        """Let a call ring; return the answer's TwiML."""
        form = {
            "CallSid": call_sid,
            "AccountSid": builders.ACCOUNT_SID,
            "From": CALLER,
            "To": self.number,
            "CallerCity": "",
        }
        status, body = await self.post("/twilio/voice", **{**form, **fields})
        assert status == 200
        return fromstring(body)

    async def stream(self, call_sid, token, sign=True, account=builders.ACCOUNT_SID):
        """Open a media stream; return the caller's end after its start message."""
        peer = await Peer.connect(self.server.port)
        headers = {}
        url = self.server.switchboard.handshakes.media_url
        if sign:
            headers["X_Twilio_Signature"] = signature.sign(AUTH_TOKEN, url)
        peer.send(ws_peer.upgrade(url[url.index(MEDIA_PATH) :], **headers))
        if not (await peer.head()).startswith("HTTP/1.1 101"):
            await peer.close()
            return None
        peer.send_text(loopback.CONNECTED)
        peer.send_text(loopback.start_message(call_sid, token, account))
        return peer

    async def configured_model(self):
        """Return the model's end of the newest session, configured."""
        model = await self.model.peers.get()
        model.send_text(loopback.CREATED)
        update = await model.event()
        model.send_text(loopback.UPDATED)
        return model, update["session"]

    async def database_value(self, query, *values):
        """Return what the business's database says."""
        async with self.database.tenant(self.business_id) as connection:
            return await connection.fetchval(query, *values)

    def fallbacks(self, reason):
        return self.server.metrics.value("fallbacks", reason=reason)


def document_of(body):
    """Return an answer's TwiML, parsed."""
    return fromstring(body)


def parameters_of(document):
    return {one.get("name"): one.get("value") for one in document.iter("Parameter")}


@asynccontextmanager
async def served(url, home, identity=None, workers=None, **settings):
    """Run a service; everything is closed when the test has ended."""
    model = loopback.FakeModel()
    behind = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    port = behind.sockets[0].getsockname()[1]
    database = await Database.open(url)
    number = f"+1555{uuid4().int % 10**9:09}"
    business_id = await businesses.create(
        database, "Salon", custom_prompt="Offer coffee.", required_fields=["name"]
    )
    await businesses.add_number(database, business_id, number)
    known = {
        "port": 0,
        "kolbridge_home": str(home),
        "twilio_auth_token": AUTH_TOKEN,
        "openai_api_key": "sk-test",
        "openai_realtime_url": f"ws://127.0.0.1:{port}/v1/realtime",
        "drain_seconds": 0,
        # The model and the callers work in this loop too.
        "max_busy_percent": 100,
        "lag_budget_ms": 10_000,
    }
    given = Settings(**{**known, **settings})
    server = Server(given, database, workers=workers, identity=identity)
    with pytest.MonkeyPatch.context() as patch:
        # The peers here do not answer CLOSE; nobody waits long for them.
        patch.setattr(websocket, "CLOSE_WAIT_S", 0.02)
        await server.start(admin=listen("127.0.0.1", 0))
        try:
            yield Service(given, server, model, database, business_id, number)
        finally:
            await server.close()
            behind.close()
            await model.close()
            await database.close()
