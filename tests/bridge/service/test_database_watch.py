"""The embedded database is looked after, with and without a loop."""

import asyncio

import orjson

from bridge.service import database_watch
from bridge.telemetry.metrics import Metrics
from tests.bridge import ws_peer


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


def test_parent_of_workers_says_it_itself(capfd):
    embedded = Embedded(None, "started again", OSError("no room"))
    for _ in range(3):
        database_watch.tend(embedded, ())

    lines = capfd.readouterr().err.splitlines()
    assert [orjson.loads(line)["message"] for line in lines] == [
        "started again",
        "the embedded database cannot be started: no room",
    ]
