"""A small chaos run: one of two nodes is killed, the other goes on with its calls."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import ClientSession, web

from bench.chaos.calls import SPEECH
from bench.chaos.faults import FAULTS
from bench.chaos.nodes import Forwarder, Node
from bench.chaos.run import drive, judge
from bench.chaos.scene import Chaos
from bridge.sandbox.timeline import HangUp, WaitForAi

WAIT_S = 90.0
# The caller hears the greeting and an offer.
STEPS = (WaitForAi(), SPEECH, WaitForAi(), HangUp())
# Nobody of these callers books.
SHORT = FAULTS["sentence"]._replace(steps=STEPS, books=False)
NONE = {
    "calls_lost": 0,
    "records_lost": 0,
    "records_twice": 0,
    "bookings_lost": 0,
    "bookings_twice": 0,
    "sessions_open": 0,
    "owners_left": 0,
}


def test_calls_of_a_node_that_is_killed_go_on_at_another(embedded_url, tmp_path):
    run = Chaos(embedded_url, tmp_path, seed=1, nodes=2)
    found = asyncio.run(
        asyncio.wait_for(drive(run, 6, {"sentence": SHORT}, quiet_s=1.0), WAIT_S)
    )

    assert judge(found) == []
    assert found["calls_hit"] > 0
    assert found["heard_again"] == found["calls_hit"]
    assert found["violations"] == 0


def test_whatever_is_lost_or_there_twice_is_over_budget():
    assert judge(NONE) == []
    for name in NONE:
        assert judge({**NONE, name: 2}) == [f"{name}: 2"]


@asynccontextmanager
async def answering(node):
    """Answer on a node's port with its name; yield what its `/readyz` says."""
    status = {"ready": 200}

    async def ready(request):
        return web.Response(status=status["ready"])

    async def name(request):
        return web.Response(text=node.name)

    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_post("/name", name)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", node.port).start()
    try:
        yield status
    finally:
        await runner.cleanup()


async def until_answered(url, name):
    """Wait until a node of this name answers."""
    async with asyncio.timeout(10):
        while True:
            async with ClientSession() as http:
                try:
                    async with http.post(f"{url}/name") as answer:
                        if await answer.text() == name:
                            return
                except OSError:
                    pass
            await asyncio.sleep(0.05)


def test_forwarder_prefers_a_node_and_takes_another_that_is_ready(tmp_path):
    async def story():
        nodes = [Node("a", tmp_path), Node("b", tmp_path)]
        forwarder = Forwarder(nodes)
        async with AsyncExitStack() as stack:
            status = [await stack.enter_async_context(answering(one)) for one in nodes]
            await forwarder.start()
            stack.push_async_callback(forwarder.close)
            await until_answered(forwarder.first["b"], "b")
            status[1]["ready"] = 503
            await until_answered(forwarder.first["b"], "a")
            assert forwarder.url_of(nodes[1]) == f"http://127.0.0.1:{nodes[1].port}"

    asyncio.run(asyncio.wait_for(story(), WAIT_S))
