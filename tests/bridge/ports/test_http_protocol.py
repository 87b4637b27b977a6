"""Connections that are closed, and the requests that are on them."""

import asyncio
import socket

import pytest
from aiohttp import web

from bridge.ports.http_protocol import close_connections, protocol_factory
from bridge.telemetry.metrics import Metrics
from tests.bridge import ws_peer

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
WAIT_S = 30.0


async def kept_alive(told):
    """Have one request answered; `told` gets the server and the client's socket."""

    async def answer(request):
        return web.Response(text=f"answer {len(asked.append(1) or asked)}")

    asked, server = [], web.Server(answer)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(
        protocol_factory(server, Metrics()), "127.0.0.1", 0
    )
    client = socket.create_connection(listening.sockets[0].getsockname())
    with client:
        client.settimeout(WAIT_S)
        client.sendall(REQUEST)
        assert b"answer 1" in await asyncio.to_thread(client.recv, 4_096)
        found = await told(server, client)
    listening.close()
    await listening.wait_closed()
    return found


@pytest.mark.parametrize("loop", ws_peer.LOOPS)
def test_a_connection_that_is_kept_alive_is_closed(loop):
    async def told(server, client):
        await close_connections(server, WAIT_S)
        return await asyncio.to_thread(client.recv, 4_096)

    with asyncio.Runner(loop_factory=ws_peer.LOOPS[loop]) as runner:
        assert runner.run(kept_alive(told)) == b""


@pytest.mark.parametrize("loop", ws_peer.LOOPS)
def test_a_request_that_nobody_has_read_is_answered_before_its_connection_closes(loop):
    async def told(server, client):
        client.sendall(REQUEST)
        await close_connections(server, WAIT_S)
        return await asyncio.to_thread(client.recv, 4_096)

    with asyncio.Runner(loop_factory=ws_peer.LOOPS[loop]) as runner:
        assert b"answer 2" in runner.run(kept_alive(told))


def test_a_client_that_never_stops_sending_keeps_no_connection_open():
    async def told(server, client):
        async def flood():
            with client.makefile("wb", buffering=0) as file:
                while True:
                    await asyncio.to_thread(file.write, REQUEST * 100)

        sending = asyncio.ensure_future(flood())
        await asyncio.wait_for(close_connections(server, 0.2), WAIT_S)
        await asyncio.wait((sending,), timeout=WAIT_S)
        return sending.exception()

    assert isinstance(asyncio.run(kept_alive(told)), OSError)
