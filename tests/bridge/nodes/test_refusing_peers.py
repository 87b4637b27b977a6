"""A node that is asked about its call and gives no document: dead, or alive?"""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.nodes import peers, resumed_calls
from crm import live_calls
from tests.bridge import ws_peer
from tests.bridge.nodes.test_peers import URL, reached_at
from tests.bridge.nodes.test_resumed_calls import ask, talking, two_nodes

pytestmark = pytest.mark.usefixtures("heartless")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nobody waits long for a heartbeat that comes."""
    monkeypatch.setattr(resumed_calls, "STALE_WAIT_S", 0.3)


@asynccontextmanager
async def answering(handler):
    """What stands at a node's NODE_URL; yields its port."""
    app = web.Application()
    app.router.add_post("/twilio/after-stream", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]
    finally:
        await runner.cleanup()


async def beats_on(at):
    async with at.database.owner() as connection:
        await connection.execute("update nodes set beat_at = now() + '1 hour'")


def asked(database_url, home, handler):
    """Ask node `b` about a call of the living node `a`; return what came of the call:
    whether `b` goes on with it, and its generation."""
    found = []

    async def main():
        both = two_nodes(database_url, home, public_url=URL)
        async with both as (at, there), answering(handler) as port:
            sid, _, _ = await talking(at)
            await reached_at(at, "a", port)
            await beats_on(at)
            document = await ask(there, sid)
            owner = await live_calls.find(at.database, sid)
            found.append((document.find("Connect") is not None, owner.generation))
            await at.server._node.ownership.look()
            is_here = at.server.switchboard.find_driver(sid) is not None
            assert is_here == (owner.generation == 1)

    ws_peer.run(main)
    return found[0]


def status_of(status):
    async def handler(request):
        return web.Response(status=status)

    return handler


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_node_that_refuses_lives_and_keeps_its_call(
    embedded_url, tmp_path, caplog, status
):
    assert asked(embedded_url, tmp_path, status_of(status)) == (False, 1)

    said = f"[NODE] a does not answer a webhook: status {status}"
    assert said in caplog.text
    is_explained = "PUBLIC_URL and the auth tokens must be the same" in caplog.text
    assert is_explained == (status == 403)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_balancer_says_that_nobody_is_there(embedded_url, tmp_path, status):
    assert asked(embedded_url, tmp_path, status_of(status)) == (True, 2)


def test_node_that_is_late_lives_while_it_beats(embedded_url, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "ANSWER_WAIT_S", 0.2)

    async def handler(request):
        await asyncio.sleep(1.0)
        return web.Response()

    assert asked(embedded_url, tmp_path, handler) == (False, 1)


def test_node_that_breaks_off_is_dead(embedded_url, tmp_path):
    async def handler(request):
        request.transport.abort()
        return web.Response()

    assert asked(embedded_url, tmp_path, handler) == (True, 2)
