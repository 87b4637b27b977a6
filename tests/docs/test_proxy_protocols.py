"""deploy/: browsers speak HTTP/2 with each proxy, and WebSocket beside it.

A real browser asks nginx and HAProxy, with TLS and the files as they are shipped, for
more endless streams than it opens connections of HTTP/1.1.
"""

import asyncio
import re
import shutil

import pytest
from aiohttp import WSMsgType, web

from bridge.ports.acceptor import listen

from .pages import ROOT
from .test_balancers import PROGRAMS, certificate, free_port  # noqa: F401 (a fixture)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
STREAMS = 7
# The name, a path that the file lets in, and a stream's.
FOLDERS = {
    "proxy": ("one.example.com", "/twilio", "/twilio/media"),
    "balancer": ("voice.example.com", "/console", "/n/node-1/twilio/media"),
}
SEEN = """async ([count, events, media]) => {
    const first = source => new Promise(done => { source.onmessage = done; });
    const open = () => first(new EventSource(events));
    await Promise.all(Array.from({length: count}, open));
    const socket = new WebSocket(media);
    socket.onopen = () => socket.send("heard");
    const {data} = await first(socket);
    const [page] = performance.getEntriesByType("navigation");
    return [page.nextHopProtocol, data];
}"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_seven_live_pages_and_a_stream_are_open_at_once(
    name,
    folder,
    certificate,  # noqa: F811
    tmp_path,
):
    api = pytest.importorskip("playwright.async_api")
    host, inside, media = FOLDERS[folder]
    port, command = free_port(), PROGRAMS[name]

    async def main():
        async with api.async_playwright() as playwright:
            flags = [f"--host-resolver-rules=MAP {host} 127.0.0.1", "--no-sandbox"]
            browser = await playwright.chromium.launch(
                executable_path=CHROMIUM, args=flags
            )
            page = await browser.new_page(ignore_https_errors=True)
            await page.goto(f"https://{host}:{port}{inside}/page")
            wanted = [STREAMS, f"{inside}/events", f"wss://{host}:{port}{media}"]
            seen = await page.evaluate(SEEN, wanted)
            await browser.close()
        return seen

    async def story():
        (at, behind), (_, second) = await serve(), await serve()
        text = shipped(folder, name, port, [at, second.addresses[0][1]], certificate)
        words = [*command[0](tmp_path, text), *command[2]]
        running = await asyncio.create_subprocess_exec(*words)
        try:
            async with asyncio.timeout(60):
                await until_open(port)
                return await main()
        finally:
            running.terminate()
            await running.wait()
            await behind.cleanup()
            await second.cleanup()

    assert asyncio.run(story()) == ["h2", "heard"]


def shipped(folder, name, port, ports, certificate):  # noqa: F811
    """Return the file for these ports of loopback."""
    text = (ROOT / "deploy" / folder / name).read_text()
    text = text.replace("/etc/haproxy/example.com.pem", f"{certificate}/both.pem")
    text = re.sub(r"/etc/letsencrypt/.*fullchain.pem", f"{certificate}/chain.pem", text)
    text = re.sub(r"/etc/letsencrypt/.*privkey.pem", f"{certificate}/key.pem", text)
    for server, at in zip(("10.0.0.11", "10.0.0.12"), ports, strict=True):
        text = text.replace(f"{server}:8080", f"127.0.0.1:{at}")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{ports[0]}")
    text = text.replace("bind :443", f"bind 127.0.0.1:{port}")
    text = re.sub(r"listen \[::\].*", "", text)
    return text.replace("listen 443", f"listen 127.0.0.1:{port}")


async def serve():
    """Serve a page, endless streams and an echo, over HTTP/1.1 as the service does."""

    async def answer(request):
        kind = request.path.rpartition("/")[2]
        if kind == "media":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str(message.data)
            return socket
        if kind != "events":
            return web.Response(text="<title>a page</title>", content_type="text/html")
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b"data: first\n\n")
        await asyncio.Event().wait()

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listen("127.0.0.1", 0)).start()
    return runner.addresses[0][1], runner


async def until_open(port):
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
