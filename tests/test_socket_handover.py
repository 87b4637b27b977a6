"""One service after another on one port: no call notices."""

import asyncio
import socket
from urllib.parse import urlsplit

import pytest

from bridge.ports.acceptor import listen
from bridge.ports.workers import Workers
from bridge.sandbox.caller import Caller
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.timeline import StayOnLine, WaitForAi
from bridge.service import socket_handover
from bridge.service.socket_handover import HandoverSocket
from crm import calls
from crm.database import Database
from tests.test_workers import SCRIPT, STEPS, begin, business, servers_of, workers

WAIT_S = 90.0
EVERY_S = 0.1


@pytest.mark.parametrize(("before", "after"), [("1", "1"), ("2", "1")])
def test_a_new_process_takes_the_port_and_no_call_is_lost(
    embedded_url, tmp_path, before, after
):
    async def told():
        db, model = await Database.open(embedded_url), RealtimeServer(SCRIPT)
        await model.start()
        placed = []

        async def ring(caller):
            while True:
                placed.append(asyncio.ensure_future(caller.call(STEPS, max_s=30)))
                await asyncio.sleep(EVERY_S)

        try:
            business_id, number = await business(db)
            async with workers(embedded_url, tmp_path, model, WORKERS=before) as old:
                where = old.said("listening")[0]["message"].split()[2]
                port = where.rpartition(":")[2]
                # It is accepted, and says what it wants when the port is another's.
                late = socket.create_connection(("127.0.0.1", int(port)))
                ringing = asyncio.ensure_future(
                    ring(Caller(f"http://{where}", to_number=number))
                )
                await old.until_said("[REALTIME] Connected", 5)
                options = ("--take-over",)
                env = {"PORT": port, "WORKERS": after}
                async with workers(
                    embedded_url, tmp_path, model, *options, **env
                ) as new:
                    await old.until_said("another service has the port", int(before))
                    answer = await asyncio.to_thread(ask_health, late)
                    await new.until_said("[REALTIME] Connected", 5)
                    ringing.cancel()
                    results = await asyncio.gather(*placed)
                    code = await asyncio.wait_for(old.process.wait(), WAIT_S)
                    new.process.terminate()
                    # Twilio's "stream-stopped" is said before a record is written.
                    await asyncio.wait_for(new.process.wait(), WAIT_S)
            rows = await calls.recent(db, business_id, limit=1_000)
            return results, answer, code, rows, old, new
        finally:
            await model.close()
            await db.close()

    results, answer, code, rows, old, new = asyncio.run(
        asyncio.wait_for(told(), 2 * WAIT_S)
    )

    assert code == 0
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [one.warnings + one.problems + one.spoken for one in results] == [
        [] for _ in results
    ]
    assert {one.ended_by for one in results} == {"bridge"}
    assert {row["call_sid"] for row in rows} == {one.call_sid for one in results}
    taken = [len(one.said("[REALTIME] Connected")) for one in (old, new)]
    assert sum(taken) == len(results)
    assert min(taken) >= 5


@pytest.mark.parametrize("crashes", [True, False])
def test_who_crashes_while_it_drains_does_not_take_the_port_back(
    embedded_url, tmp_path, crashes
):
    """A unit of systemd starts it again; `systemctl start` begins with a new folder."""

    async def told():
        db, model = await Database.open(embedded_url), RealtimeServer(SCRIPT)
        await model.start()
        folder = tmp_path / "run"
        folder.mkdir()
        env = {"WORKERS": "1", "RUNTIME_DIRECTORY": str(folder)}
        try:
            _, number = await business(db)
            async with workers(embedded_url, tmp_path, model, **env) as old:
                where = old.said("listening")[0]["message"].split()[2]
                env |= {"PORT": where.rpartition(":")[2]}
                caller = Caller(f"http://{where}", to_number=number)
                steps = (WaitForAi("ends"), StayOnLine())
                call = asyncio.ensure_future(caller.call(steps, max_s=WAIT_S))
                await old.until_said("Greeting begins", 1)
                # The other version is another unit, with a folder of its own.
                other = env | {"RUNTIME_DIRECTORY": str(tmp_path)}
                async with workers(
                    embedded_url, tmp_path, model, "--take-over", **other
                ) as new:
                    await old.until_said("draining", 1)
                    if crashes:
                        old.process.kill()
                    else:
                        await end_now(old)
                    await old.process.wait()
                    call.cancel()
                    again = await begin(
                        embedded_url, tmp_path, model, "--take-over", **env
                    )
                    try:
                        if not crashes:
                            await again.until_said("listening", 1)
                            again.process.terminate()
                        code = await asyncio.wait_for(again.process.wait(), WAIT_S)
                    finally:
                        if again.process.returncode is None:
                            again.process.kill()
                    await again.until_silent()
                    left = new.said("another service has the port")
            return code, again, left
        finally:
            await model.close()
            await db.close()

    code, again, left = asyncio.run(asyncio.wait_for(told(), 2 * WAIT_S))

    assert code == 0
    assert len(again.said("not started again")) == crashes
    assert len(left) == (not crashes)


async def end_now(draining):
    """Stop a process that drains; a second signal ends its calls."""
    draining.process.terminate()
    await draining.until_said("draining", 2)
    draining.process.terminate()


def ask_health(connection):
    with connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(1_024)


def two_services(url, tmp_path):
    """Two services of one worker each, with a port each."""
    folders = tmp_path / "old", tmp_path / "new"
    for folder in folders:
        folder.mkdir()
    return servers_of(url, tmp_path, [Workers(folder, 0, 1) for folder in folders])


class Astray(Caller):
    """A caller whose streams reach another service than their webhooks."""

    stream_port = 0

    def local(self, url):
        parts = urlsplit(super().local(url))
        if parts.scheme == "ws":
            parts = parts._replace(netloc=f"127.0.0.1:{self.stream_port}")
        return parts.geturl()


def test_a_stream_finds_the_service_that_has_its_call(embedded_url, tmp_path):
    async def told():
        async with two_services(embedded_url, tmp_path) as (db, servers):
            _, number = await business(db)
            caller = Astray(
                f"http://127.0.0.1:{servers[0].port}",
                public_url="https://voice.example",
                to_number=number,
            )
            Astray.stream_port = servers[1].port
            result = await caller.call(STEPS, max_s=30)
            return result, servers[1].metrics.value("streams_handed_over")

    result, handed = asyncio.run(asyncio.wait_for(told(), WAIT_S))

    assert result.warnings + result.problems == []
    assert (result.ended_by, handed) == ("bridge", 1)


def test_who_asks_and_does_not_come_up_changes_nothing(tmp_path):
    async def told():
        taken = asyncio.Event()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            admin = listen("127.0.0.1", 0)
            handover = HandoverSocket(tmp_path, port, listening, admin, taken.set)
            handover.open()
            first = await asyncio.to_thread(socket_handover.ask, tmp_path, port)
            with first.listening, first.way:
                same = first.listening.getsockname() == listening.getsockname()
                same &= first.admin.getsockname() == admin.getsockname()
                first.admin.close()
            await asyncio.sleep(0.05)
            was_taken = taken.is_set()
            second = await asyncio.to_thread(socket_handover.ask, tmp_path, port)
            second.take()
            second.listening.close()
            second.admin.close()
            admin.close()
            await asyncio.wait_for(taken.wait(), WAIT_S)
            handover.close()
            third = await asyncio.to_thread(socket_handover.ask, tmp_path, port)
            return same, was_taken, third

    assert asyncio.run(told()) == (True, False, None)


def test_a_folder_with_too_long_a_name_costs_only_the_taking_over(tmp_path):
    async def told():
        home = tmp_path / ("x" * 120)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            handover = HandoverSocket(home, 1, listening, None, lambda: None)
            handover.open()
            handover.close()
            return socket_handover.ask(home, 1)

    assert asyncio.run(told()) is None


def test_a_socket_goes_with_its_service_and_leaves_the_next_ones_alone(tmp_path):
    async def told():
        path = tmp_path / "doors" / "1.sock"
        with socket.create_server(("127.0.0.1", 0)) as listening:
            first = HandoverSocket(tmp_path, 1, listening, None, lambda: None)
            second = HandoverSocket(tmp_path, 1, listening, None, lambda: None)
            first.open()
            second.open()
            first.close()
            is_seconds = path.exists()
            second.close()
            return is_seconds, path.exists()

    assert asyncio.run(told()) == (True, False)
