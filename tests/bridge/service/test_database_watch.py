"""The embedded database is looked after, with and without a loop."""

import asyncio
import subprocess
import sys

import orjson

from bridge.service import database_watch
from bridge.telemetry.metrics import Metrics
from tests.bridge import ws_peer

# The parent counts, and the worker reads.
FORKS = """
import os
from bridge.service.database_watch import Starts
starts = Starts()
if os.fork():
    starts.add()
    os.wait()
else:
    while not starts.count:
        pass
    os.write(1, str(starts.count).encode())
"""


class Embedded:
    """A database that has to be started again once, or cannot be."""

    def __init__(self, *outcomes):
        self._outcomes = list(outcomes)

    def tend(self):
        outcome = self._outcomes.pop(0) if self._outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def test_restart_is_said_and_counted(monkeypatch, caplog):
    monkeypatch.setattr(database_watch, "EVERY_S", 0.0)
    metrics = Metrics()

    async def told():
        embedded = Embedded(None, "started again")
        task = asyncio.ensure_future(database_watch.watch(embedded, metrics))
        await ws_peer.until(lambda: metrics.value("embedded_starts"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    ws_peer.run(told)
    assert caplog.messages == ["started again"]


def test_worker_counts_what_its_parent_has_started_again(monkeypatch):
    monkeypatch.setattr(database_watch, "EVERY_S", 0.0)
    metrics, starts = Metrics(), database_watch.Starts()
    # Before this worker, which has died, was started again.
    starts.add()

    async def told():
        task = asyncio.ensure_future(database_watch.follow(starts, metrics))
        await asyncio.sleep(0)
        starts.add()
        await ws_peer.until(lambda: metrics.value("embedded_starts"))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    ws_peer.run(told)
    assert metrics.value("embedded_starts") == 1


def test_workers_see_what_the_parent_that_forked_them_counts():
    asked = [sys.executable, "-c", FORKS]
    assert subprocess.run(asked, check=True, capture_output=True).stdout == b"1"


def test_parent_of_workers_says_it_itself(capfd):
    embedded = Embedded(None, "started again", OSError("no room"))
    starts = database_watch.Starts()
    for _ in range(3):
        database_watch.tend(embedded, starts, ())
    assert starts.count == 1

    lines = capfd.readouterr().err.splitlines()
    assert [orjson.loads(line)["message"] for line in lines] == [
        "started again",
        "the embedded database cannot be started: no room",
    ]
