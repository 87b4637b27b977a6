"""A body is read whole, however many pieces it comes in, or not at all."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from bridge.wire.body import read_body

# More than a socket gives at once.
SIZE = 3_000_000


async def _asked(size, bytes_max):
    async def answer(_):
        return web.Response(body=b"x" * size)

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with aiohttp.ClientSession() as session, session.get(url) as found:
            return await read_body(found.content, bytes_max)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("size", [0, 1, SIZE])
def test_body_is_read_to_its_end(size):
    assert asyncio.run(_asked(size, SIZE)) == b"x" * size


def test_body_over_the_limit_is_none():
    assert asyncio.run(_asked(SIZE + 1, SIZE)) is None
