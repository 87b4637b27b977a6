"""Several workers on one port: a call is one worker's, wherever its requests arrive."""

import asyncio
import os
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager
from urllib.request import urlopen
from uuid import uuid4

import orjson
import pytest
from aiohttp import ClientSession

from bridge.ports.acceptor import listen
from bridge.ports.workers import Workers
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import Reply, Script, ToolUse
from bridge.sandbox.timeline import Say, StayOnLine, WaitForAi
from bridge.service.server import Server
from bridge.settings.process import Settings
from crm import businesses, calls
from crm.connect import service_url
from crm.database import Database

WAIT_S = 60.0
SHORT = Reply(clip("ai-en-offer").audio[:9_600], "Nine o'clock?")
SCRIPT = Script(
    greeting=[Reply(clip("ai-en-greeting").audio[:9_600], "Hello.")],
    turns=([SHORT, ToolUse("end_call", {"reason": "goodbye"})],),
)
STEPS = (WaitForAi("ends"), Say(clip("human-en-command-1")), StayOnLine())


async def business(db):
    number = f"+1556{uuid4().int % 10**9:09}"
    business_id = await businesses.create(db, "Salon", greeting="Hello.")
    await businesses.add_number(db, business_id, number)
    return business_id, number


def settings_of(model, home):
    return Settings(
        port=0,
        public_url="https://voice.example",
        kolbridge_home=str(home),
        twilio_account_sid=SANDBOX_ACCOUNT_SID,
        twilio_auth_token=SANDBOX_AUTH_TOKEN,
        openai_api_key=model.api_key,
        openai_realtime_url=model.url,
        # Both workers, the callers and the model share one loop here.
        max_busy_percent=100,
        lag_budget_ms=10_000,
    )


def two_servers(url, tmp_path):
    """Two workers in one process, each on a port of its own, as if they shared one."""
    both = [Workers(tmp_path, index, 2) for index in range(2)]
    return servers_of(url, tmp_path, both, b"k" * 32)


@asynccontextmanager
async def servers_of(url, tmp_path, peers, key=None):
    """A server for each of the peers, in this process; the database, and they."""
    db, model = await Database.open(url), RealtimeServer(SCRIPT)
    await model.start()
    servers = []
    settings = settings_of(model, tmp_path)
    try:
        for one in peers:
            servers.append(Server(settings, db, key, workers=one))
            await servers[-1].start(admin=listen("127.0.0.1", 0))
        yield db, servers
    finally:
        for server in servers:
            await server.close()
        await model.close()
        await db.close()


def test_calls_reach_their_worker_whichever_takes_their_requests(
    embedded_url, tmp_path
):
    async def told():
        async with two_servers(embedded_url, tmp_path) as (db, servers):
            business_id, number = await business(db)
            # Everything arrives at the first worker; half of the calls are the other's.
            caller = Caller(
                f"http://127.0.0.1:{servers[0].port}",
                public_url="https://voice.example",
                to_number=number,
            )
            results = await asyncio.gather(
                *(caller.call(STEPS, max_s=30) for _ in range(8))
            )
            for _ in range(500):
                rows = await calls.recent(db, business_id)
                if len(rows) == 8:
                    break
                await asyncio.sleep(0.01)
            page = await asyncio.to_thread(
                lambda: urlopen(
                    f"http://127.0.0.1:{servers[1].admin_port}/metrics"
                ).read()
            )
            return results, rows, servers, page.decode()

    results, rows, servers, page = asyncio.run(asyncio.wait_for(told(), WAIT_S))

    assert [result.warnings + result.problems for result in results] == [[]] * 8
    assert {result.ended_by for result in results} == {"bridge"}
    assert {row["end_reason"] for row in rows} == {"end_call:goodbye"}
    peers = Workers(tmp_path, 0, 2)
    of_second = sum(peers.owner_of(result.call_sid) for result in results)
    handed = servers[0].metrics.value("streams_handed_over")
    assert handed == of_second
    assert servers[1].metrics.value("streams_handed_over") == 0
    ended = re.search(r'calls_ended_total{reason="end_call:goodbye"} (\d+)', page)
    assert int(ended.group(1)) == 8
    assert f"kolbridge_streams_handed_over_total {float(handed)}" in page


def test_path_that_leads_nowhere_is_no_workers(embedded_url, tmp_path):
    async def told():
        async with two_servers(embedded_url, tmp_path) as (_, servers):
            url = f"http://127.0.0.1:{servers[0].port}/nowhere"
            async with ClientSession() as http, http.post(url, data=b"x") as answer:
                return answer.status

    assert asyncio.run(asyncio.wait_for(told(), WAIT_S)) == 404


async def unknown_numbers(server):
    url = f"http://127.0.0.1:{server.admin_port}/metrics"
    page = await asyncio.to_thread(lambda: urlopen(url).read().decode())
    found = re.search(r"^kolbridge_unknown_numbers_total (\S+)$", page, re.MULTILINE)
    return float(found.group(1))


def test_webhooks_of_a_worker_that_is_away_are_served_by_another(
    embedded_url, tmp_path
):
    async def told():
        async with two_servers(embedded_url, tmp_path) as (db, servers):
            _, number = await business(db)
            servers[1].metrics.count("unknown_numbers", 3)
            before = await unknown_numbers(servers[0])
            await servers[1].close()
            caller = Caller(
                f"http://127.0.0.1:{servers[0].port}",
                public_url="https://voice.example",
                to_number=number,
            )
            results = await asyncio.gather(
                *(caller.call(STEPS, max_s=30) for _ in range(6))
            )
            after = await unknown_numbers(servers[0])
            return results, servers[0].metrics, before, after

    results, metrics, before, after = asyncio.run(asyncio.wait_for(told(), WAIT_S))
    # What the other worker had counted is still there.
    assert after >= before > 0
    # Whoever answers the webhook names itself in the stream's URL.
    assert metrics.value("connections_refused", reason="worker_away") == 0
    assert [result.ended_by for result in results] == ["bridge"] * 6


class RunningWorkers:
    """`kolbridge serve` with two workers, and what it says."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._changed = asyncio.Condition()
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self):
        async for data in self.process.stderr:
            async with self._changed:
                self.lines.append(orjson.loads(data))
                self._changed.notify_all()

    def said(self, text):
        return [line for line in self.lines if text in line["message"]]

    async def until_said(self, text, times):
        async with self._changed:
            await asyncio.wait_for(
                self._changed.wait_for(lambda: len(self.said(text)) >= times), WAIT_S
            )

    async def until_silent(self):
        """Wait until the last worker has ended, too: they share the pipe."""
        await asyncio.wait_for(self._reader, WAIT_S)


async def begin(url, tmp_path, model, *options, **env):
    """Start the service's process: two workers, unless `env` says otherwise."""
    root = os.path.dirname(os.path.dirname(__file__))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge.cli.main", "serve", *options),
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": root,
            "PORT": "0",
            "ADMIN_PORT": "0",
            "DATABASE_URL": await service_url(url),
            "DATABASE_ADMIN_URL": url,
            "TWILIO_ACCOUNT_SID": SANDBOX_ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": SANDBOX_AUTH_TOKEN,
            "OPENAI_API_KEY": model.api_key,
            "OPENAI_REALTIME_URL": model.url,
            "DRAIN_SECONDS": "20",
            # Other tests may have the processors: nobody is turned away for that.
            "MAX_BUSY_PERCENT": "100",
            "LAG_BUDGET_MS": "10000",
            "WORKERS": "2",
            **env,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    return RunningWorkers(process)


@asynccontextmanager
async def workers(url, tmp_path, model, *options, **env):
    """Run the service until the block's end, from when it listens."""
    running = await begin(url, tmp_path, model, *options, **env)
    process = running.process
    try:
        await running.until_said("listening", int(env.get("WORKERS", "2")))
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await running.until_silent()


@pytest.mark.parametrize("dies", [False, True])
def test_processes_share_the_port_and_one_that_dies_hurts_only_its_calls(
    embedded_url, tmp_path, dies
):
    async def told():
        db, model = await Database.open(embedded_url), RealtimeServer(SCRIPT)
        await model.start()
        try:
            _, number = await business(db)
            async with workers(embedded_url, tmp_path, model) as running:
                where = running.said("listening")[0]["message"].split()[2]
                caller = Caller(f"http://{where}", to_number=number)
                placed = [
                    asyncio.ensure_future(caller.call(STEPS, max_s=30))
                    for _ in range(8)
                ]
                if dies:
                    # By then each stream has reached its worker, whoever accepted it.
                    await running.until_said("Greeting begins", 8)
                    victim = running.said("listening")[0]["message"]
                    os.kill(int(victim.rpartition(" ")[2]), signal.SIGKILL)
                    await running.until_said("started again", 1)
                    await running.until_said("listening", 3)
                results = await asyncio.gather(*placed)
                # Workers end in order with their parent, also when that is killed.
                number = signal.SIGHUP if dies else signal.SIGKILL
                running.process.send_signal(number)
                await running.until_said("stopped", 2)
                code = await asyncio.wait_for(running.process.wait(), WAIT_S)
                return results, code, running
        finally:
            await model.close()
            await db.close()

    results, code, running = asyncio.run(asyncio.wait_for(told(), 2 * WAIT_S))

    assert code == (0 if dies else -signal.SIGKILL)
    ended_well = {result.call_sid for result in results if result.ended_by == "bridge"}
    if not dies:
        assert len(ended_well) == 8
        return
    victim = int(re.search(r"worker (\d)", running.said("listening")[0]["message"])[1])
    peers = Workers(tmp_path, 0, 2)
    for result in results:
        if peers.owner_of(result.call_sid) != victim:
            assert result.call_sid in ended_well


def test_a_stream_whose_sender_is_put_off_is_still_taken(tmp_path):
    async def told():
        taken = asyncio.get_running_loop().create_future()
        peers = Workers(tmp_path, 0, 2)
        peers.listen(lambda connection, data: taken.set_result((connection, data)))
        ours, theirs = socket.socketpair()
        with ours, theirs, socket.socket(socket.AF_UNIX) as way:
            way.connect(str(tmp_path / "0.streams"))
            await asyncio.sleep(0.05)
            socket.send_fds(way, [b"GET"], [theirs.fileno()])
            connection, data = await asyncio.wait_for(taken, WAIT_S)
            with connection:
                connection.send(b"hello")
                peers.close()
                return data, ours.recv(5)

    assert asyncio.run(told()) == (b"GET", b"hello")
