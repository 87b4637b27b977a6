"""Connections that rest give way; those with a request, and calls, keep their place."""

import asyncio
import os
import resource
import subprocess
import sys

import pytest
from aiohttp import web

from bridge.cli.doctor.settings_checks import check_settings
from bridge.ports import connections, port_demux
from bridge.ports.connections import (
    CONNECTIONS_MAX,
    Connections,
    connections_allowed,
    descriptors_needed,
    raise_descriptor_limit,
)
from bridge.ports.http_protocol import protocol_factory
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from tests.bridge import running_service, ws_peer
from tests.bridge.ws_peer import Peer

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Resting:
    """A connection that is told to go."""

    def __init__(self, is_served=False):
        self.is_served = is_served
        self.is_cut = False

    def cut(self):
        self.is_cut = True


def refused(metrics, reason):
    return metrics.value("connections_refused", reason=reason)


def test_a_new_one_takes_the_place_of_the_one_that_rested_longest():
    async def told():
        metrics = Metrics()
        kept = Connections(metrics, most=3)
        busy, first, second, third = Resting(True), Resting(), Resting(), Resting()
        for one in (busy, first, second):
            assert kept.admit(one)
        kept.touch(first)

        assert kept.admit(third)
        cut = [one.is_cut for one in (busy, first, second, third)]
        assert cut == [False, False, True, False]
        assert (len(kept), refused(metrics, "made_room")) == (3, 1)
        kept.close()
        assert all(one.is_cut for one in (busy, first, third))

    ws_peer.run(told)


def test_where_all_are_busy_a_new_one_is_refused():
    async def told():
        metrics = Metrics()
        kept = Connections(metrics, most=1)
        assert kept.admit(Resting(is_served=True))

        assert not kept.admit(Resting())
        assert refused(metrics, "too_many") == 1
        kept.close()
        kept.close()

    ws_peer.run(told)


def test_what_rests_too_long_is_cut(monkeypatch):
    monkeypatch.setattr(connections, "IDLE_S", 0.05)
    monkeypatch.setattr(connections, "SWEEP_S", 0.005)

    async def told():
        metrics = Metrics()
        kept = Connections(metrics)
        idle, awake = Resting(), Resting()
        kept.admit(idle)
        kept.admit(awake)
        while not idle.is_cut:
            kept.touch(awake)
            await asyncio.sleep(0.001)

        assert not awake.is_cut
        kept.leave(awake)
        await ws_peer.until(lambda: kept._sweep is None)
        assert refused(metrics, "idle") == 1

    ws_peer.run(told)


def test_one_whose_answer_takes_long_is_not_cut_before_that_is_too_long(monkeypatch):
    monkeypatch.setattr(connections, "IDLE_S", 0.05)
    monkeypatch.setattr(connections, "SWEEP_S", 0.005)

    async def told():
        kept = Connections(Metrics())
        served, idle = Resting(True), Resting()
        kept.admit(served)
        kept.admit(idle)
        await ws_peer.until(lambda: idle.is_cut)
        assert not served.is_cut

        monkeypatch.setattr(connections, "ANSWER_S", 0.1)
        await ws_peer.until(lambda: served.is_cut)

    ws_peer.run(told)


def test_an_answer_that_takes_long_reaches_its_client(monkeypatch):
    monkeypatch.setattr(connections, "IDLE_S", 0.1)
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)

    async def told():
        is_made, kept = asyncio.Event(), Connections(Metrics())

        async def answer(_):
            await is_made.wait()
            return web.Response(text="a recording")

        made = protocol_factory(web.Server(answer), Metrics())
        server = await asyncio.get_running_loop().create_server(
            lambda: port_demux.PortDemux(None, made, kept), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        asking = await Peer.connect(port)
        asking.send(GET)
        await ws_peer.until(lambda: any(one.is_served for one in kept._touched_at))
        idle = await Peer.connect(port)
        assert await idle.ended() == b""

        is_made.set()
        assert (await asking.head()).startswith("HTTP/1.1 200")
        for peer in (asking, idle):
            await peer.close()
        server.close()
        kept.close()

    ws_peer.run(told)


def run(story_of, embedded_url, home, **settings):
    async def told():
        async with running_service.served(embedded_url, home, **settings) as at:
            await story_of(at)

    ws_peer.run(told)


def test_idle_connections_keep_no_caller_out(embedded_url, tmp_path):
    async def told(at):
        at.server._connections._most = 4
        idle = [await Peer.connect(at.server.port) for _ in range(8)]
        for peer in idle:
            peer.send(GET)
        await ws_peer.until(lambda: refused(at.server.metrics, "made_room") >= 4)

        assert (await at.get("/healthz"))[0] == 200
        document = await at.ring(running_service.new_sid())
        assert document.find("Connect") is not None
        for peer in idle:
            await peer.close()

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize("is_answered", [False, True])
@pytest.mark.parametrize(
    "piece",
    [
        b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nX-Twilio-Signature: x\r\n"
        b"Content-Length: 100\r\n\r\nCallSid=",
        b"GET /healthz HTTP/1.1\r\nX: ",
    ],
    ids=["half a body", "half a head"],
)
def test_pieces_of_requests_keep_no_caller_out(
    embedded_url, tmp_path, piece, is_answered
):
    async def told(at):
        at.server._connections._most = 4
        slow = [await Peer.connect(at.server.port) for _ in range(4)]
        for peer in slow:
            if is_answered:
                peer.send(GET)
                await peer.head()
            peer.send(piece)
        await ws_peer.until(lambda: len(at.server._connections) == 4)
        await asyncio.sleep(0.05)

        document = await at.ring(running_service.new_sid())
        assert document.find("Connect") is not None
        assert refused(at.server.metrics, "too_many") == 0
        for peer in slow:
            await peer.close()

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GET,
        GET + b"GET /twilio/media HTTP/1.1\r\nX: ",
        GET + b"GET /healthz HTTP/1.1\r\nX: ",
        # Answers that nobody reads.
        b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 500,
    ],
    ids=["nothing", "answered", "half a stream", "half a request", "unread"],
)
def test_whoever_opens_a_connection_and_rests_is_cut(
    embedded_url, tmp_path, data, monkeypatch
):
    monkeypatch.setattr(connections, "IDLE_S", 0.1)
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)
    monkeypatch.setattr(port_demux, "HEAD_WAIT_S", 0.1)

    async def told(at):
        peer = await Peer.connect(at.server.port)
        peer.send(data)
        await ws_peer.until(lambda: len(at.server._connections) == 1)
        await ws_peer.until(lambda: len(at.server._connections) == 0)
        await peer.close()

    run(told, embedded_url, tmp_path)


def test_a_stream_is_no_longer_one_of_them(embedded_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid))["token"]
        peer = await at.stream(sid, token)
        await ws_peer.until(lambda: at.server.switchboard.find_driver(sid).twilio_leg)

        await ws_peer.until(lambda: len(at.server._connections) == 0)
        await peer.close()

    run(told, embedded_url, tmp_path)


def test_http_leaves_room_for_calls_where_the_limit_is_low(monkeypatch):
    settings = Settings(max_calls_per_worker=100)
    needed = descriptors_needed(settings)

    def allowed(limit):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
        return connections_allowed(settings)

    assert needed == 300 + CONNECTIONS_MAX + 10 + 64
    assert allowed(needed) == CONNECTIONS_MAX
    assert allowed(resource.RLIM_INFINITY) == CONNECTIONS_MAX
    assert allowed(256) == 64
    assert allowed(2) == 1


def test_soft_limit_is_raised_to_the_hard_one(monkeypatch):
    limits, given = [(64, 4_096)], []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: given.append(pair))

    assert raise_descriptor_limit() == 4_096
    assert given == [(4_096, 4_096)]
    limits[0] = (4_096, 4_096)
    assert raise_descriptor_limit() == 4_096
    assert len(given) == 1

    def refuse(_, pair):
        raise ValueError("not so many")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits[0] = (64, 2**40)
    assert raise_descriptor_limit() == 64


@pytest.mark.parametrize(("limit", "is_enough"), [(256, False), (65_536, True)])
def test_doctor_says_if_calls_need_more_files(tmp_path, monkeypatch, limit, is_enough):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    _, checks = check_settings({}, tmp_path / "none")

    found = next(check for check in checks if check.name == "open files")
    assert found.ok is is_enough
    assert ("lower MAX_CALLS_PER_WORKER" in found.text) is not is_enough


SCARCE = """
import asyncio, resource, socket, sys
from time import process_time

from bridge.ports.acceptor import Acceptor
from bridge.ports.connections import Connections
from bridge.telemetry.metrics import Metrics

class Silent(asyncio.Protocol):
    is_served = False

    def connection_made(self, transport):
        self.transport = transport
        kept.admit(self)

    def connection_lost(self, error):
        kept.leave(self)

    def data_received(self, data):
        self.transport.write(data)

    def cut(self):
        self.transport.abort()

async def main():
    global kept
    metrics = Metrics()
    kept = Connections(metrics)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    listening = socket.create_server(("127.0.0.1", 0), backlog=128)
    listening.setblocking(False)
    print(listening.getsockname()[1], flush=True)
    acceptor = Acceptor(listening, Silent, kept)
    acceptor.start()
    began = process_time()
    while not metrics.value("accepts_put_off"):
        await asyncio.sleep(0.01)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(metrics.value("accepts_put_off"), process_time() - began, flush=True)
    acceptor.close()
    acceptor.close()
    kept.close()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors as Linux does")
def test_without_descriptors_accepting_rests_and_goes_on():
    async def told():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SCARCE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        port = int(await process.stdout.readline())
        idle = [await Peer.connect(port) for _ in range(60)]
        # The last of them are answered: the first had to go.
        last = idle[-1]
        last.send(b"hello")
        assert await asyncio.wait_for(last.reader.readexactly(5), 8) == b"hello"
        process.stdin.write(b"\n")
        put_off, cpu_s = (await process.stdout.readline()).split()

        assert 1 <= int(put_off) < 60
        assert float(cpu_s) < 2.0
        for peer in idle:
            peer.writer.close()
        _, errors = await process.communicate()
        assert process.returncode == 0
        assert b"Traceback" not in errors

    ws_peer.run(told)
