"""The messenger process: started when it is needed, kept, and ended in order."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest

from bridge.messaging.process import Order
from bridge.service import messenger_process as module
from bridge.service.messenger_process import MISSING, OFF, RUNS, MessengerProcess
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Collector, Metrics
from crm import businesses, conversations
from crm.conversations import Arrived
from crm.database import Database

TOY = (
    "from tests.bridge.service import toy_messenger as t; t.sys.exit(t.run(t.Toy, ()))"
)
SILENT = "import sys, time; sys.stdin.readline(); time.sleep(60)"


class Kept:
    """A messenger process that a test's service keeps."""

    def __init__(self, database, database_url, **more):
        self.metrics = Metrics()
        self.stop = asyncio.Event()
        self.is_wanted = True
        what = more.pop("what", "runs")
        order = Order(Settings(node_name=what), database_url, "https://x.example")
        given = {"command": TOY, "package": "json"} | more
        self.process = MessengerProcess(
            order, database, lambda: self.is_wanted, self.metrics, **given
        )
        self.task = asyncio.create_task(self.process.run(self.stop))

    async def until(self, is_so):
        async with asyncio.timeout(20):
            while not is_so():  # noqa: ASYNC110 it is in another process
                await asyncio.sleep(0.02)

    async def end(self):
        self.stop.set()
        async with asyncio.timeout(20):
            await self.task

    def count(self, outcome):
        name = f'kolbridge_conversations_total{{outcome="{outcome}"}} '
        found = [line for line in self.process.page().splitlines() if name in line]
        return float(found[0].split()[-1]) if found else 0.0


def told(url, story):
    """Run a story with a database on a server's URL."""

    async def main():
        database = await Database.open(url, pool_max=2)
        try:
            await story(database)
        finally:
            await database.close()

    asyncio.run(main())


def test_it_starts_when_it_is_wanted_and_ends_in_order(embedded_url):
    async def story(database):
        async with database.routing() as connection:
            await connection.execute("delete from message_work")
        kept = Kept(database, embedded_url)
        kept.is_wanted = False
        await asyncio.sleep(0.1)
        assert kept.process.state == OFF
        assert kept.process.page() == ""
        kept.is_wanted = True
        await kept.until(lambda: kept.process.state == RUNS)
        assert "kolbridge_messenger_conversations 1.0" in kept.process.page()
        await kept.end()

        assert kept.process.state == OFF
        assert kept.count("done") == 1.0
        assert "messenger_conversations" not in kept.process.page()
        assert not kept.metrics.value("messenger_restarts")

    told(embedded_url, story)


def test_it_starts_when_a_message_waits(embedded_url):
    async def story(database):
        business_id = await businesses.create(database, "Salon")
        kept = Kept(database, embedded_url)
        kept.is_wanted = False
        arrived = Arrived(f"SM{uuid4().hex}", "hi", "+15550009999", "AC1", "+15550001")
        await conversations.receive(database, business_id, arrived, pause=timedelta(0))
        await kept.until(lambda: kept.process.state == RUNS)
        await kept.end()

    told(embedded_url, story)


def test_one_that_is_killed_is_started_again_and_no_count_decreases(embedded_url):
    async def story(database):
        kept = Kept(database, embedded_url)
        await kept.until(lambda: kept.process.state == RUNS)
        first = kept.process.pid
        os.kill(first, signal.SIGKILL)
        await kept.until(lambda: kept.process.pid not in (first, 0))
        assert kept.count("done") == 1.0
        await kept.until(lambda: kept.count("done") == 2.0)
        await kept.end()

        assert kept.metrics.value("messenger_restarts") == 1

    told(embedded_url, story)


def test_what_a_killed_one_had_is_free_at_once(embedded_url):
    async def story(database):
        business_id = await businesses.create(database, "Salon")
        arrived = Arrived(f"SM{uuid4().hex}", "hi", "+15550009999", "AC1", "+15550002")
        await conversations.receive(database, business_id, arrived)

        async def holder():
            async with database.tenant(business_id) as connection:
                return await connection.fetchval("select holder from message_work")

        kept = Kept(database, embedded_url, what="claims")
        async with asyncio.timeout(20):
            while (first := await holder()) is None:  # noqa: ASYNC110 it is a row
                await asyncio.sleep(0.02)
            os.kill(kept.process.pid, signal.SIGKILL)
            # The lease of the first one would have lasted for 20 s.
            while await holder() in (None, first):  # noqa: ASYNC110 it is a row
                await asyncio.sleep(0.02)
        await kept.end()

        assert await holder() is None

    told(embedded_url, story)


def test_its_page_is_part_of_the_services(embedded_url):
    async def story(database):
        kept = Kept(database, embedded_url)
        kept.metrics.pages_beside.append(kept.process.page)
        await kept.until(lambda: kept.process.state == RUNS)
        kept.metrics.count("conversations", 4, outcome="done")
        page = Collector(kept.metrics, tuple, dict).exposition().decode()
        await kept.end()

        assert 'kolbridge_conversations_total{outcome="done"} 5.0' in page

    told(embedded_url, story)


@pytest.mark.parametrize(
    ("command", "what", "why"),
    [
        (TOY, "dies", "ended with code 3; it is started again"),
        ("import os; os.kill(os.getpid(), 9)", "runs", "ended by signal 9"),
        (SILENT, "runs", "has reported nothing for"),
    ],
)
def test_one_that_fails_is_started_again(
    embedded_url, monkeypatch, caplog, command, what, why
):
    monkeypatch.setattr(module, "END_S_MAX", 0.2)
    if command == SILENT:
        monkeypatch.setattr(module, "START_S_MAX", 0.3)

    async def story(database):
        kept = Kept(database, embedded_url, command=command, what=what)
        await kept.until(lambda: kept.metrics.value("messenger_restarts") >= 2)
        assert why in kept.process.state
        await kept.end()

    told(embedded_url, story)
    assert why.partition(";")[0] in caplog.text


def test_one_that_starts_slowly_is_waited_for(embedded_url, monkeypatch):
    """On a machine whose calls take all of its processors."""
    monkeypatch.setattr(module, "SILENT_S_MAX", 1.0)

    async def story(database):
        slow = f"import time; time.sleep(1.5); {TOY}"
        kept = Kept(database, embedded_url, command=slow)
        await kept.until(lambda: kept.process.state == RUNS)
        assert kept.metrics.value("messenger_restarts") == 0
        await kept.end()

    told(embedded_url, story)


def test_one_that_does_not_end_is_killed(embedded_url, monkeypatch):
    monkeypatch.setattr(module, "STOP_S_MAX", 0.2)
    monkeypatch.setattr(module, "END_S_MAX", 0.2)

    async def story(database):
        kept = Kept(database, embedded_url, what="late")
        await kept.until(lambda: kept.process.state == RUNS)
        pid = kept.process.pid
        await kept.end()

        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    told(embedded_url, story)


def test_without_the_extra_it_is_said_once(embedded_url, caplog):
    async def story(database):
        kept = Kept(database, embedded_url, package="no_such_package")
        await kept.until(lambda: kept.process.state == MISSING)
        await kept.end()

    told(embedded_url, story)
    assert caplog.text.count("nobody answers: not installed: pip install") == 1


def test_no_room_for_a_process_is_no_end(embedded_url, monkeypatch):
    def full(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    async def story(database):
        monkeypatch.setattr(module.subprocess, "Popen", full)
        kept = Kept(database, embedded_url)
        await kept.until(lambda: kept.metrics.value("messenger_restarts") == 1)
        assert "cannot be started (Resource" in kept.process.state
        monkeypatch.undo()
        await kept.until(lambda: kept.process.state == RUNS)
        await kept.end()

    told(embedded_url, story)


def test_database_that_is_away_is_asked_again(embedded_url):
    class Away:
        def acquire(self):
            raise ConnectionRefusedError

    async def story(database):
        kept = Kept(Database(Away()), embedded_url)
        kept.is_wanted = False
        await asyncio.sleep(0.05)
        assert kept.process.state == OFF
        await kept.end()

    told(embedded_url, story)


@pytest.mark.parametrize("how", ["the input closes", "a signal", "no order"])
def test_process_ends_by_itself(embedded_url, how):
    process = subprocess.Popen(
        [sys.executable, "-c", TOY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        if how != "no order":
            order = Order(Settings(), embedded_url, "https://x.example")
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
            assert b"kolbridge_" in process.stdout.readline()
        if how == "a signal":
            process.terminate()
        else:
            process.stdin.close()

        assert process.wait(20) == 0


def test_order_keeps_every_setting():
    settings = Settings(openai_api_key="sk-1", workers=3)
    order = Order(settings, "postgresql://x", "https://x.example")

    assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order


def test_output_that_is_no_report_ends_one_process_and_not_its_keeper(
    embedded_url, monkeypatch, caplog
):
    monkeypatch.setattr(module, "RESTART_S_MIN", 0.01)
    chatty = "print('a library says hello', flush=True); import time; time.sleep(60)"

    async def story(database):
        kept = Kept(database, embedded_url, command=chatty)
        await kept.until(lambda: kept.metrics.value("messenger_restarts") >= 2)
        assert "it is started again" in kept.process.state
        await kept.end()

    told(embedded_url, story)
    assert "has written what is no report" in caplog.text


def test_what_a_library_prints_is_taken_for_no_report(embedded_url):
    async def story(database):
        kept = Kept(database, embedded_url, what="prints")
        await kept.until(lambda: kept.count("done"))
        assert kept.process.state == RUNS
        assert kept.metrics.value("messenger_restarts") == 0
        await kept.end()

    told(embedded_url, story)
