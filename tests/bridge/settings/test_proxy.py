"""The ways out through a proxy that knows CONNECT, and what goes past it."""

import asyncio
import logging
import ssl
from contextlib import asynccontextmanager

import msgspec
import pytest
import trustme

from bridge.call import sessions
from bridge.nodes.carrier import Carrier, CarrierError
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.telemetry.log import LOGGER
from tests.bridge import loopback, ws_peer

MODEL = "wss://api.openai.com/v1/realtime"
PROXY = "http://user:pass@proxy.example:3128"


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "proxy", "no_proxy", "found"),
    [
        (MODEL, None, None, None),
        (MODEL, PROXY, None, PROXY),
        (MODEL, "proxy.example:3128", None, "http://proxy.example:3128"),
        (MODEL, PROXY, "localhost, .internal", PROXY),
        (MODEL, PROXY, "*", None),
        (MODEL, PROXY, "openai.com", None),
        (MODEL, PROXY, ".openai.com", None),
        (MODEL, PROXY, "*.openai.com", None),
        (MODEL, PROXY, "API.OpenAI.com:443", None),
        (MODEL, PROXY, "api.openai.com:8443", PROXY),
        (MODEL, PROXY, "notopenai.com,ai.com", PROXY),
        ("wss://10.1.2.3:8443/", PROXY, "10.0.0.0/8", None),
        ("wss://10.1.2.3/", PROXY, "10.1.2.3", None),
        ("wss://10.1.2.3/", PROXY, "192.168.0.0/16", PROXY),
        ("wss://[2001:db8::1]/", PROXY, "[2001:db8::1]", None),
        ("wss://127.0.0.1:1/", PROXY, None, None),
        ("ws://[::1]:1/", PROXY, None, None),
        ("https://api.twilio.com/", PROXY, None, PROXY),
    ],
)
def test_proxy_is_for_what_no_proxy_does_not_name(url, proxy, no_proxy, found):
    assert proxy_of(Settings(https_proxy=proxy, no_proxy=no_proxy), url) == found


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_environment_has_the_proxy_of_settings_that_were_not_read(monkeypatch, name):
    monkeypatch.setenv(name, PROXY)
    monkeypatch.setenv("no_proxy", "past.example")

    assert proxy_of(Settings(), MODEL) == PROXY
    assert proxy_of(Settings(), "wss://past.example/") is None


@asynccontextmanager
async def proxied(place, status=b"200 Connection established"):
    """Put a proxy before a model that speaks TLS; yield what the proxy was asked."""
    authority, served = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("model.example").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    model = await asyncio.start_server(place.model.serve, "127.0.0.1", 0, ssl=served)
    port = model.sockets[0].getsockname()[1]
    asked, piping = [], []

    async def pipe(reader, writer):
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def serve(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 " + status + b"\r\n\r\n")
        if not status.startswith(b"200"):
            writer.close()
            return
        behind, ahead = await asyncio.open_connection("127.0.0.1", port)
        piping.extend(
            asyncio.ensure_future(pipe(*ends))
            for ends in ((reader, ahead), (behind, writer))
        )

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    at = proxy.sockets[0].getsockname()[1]
    place.exchange = msgspec.structs.replace(
        place.exchange,
        tls=trusting,
        settings=msgspec.structs.replace(
            place.settings,
            openai_realtime_url="wss://model.example/v1/realtime",
            https_proxy=f"user:p%40ss@127.0.0.1:{at}",
        ),
    )
    try:
        yield asked
    finally:
        await place.model.close()
        if place.line is not None:
            await ws_peer.until(lambda: not place.line.is_connected)
        await asyncio.gather(*piping, return_exceptions=True)
        proxy.close()
        model.close()


@loopback.told
async def test_model_is_reached_through_a_proxy_by_connect(place):
    async with proxied(place) as asked:
        place.new_driver()
        model = await place.open_model()
        model.send_text(loopback.CREATED)

        assert (await model.event())["type"] == "session.update"
        (request,) = asked
        assert request.startswith("CONNECT model.example:443 HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in request
        assert "sk-test" not in request
        place.line.receive(place.line.call.receive_hangup, "test over")


@loopback.told
async def test_proxy_that_refuses_is_a_model_that_cannot_be_had(
    place, caplog, monkeypatch
):
    caplog.set_level(logging.ERROR, LOGGER)
    monkeypatch.setattr(sessions, "OPEN_S", 0.4)
    async with proxied(place, status=b"407 Who are you") as asked:
        place.new_driver().open_model()
        await ws_peer.until(lambda: asked and "407" in caplog.text)

        assert "ProxyError: HTTP proxy rejected connection with status 407" in (
            caplog.text
        )
        assert "p@ss" not in caplog.text and "p%40ss" not in caplog.text


@asynccontextmanager
async def refusing():
    """Run a proxy that refuses; yield its address and the first lines it was sent."""
    asked = []

    async def serve(reader, writer):
        asked.append((await reader.readline()).decode())
        writer.write(b"HTTP/1.1 403 No\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as proxy:
        at = proxy.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{at}", asked


def test_carrier_is_asked_of_a_call_through_the_proxy_of_the_settings():
    async def story():
        async with refusing() as (proxy, asked):
            carrier = Carrier(Settings(https_proxy=proxy))
            with pytest.raises(CarrierError, match="ClientHttpProxyError"):
                await carrier.is_over("AC" + 32 * "0", "CA" + 32 * "0")
            await carrier.close()
        assert asked == ["CONNECT api.twilio.com:443 HTTP/1.1\r\n"]

    ws_peer.run(story)
