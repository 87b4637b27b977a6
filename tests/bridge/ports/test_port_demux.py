"""The one port, over loopback: who gets a connection, and what is refused.

Also the contract with the class of picows that is not public.
"""

import asyncio
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest
from aiohttp import web
from picows import WSListener

from bridge.ports import port_demux
from bridge.ports.connections import CONNECTIONS_MAX, Connections
from bridge.ports.http_protocol import protocol_factory
from bridge.ports.port_demux import PortDemux, parse_head
from bridge.telemetry.metrics import Metrics
from tests.bridge import ws_peer
from tests.bridge.ws_peer import Peer


class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        transport.send(frame.msg_type, frame.get_payload_as_bytes())


class OpenEndpoint:
    """Admits everybody who does not ask for a query."""

    def __init__(self):
        self.heads = []

    def pass_on(self, head, transport, data):
        return False

    def admit_stream(self, head):
        self.heads.append(head)
        return HTTPStatus.FORBIDDEN if "?" in head.target else Echo()


@asynccontextmanager
async def listening(endpoint, metrics=None, most=CONNECTIONS_MAX):
    async def answer(request):
        body = b"" if request.path == "/unread" else await request.read()
        return web.Response(text=f"{request.path} {body.decode()}")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    metrics = metrics or Metrics()
    connections = Connections(metrics, most)
    make = protocol_factory(runner.server, metrics)
    server = await asyncio.get_running_loop().create_server(
        lambda: PortDemux(endpoint, make, connections), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await runner.cleanup()
        connections.close()


async def expect_echo(peer, payload=b"hello"):
    peer.send_text(payload)
    assert await peer.recv() == (ws_peer.TEXT, payload)


@pytest.mark.parametrize("loop", ws_peer.LOOPS)
def test_stream_goes_to_picows_and_everything_else_to_aiohttp(loop):
    async def story():
        async with listening(OpenEndpoint()) as port:
            stream, http = await Peer.connect(port), await Peer.connect(port)
            stream.send(ws_peer.upgrade())
            http.send(
                b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\n"
                b"Content-Length: 3\r\n\r\na=1"
            )

            answer = await stream.head()
            assert answer.startswith("HTTP/1.1 101")
            assert f"Sec-WebSocket-Accept: {ws_peer.ACCEPT}" in answer
            await expect_echo(stream)
            assert (await http.head()).startswith("HTTP/1.1 200")
            assert await http.reader.readexactly(17) == b"/twilio/voice a=1"
            await stream.close()
            await http.close()

    ws_peer.run(story, ws_peer.LOOPS[loop])


@pytest.mark.parametrize("loop", ws_peer.LOOPS)
def test_stream_may_be_the_second_request_of_a_connection(loop):
    async def story():
        async with listening(OpenEndpoint()) as port:
            peer = await Peer.connect(port)
            for _ in range(2):
                peer.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                await peer.head()
                await peer.reader.readexactly(len("/healthz "))
            peer.send(ws_peer.upgrade())

            assert (await peer.head()).startswith("HTTP/1.1 101")
            await expect_echo(peer)
            await peer.close()

    ws_peer.run(story, ws_peer.LOOPS[loop])


def test_second_request_is_known_even_when_its_head_comes_in_pieces():
    async def story():
        async with listening(OpenEndpoint()) as port:
            peer = await Peer.connect(port)
            peer.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            await peer.head()
            await peer.reader.readexactly(len("/healthz "))
            for piece in (b"GET /twi", ws_peer.upgrade()[8:30], ws_peer.upgrade()[30:]):
                peer.send(piece)
                await peer.writer.drain()
                await asyncio.sleep(0.01)

            assert (await peer.head()).startswith("HTTP/1.1 101")
            await peer.close()

    ws_peer.run(story)


def test_body_that_looks_like_a_handshake_stays_a_body():
    async def story():
        endpoint = OpenEndpoint()
        async with listening(endpoint) as port:
            peer, body = await Peer.connect(port), ws_peer.upgrade()
            head = f"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            peer.send(head.encode())
            await asyncio.sleep(0.01)
            peer.send(body)

            assert (await peer.head()).startswith("HTTP/1.1 200")
            assert endpoint.heads == []
            await peer.close()

    ws_peer.run(story)


async def answered_early(port, body=b"body"):
    """Return a connection whose request was answered before its body came."""
    peer = await Peer.connect(port)
    length = f"Host: x\r\nContent-Length: {len(body)}\r\n\r\n"
    peer.send(b"GET /unread HTTP/1.1\r\n" + length.encode())
    assert (await peer.head()).startswith("HTTP/1.1 200")
    await peer.reader.readexactly(len("/unread "))
    peer.send(body)
    await peer.writer.drain()
    await asyncio.sleep(0.05)
    return peer


@pytest.mark.parametrize("body", [b"body", ws_peer.upgrade()])
def test_stream_may_follow_a_body_that_came_after_its_answer(body):
    async def story():
        endpoint = OpenEndpoint()
        async with listening(endpoint) as port:
            peer = await answered_early(port, body)
            assert endpoint.heads == []

            peer.send(ws_peer.upgrade())
            assert (await peer.head()).startswith("HTTP/1.1 101")
            await expect_echo(peer)
            await peer.close()

    ws_peer.run(story)


def test_connection_gives_way_whose_body_came_after_its_answer():
    async def story():
        async with listening(OpenEndpoint(), most=1) as port:
            first, second = await answered_early(port), await Peer.connect(port)
            second.send(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await second.head()).startswith("HTTP/1.1 200")
            assert await first.reader.read() == b""
            await second.close()
            await first.close()

    ws_peer.run(story)


@pytest.mark.parametrize("connection", ["keep-alive, Upgrade", "upgrade", "UPGRADE"])
def test_handshake_of_any_browser_is_accepted(connection):
    async def story():
        async with listening(OpenEndpoint()) as port:
            peer = await Peer.connect(port)
            peer.send(ws_peer.upgrade(connection=connection))

            assert (await peer.head()).startswith("HTTP/1.1 101")
            await peer.close()

    ws_peer.run(story)


def test_frames_that_come_with_the_handshake_are_not_lost():
    async def story():
        async with listening(OpenEndpoint()) as port:
            peer = await Peer.connect(port)
            large = b"x" * 9_000
            peer.send(ws_peer.upgrade() + ws_peer.frame(ws_peer.TEXT, large))

            await peer.head()
            assert await peer.recv() == (ws_peer.TEXT, large)
            await peer.close()

    ws_peer.run(story)


def test_a_refused_stream_gets_its_status_and_no_upgrade():
    async def story():
        metrics = Metrics()
        async with listening(OpenEndpoint(), metrics) as port:
            peer = await Peer.connect(port)
            peer.send(ws_peer.upgrade("/twilio/media?token=x"))

            assert (await peer.head()).startswith("HTTP/1.1 403 Forbidden")
            assert await peer.ended() == b""
            refused = metrics.value("connections_refused", reason="stream_refused")
            assert refused == 1
            await peer.close()

    ws_peer.run(story)


def test_the_handler_sees_the_path_and_the_headers():
    async def story():
        endpoint = OpenEndpoint()
        async with listening(endpoint) as port:
            peer = await Peer.connect(port)
            peer.send(ws_peer.upgrade("/twilio/media/", X_TWILIO_SIGNATURE="abc="))
            await peer.head()

            (head,) = endpoint.heads
            assert head.path == "/twilio/media"
            assert head.headers["x-twilio-signature"] == "abc="
            await peer.close()

    ws_peer.run(story)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /twilio/media HTTP/1.1\r\nX: " + b"a" * 20_000,
        b"GET /x HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
def test_head_too_large_is_refused(data):
    async def story():
        metrics = Metrics()
        async with listening(OpenEndpoint(), metrics) as port:
            peer = await Peer.connect(port)
            peer.send(data)

            assert (await peer.head()).startswith("HTTP/1.1 431")
            assert metrics.value("connections_refused", reason="head_too_large") == 1
            await peer.close()

    ws_peer.run(story)


def test_head_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(port_demux, "HEAD_WAIT_S", 0.01)

    async def story():
        metrics = Metrics()
        async with listening(OpenEndpoint(), metrics) as port:
            peer = await Peer.connect(port)
            peer.send(b"GET / HT")

            assert await peer.ended() == b""
            assert metrics.value("connections_refused", reason="head_late") == 1
            await peer.close()

    ws_peer.run(story)


@pytest.mark.parametrize("gone_after", [b"", b"GET /", b"GET / HTTP/1.1\r\n\r\n"])
def test_client_that_leaves_early_leaves_nothing_behind(gone_after):
    async def story():
        async with listening(OpenEndpoint()) as port:
            peer = await Peer.connect(port)
            peer.send(gone_after)
            peer.writer.write_eof()
            await peer.ended()
            await peer.close()

    ws_peer.run(story)


def test_request_that_is_none_is_aiohttps_to_refuse():
    async def story():
        async with listening(OpenEndpoint()) as port:
            peer = await Peer.connect(port)
            peer.send(b"rubbish\r\n\r\n")

            assert (await peer.head()).startswith("HTTP/1.0 400")
            await peer.close()

    ws_peer.run(story)


def test_head_is_read_with_names_in_lower_case():
    head = parse_head(b"GET /a/?q HTTP/1.1\r\nHost: x\r\nX-A:  b \r\nno colon")

    assert head is not None
    assert (head.method, head.target, head.path) == ("GET", "/a/?q", "/a")
    assert head.headers == {"host": "x", "x-a": "b"}
    assert parse_head(b"rubbish") is None


@pytest.mark.parametrize(
    ("method", "target", "upgrade", "is_stream"),
    [
        ("GET", "/twilio/media", "WebSocket", True),
        ("GET", "/twilio/media/3", "websocket", True),
        ("GET", "/twilio/mediation", "websocket", False),
        ("POST", "/twilio/media", "websocket", False),
        ("GET", "/twilio/media", "h2c", False),
    ],
)
def test_stream_is_an_upgrade_of_the_media_path(method, target, upgrade, is_stream):
    data = f"{method} {target} HTTP/1.1\r\nUpgrade: {upgrade}".encode()
    head = parse_head(data)

    assert head is not None
    assert head.is_stream is is_stream
