"""The load's own WebSockets, against those of another library."""

import asyncio
import time

import pytest
import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from bench.dialling import answering, dial
from bench.fast.ticker import Ticker
from bench.fast.wires import BINARY, End, Wires

SIZES = (0, 125, 126, 65_535, 65_536, 200_000)
PATIENCE_S = 60.0


class Kept(End):
    """An end that keeps what comes."""

    def __init__(self):
        self.messages = []
        self.came = asyncio.Event()
        self.over = asyncio.Event()
        self.ready = asyncio.Event()

    def opened(self):
        self.ready.set()

    def receive(self, data, at):
        self.messages.append(data)
        assert 0 <= time.monotonic() - at < PATIENCE_S
        self.came.set()

    def closed(self):
        self.over.set()

    async def after(self, count):
        while len(self.messages) < count:
            self.came.clear()
            await self.came.wait()
        return self.messages


def played(story):
    async def in_time():
        async with asyncio.timeout(PATIENCE_S):
            await story()

    uvloop.run(in_time())


def test_a_caller_and_a_server_understand_each_other():
    async def echo(peer):
        async for message in peer:
            await peer.send(message)
            await (await peer.ping())

    async def story():
        wires, end = Wires(), Kept()
        async with serve(echo, "127.0.0.1", 0, max_size=None) as server:
            port = server.sockets[0].getsockname()[1]
            await dial(wires, end, f"ws://127.0.0.1:{port}/a?b=c")
            for size in SIZES:
                end.wire.send(b"x" * size)
            assert [len(one) for one in await end.after(len(SIZES))] == [*SIZES]
            end.wire.say_goodbye()
            await end.over.wait()
        assert end.wire is None

    played(story)


def test_a_client_and_the_model_understand_each_other():
    async def story():
        wires, ends = Wires(), []

        def make(headers):
            assert headers["x-caller"] == "one"
            ends.append(Kept())
            return ends[-1]

        async with answering(wires, make) as port:
            url = f"ws://127.0.0.1:{port}/v1/realtime"
            async with connect(
                url, additional_headers={"X-Caller": "one"}, max_size=None
            ) as client:
                for size in SIZES:
                    await client.send("x" * size)
                    ends[0].wire.send(b"y" * size)
                    assert len(await client.recv()) == size
                await (await client.ping())
                assert [len(one) for one in ends[0].messages] == [*SIZES]
            await ends[0].over.wait()

    played(story)


def test_who_sends_what_is_not_spoken_here_is_hung_up_on():
    async def refused(speak):
        wires, end = Wires(), Kept()
        async with (
            answering(wires, lambda _: end) as port,
            connect(f"ws://127.0.0.1:{port}/") as client,
        ):
            await speak(client)
            await end.over.wait()
            with pytest.raises(ConnectionClosed):
                await client.recv()
        assert end.messages == []

    async def story():
        async def unmasked(client):
            client.transport.write(b"\x81\x02hi")

        async def fragmented(client):
            await client.send(iter(["a", "b"]))

        async def binary(client):
            await client.send(b"\x00")

        for speak in (unmasked, fragmented, binary):
            await refused(speak)

    played(story)


def test_what_a_socket_does_not_take_waits_and_who_rests_reads_nothing():
    async def story():
        wires, talking = Wires(), Kept()
        resting = Kept()
        async with answering(wires, lambda _: resting) as port:
            await dial(wires, talking, f"ws://127.0.0.1:{port}/")
            await resting.ready.wait()
            resting.wire.rest(True)
            for number in range(200):
                talking.wire.send(b"%d" % number * 30_000)
            await asyncio.sleep(0.05)
            assert resting.messages == []
            resting.wire.rest(False)
            messages = await resting.after(200)
            assert messages == [b"%d" % number * 30_000 for number in range(200)]

    played(story)


def test_an_endpoint_that_is_no_websocket_is_an_error():
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\n\r\n")
        writer.close()

    async def story():
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionError, match="404"):
            await dial(Wires(), Kept(), f"ws://127.0.0.1:{port}/")
        server.close()

    played(story)


def test_binary_goes_out_as_such():
    async def story():
        wires, end, got = Wires(), Kept(), asyncio.Queue()

        async def keep(peer):
            got.put_nowait(await peer.recv())

        async with serve(keep, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await dial(wires, end, f"ws://127.0.0.1:{port}/")
            end.wire.send(b"\x00", BINARY)
            assert await got.get() == b"\x00"
            await end.over.wait()

    played(story)


def test_a_beat_makes_up_for_what_it_missed():
    async def story():
        struck, over = [], asyncio.Event()

        def on_tick(number):
            struck.append(number)
            if number == 0:
                time.sleep(0.03)
            if number == 20:
                ticker.stop()
                over.set()

        began = time.monotonic()
        ticker = Ticker(on_tick, 0.005)
        await over.wait()
        assert struck == [*range(21)]
        assert time.monotonic() - began >= 0.105

    played(story)
