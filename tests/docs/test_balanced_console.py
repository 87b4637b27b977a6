"""The console of two nodes behind each balancer of deploy/balancer/."""

import asyncio
import re

import msgspec
import pytest
from aiohttp import ClientSession, CookieJar
from yarl import URL

from bridge.console.forms import BYTES_MAX
from bridge.service.between_nodes import LIVE_PATH, BetweenNodes
from tests.bridge import loopback, ws_peer
from tests.bridge.console.conftest import Browser, add_user
from tests.bridge.ws_peer import Peer

from .test_balancers import PROGRAMS, balanced, free_port, told


@pytest.mark.parametrize("name", PROGRAMS)
def test_test_call_of_a_browser_reaches_the_node_that_opened_it_once(
    name, embedded_url, tmp_path, monkeypatch
):
    """Each request of the browser may reach another node, but for the stream."""

    async def asked(public, port, path):
        peer = await Peer.connect(port)
        own = f"http://127.0.0.1:{public.port}"
        peer.send(ws_peer.upgrade(path, Origin=own))
        return peer, int((await peer.head()).split()[1])

    async def place(public, browser):
        status, text = await browser.post(
            f"/console/b/{public.business_id}/try/call",
        )
        assert status == 201
        return msgspec.json.decode(text)

    async def story(public):
        async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
            browser = Browser(http, f"http://127.0.0.1:{public.port}")
            login = await add_user(public.database, "owner", public.business_id)
            assert (await browser.log_in(login))[0] == 303
            found = set()
            while len(found) < 2:
                placed = await place(public, browser)
                path, sid = placed["url"], placed["callSid"]
                node = re.match(r"/n/(node-\d)/twilio/media\?ticket=", path)[1]
                line = public.nodes[node].switchboard.find_driver(sid)
                assert line is not None
                (other,) = public.nodes.keys() - {node}
                elsewhere = path.replace(node, other)
                peer, status = await asked(public, public.port, elsewhere)
                assert status == 403
                await peer.close()

                peer, status = await asked(public, public.port, path)
                assert status == 101
                peer.send_text(loopback.CONNECTED)
                token = placed["parameters"]["token"]
                start = loopback.start_message(sid, token, placed["accountSid"])
                peer.send_text(start)
                await ws_peer.until(lambda: line.twilio_leg is not None)  # noqa: B023
                again, status = await asked(public, public.port, path)
                assert status == 403
                await again.close()
                await peer.close()
                found.add(node)

    told(name, story)(embedded_url, tmp_path, monkeypatch)


@pytest.mark.parametrize("name", PROGRAMS)
def test_console_is_told_its_clients_and_gets_its_longest_form(name, tmp_path):
    asked = []

    async def answer(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        if head.startswith("post"):
            asked.append(re.findall(r"\r\nx-forwarded-for: *(\S*)", head))
            await reader.readexactly(BYTES_MAX)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def story():
        node = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports = [node.sockets[0].getsockname()[1]] * 2
        port = free_port()
        async with node, balanced(name, tmp_path / "b", port, ports, "50ms"):
            peer = await Peer.connect(port)
            peer.send(
                b"POST /console/login HTTP/1.1\r\nHost: voice.example.com\r\n"
                b"X-Forwarded-For: 192.0.2.66\r\n"
                b"Content-Length: %d\r\n\r\n" % BYTES_MAX + bytes(BYTES_MAX)
            )
            assert (await peer.head()).split()[1] == "200"
            await peer.close()

    ws_peer.run(story)
    assert asked == [["127.0.0.1"]]


@pytest.mark.parametrize("name", PROGRAMS)
def test_nodes_ask_each_other_through_the_balancer(
    name, embedded_url, tmp_path, monkeypatch
):
    async def story(public):
        between = BetweenNodes(public.settings, public.server.public_url)
        for node in public.nodes:
            target, headers = between.signed(LIVE_PATH)
            url = f"http://127.0.0.1:{public.port}/n/{node}{target}"
            async with (
                ClientSession() as http,
                http.get(URL(url, encoded=True), headers=headers) as answer,
            ):
                assert answer.status == 200

    told(name, story)(embedded_url, tmp_path, monkeypatch)
